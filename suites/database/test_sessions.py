"""Sessions that last too long, and connections that run out."""

from readiness import Evidence, check
from readiness.areas.database.config import Database
from readiness.areas.database.config_health import Pooler
from readiness.areas.database.grading import no_more_than, none_of
from readiness.areas.database.probes import server, sessions
from readiness.lib.text import listed


@check(
    "database.sessions",
    title="No session holds a transaction or waits for a lock for long",
    failure_title="Sessions hold transactions open or wait for locks too long",
    each="database",
    severity="major",
    why="""An open transaction keeps vacuum from every row deleted since, and its locks stop
    migrations and everybody behind them. One forgotten lock stops a whole application within a
    minute, and looks as if the database were slow.""",
    fix="""The message names the process; of a lock, also who holds it: end that one, not those
that wait.
    select pid, usename, application_name, state, now() - xact_start, pg_blocking_pids(pid),
           left(query, 80)
    from pg_stat_activity where xact_start is not null order by xact_start limit 5;
    select pg_terminate_backend(PID);
Open transactions: run reports on a standby, and set a timeout for the application's role:
    alter role ROLE set statement_timeout = '30s';
Idle in a transaction: find the code that waits for something outside the database, and
    alter role ROLE set idle_in_transaction_session_timeout = '1min';
Lock waits: run migrations with `set lock_timeout = '2s'`, and retry them.""",
    judgements=("open-transaction", "idle-in-transaction", "lock-wait"),
)
def test_sessions(database: Database, evidence: Evidence) -> None:
    """Client sessions of this database, without the drills of this tool.

    A lock wait counts from its start; before PostgreSQL 14, from the start of its statement.
    """
    for key, name, read, prefix in (
        ("open-transaction", "Longest open transaction", sessions.open_transactions, "transaction"),
        (
            "idle-in-transaction",
            "Longest time idle in a transaction",
            sessions.idle_transactions,
            "idle_transaction",
        ),
        ("lock-wait", "Longest wait for a lock", sessions.blocked, "blocked"),
    ):
        found = read(database)
        no_more_than(
            evidence,
            key,
            found.longest(name),
            database.limits,
            warn=f"{prefix}_warn_s",
            fail=f"{prefix}_max_s",
            because=found.worst,
        )


@check(
    "database.connections",
    title="Connections are left, and no client of the pooler waits for one",
    failure_title="Connections run out, or clients of the pooler wait for one",
    each="database",
    severity="blocker",
    why="""When the last connection is taken, every new client is refused, a restart of the
    application included. When a pool is full, clients queue: requests take longer and time out,
    while the database looks idle.""",
    fix="""See who holds the connections, and what for:
    select usename, application_name, state, count(*) from pg_stat_activity
    where backend_type = 'client backend' group by 1, 2, 3 order by 4 desc;
Make the application's pools smaller, or put PgBouncer in front; a larger `max_connections` costs
memory and needs a restart.
Clients of the pooler wait: see which pool, and what its server connections do:
    psql 'CONSOLE_DSN' -c 'SHOW POOLS' -c 'SHOW SERVERS'
If all of them work, raise `pool_size` of that database in pgbouncer.ini and RELOAD; if they are
idle in a transaction, see database.sessions.
A database is paused: psql 'CONSOLE_DSN' -c 'RESUME DATABASE'""",
    judgements=("in-use", "pool-wait", "pool-paused"),
)
def test_connections(database: Database, evidence: Evidence) -> None:
    """Client sessions against what ordinary roles may have; a pool by how long a client waits.

    How full a pool is does not count: a full one may serve everybody well.
    """
    with evidence.attempt():
        found = server.connections(database)
        no_more_than(
            evidence,
            "in-use",
            found.share,
            database.limits,
            warn="connections_warn_share",
            fail="connections_max_share",
            because=f"{found.used} in use, most by {found.users}",
        )
    if database.pooler:
        with evidence.attempt():
            _judge_pools(database.pooler, evidence)


def _judge_pools(settings: Pooler, evidence: Evidence) -> None:
    found = sessions.pools(settings)
    no_more_than(
        evidence,
        "pool-wait",
        found.longest_wait,
        settings,
        warn="wait_warn_s",
        fail="wait_max_s",
        because=listed(map(str, found.pools), between="; "),
    )
    none_of(
        evidence,
        "pool-paused",
        "databases paused in the pooler",
        found.paused,
        len(found.databases),
        "SHOW DATABASES",
    )
