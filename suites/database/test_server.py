"""The server: rights of the monitoring role, settings, release, sessions and connections."""

from datetime import UTC, datetime

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.database.config import Database, Pooler
from readiness.areas.database.grading import no_more_than
from readiness.areas.database.probes import server, sessions
from readiness.areas.database.probes.server import Release, newest_minor, supported_until
from readiness.lib.findings import none_of
from readiness.lib.text import listed
from readiness.model.measurement import Limit


@check(
    "database.privileges",
    title="The monitoring role sees what it needs, and is no superuser",
    failure_title="The monitoring role sees too little, or may do too much",
    each="database",
    severity="major",
    why="""PostgreSQL hides what a role may not see: no sessions, no figures, NULL for a sequence.
    Most tools take that for a healthy system. And the password of the monitoring role is stored on
    many machines: a superuser's must not be.""",
    fix="""As superuser, in the database:
    grant pg_monitor to ROLE;
    grant usage on schema SCHEMA to ROLE;
    grant select on all sequences in schema SCHEMA to ROLE;
    alter default privileges for role OWNER in schema SCHEMA grant select on sequences to ROLE;
    alter role ROLE nosuperuser;""",
    judgements=("pg-monitor", "sequences", "superuser"),
)
def test_privileges(database: Database, evidence: Evidence) -> None:
    """Other checks end as an error where data is hidden; this one says what to grant."""
    found = server.rights(database)
    lacking = [f"grant {part} to {found.role}" for part in found.lacking]
    name, parts = f"parts of pg_monitor missing for {found.role}", len(server.PARTS_OF_PG_MONITOR)
    none_of(evidence, "pg-monitor", name, lacking, parts, "pg_roles")
    name = f"sequences hidden from {found.role}"
    none_of(evidence, "sequences", name, found.hidden_sequences, found.sequences, "pg_class")
    evidence.judge(
        "superuser",
        Measurement("The monitoring role is a superuser", found.superuser, "truth", "pg_roles"),
        equal_to(value=False),
        f"alter role {found.role} nosuperuser; grant pg_monitor to {found.role}",
        says=f"The monitoring role {found.role} is a superuser",
    )


# setting -> (judgement, what the unsafe value does)
_RISKS = {
    "fsync": ("crash-safety", "a power cut damages the database"),
    "full_page_writes": ("crash-safety", "a power cut damages the database"),
    "zero_damaged_pages": ("damage-reported", "pages that cannot be read are deleted"),
    "ignore_checksum_failure": ("damage-reported", "damaged pages are served"),
    "autovacuum": ("autovacuum", "tables grow until the server stops to protect itself"),
    "track_counts": ("autovacuum", "autovacuum does not see which tables need it"),
    "synchronous_commit": ("synchronous-commit", "a crash loses the last commits"),
}


@check(
    "database.settings-durability",
    title="No setting trades committed data for speed",
    failure_title="A setting risks committed data",
    each="database",
    severity="blocker",
    core=True,
    why="""With `fsync` or `full_page_writes` off, a power cut damages the database, which shows
    weeks later. `zero_damaged_pages` deletes what it cannot read. Without autovacuum, tables grow
    until the server stops to protect itself.""",
    fix="""See who set it, then reset it:
    select name, setting, sourcefile, sourceline from pg_settings where name = 'SETTING';
    alter system reset SETTING; select pg_reload_conf();
For one role or database: alter role ROLE reset SETTING; alter database NAME reset SETTING;
After a crash without fsync or full_page_writes: restore a backup.""",
    judgements=("crash-safety", "damage-reported", "autovacuum", "synchronous-commit"),
)
def test_settings_durability(database: Database, evidence: Evidence) -> None:
    """`synchronous_commit` loses the last moments and no consistency: a warning."""
    for setting in server.settings(database):
        key, risk = _RISKS[setting.name]
        name = setting.name + (f" of {setting.where}" if setting.where else "")
        evidence.judge(
            key,
            Measurement(name, setting.value, "text", "pg_settings"),
            Limit("!=", setting.unsafe),
            risk,
            says=f"{name} is {setting.value}",
            warn_only=key == "synchronous-commit",
        )


@check(
    "database.version-supported",
    title="The server's release is supported and up to date",
    failure_title="The server's release is out of support or lacks fixes",
    each="database",
    severity="major",
    why="""Minor releases contain fixes of data loss and security holes, and nothing else. After
    five years a major release gets none, and what is found then stays open.""",
    fix="""Out of support: pg_upgrade, after a rehearsal on a restored backup
    https://www.postgresql.org/support/versioning/
Fixes are missing: install the minor release and restart, nothing else
    apt-get install --only-upgrade postgresql-MAJOR""",
    judgements=("support", "fixes"),
)
def test_version_supported(database: Database, evidence: Evidence) -> None:
    """By PostgreSQL's published calendar; unscheduled releases are not known."""
    release, today, limits = server.release(database), datetime.now(UTC).date(), database.limits
    end = supported_until(release.major)
    evidence.judge(
        "support",
        Measurement(
            f"Support left for PostgreSQL {release.major}",
            (end - today).days,
            "days",
            "five years from each major release",
        ),
        at_least(limits.support_min_days, limits.deciding("support_min_days")),
        f"it ends on {end.isoformat()}",
    )
    newest = newest_minor(release.major, today)
    evidence.judge(
        "fixes",
        Measurement(
            f"Minor releases that {release} is behind",
            max(0, newest - release.minor),
            "count",
            "the calendar of minor releases",
        ),
        at_most(limits.minors_behind_max, limits.deciding("minors_behind_max")),
        f"{release.major}.{newest} or newer is out",
        warn_only=True,
    )
    if limits.min_version:
        wanted = Release.read(limits.min_version)
        evidence.judge(
            "fixes",
            Measurement(f"At least {wanted}", release >= wanted, "truth", "server_version"),
            Limit("==", value=True, setting=limits.deciding("min_version")),
            says=f"The server runs {release}; at least {wanted} required",
        )


@check(
    "database.password-hashing",
    title="New passwords are hashed with SCRAM",
    failure_title="New passwords are hashed with MD5",
    each="database",
    severity="minor",
    why="""An MD5 hash from a stolen backup or catalog logs in without the password, and is guessed
    at billions of tries a second. PostgreSQL has deprecated it, and a later release refuses it.""",
    fix="""As superuser; then set the password of each role again, for the old hashes stay:
    alter system set password_encryption = 'scram-sha-256'; select pg_reload_conf();
    alter role ROLE reset password_encryption;      -- or alter database NAME reset ...
    select rolname from pg_authid where rolpassword like 'md5%';
    https://www.postgresql.org/docs/current/auth-password.html""",
    judgements=("scram",),
)
def test_password_hashing(database: Database, evidence: Evidence) -> None:
    """The setting in a session of the gate: a database or a role may override the server's."""
    found = server.password_hashing(database)
    says = f"The server hashes new passwords with {found.value}"
    evidence.judge("scram", found, equal_to("scram-sha-256"), says=says)


@check(
    "database.sessions",
    title="No session holds a transaction or waits for a lock for long",
    failure_title="Sessions hold transactions open or wait for locks too long",
    each="database",
    severity="major",
    why="""An open transaction keeps vacuum from every row deleted since, and its locks stop
    migrations and all sessions behind them. One forgotten lock stops a whole application within a
    minute, and looks as if the database were slow.""",
    fix="""The message names the process; of a lock, also who holds it: end that one, not those
that wait.
    select pid, usename, application_name, state, now() - xact_start, pg_blocking_pids(pid),
           left(query, 80)
    from pg_stat_activity where xact_start is not null order by xact_start limit 5;
    select pg_terminate_backend(PID);
open-transaction: run reports on a standby, and set a timeout for the application's role:
    alter role ROLE set statement_timeout = '30s';
idle-in-transaction: find the code that waits for something outside the database, and
    alter role ROLE set idle_in_transaction_session_timeout = '1min';
lock-wait: run migrations with `set lock_timeout = '2s'`, and retry them.""",
    judgements=("open-transaction", "idle-in-transaction", "lock-wait"),
)
def test_sessions(database: Database, evidence: Evidence) -> None:
    """Client sessions of this database, without the drills of this tool.

    A lock wait counts from its start; before PostgreSQL 14, from the start of its statement.
    """
    idle = "Longest time idle in a transaction"
    for key, name, read, prefix in (
        ("open-transaction", "Longest open transaction", sessions.open_transactions, "transaction"),
        ("idle-in-transaction", idle, sessions.idle_transactions, "idle_transaction"),
        ("lock-wait", "Longest wait for a lock", sessions.blocked, "blocked"),
    ):
        found = read(database)
        keys = (f"{prefix}_warn_s", f"{prefix}_max_s")
        no_more_than(evidence, key, found.longest(name), database.limits, keys, found.worst)


@check(
    "database.connections",
    title="Connections are left, and no client of the pooler waits for one",
    failure_title="Connections run out, or clients of the pooler wait for one",
    each="database",
    severity="blocker",
    core=True,
    why="""When the last connection is taken, every new client is refused, a restart of the
    application included. When a pool is full, clients queue: requests take longer and time out,
    while the database looks idle.""",
    fix="""See who holds the connections, and what for:
    select usename, application_name, state, count(*) from pg_stat_activity
    where backend_type = 'client backend' group by 1, 2, 3 order by 4 desc;
in-use: a role is at its own limit:   alter role ROLE connection limit 50;
Make the application's pools smaller, or put PgBouncer in front; a larger `max_connections` costs
memory and needs a restart.
pool-wait: clients of the pooler wait: see which pool, and what its server connections do:
    psql 'CONSOLE_DSN' -c 'SHOW POOLS' -c 'SHOW SERVERS'
If all of them work, raise `pool_size` of that database in pgbouncer.ini and RELOAD; if they are
idle in a transaction, see database.sessions.
pool-paused: psql 'CONSOLE_DSN' -c 'RESUME DATABASE'""",
    judgements=("in-use", "pool-wait", "pool-paused"),
)
def test_connections(database: Database, evidence: Evidence) -> None:
    """Client sessions against what ordinary roles may have; a pool by how long a client waits.

    How full a pool is does not count: a full one may serve all clients well.
    """
    with evidence.attempt():
        found = server.connections(database)
        because = f"{found.used} in use, most by {found.users}"
        keys = ("connections_warn_share", "connections_max_share")
        no_more_than(evidence, "in-use", found.share, database.limits, keys, because)
    if database.pooler:
        with evidence.attempt():
            _judge_pools(database.pooler, evidence)


def _judge_pools(settings: Pooler, evidence: Evidence) -> None:
    found = sessions.pools(settings)
    because = listed(map(str, found.pools), between="; ")
    keys = ("wait_warn_s", "wait_max_s")
    no_more_than(evidence, "pool-wait", found.longest_wait, settings, keys, because)
    name, among = "databases paused in the pooler", len(found.databases)
    none_of(evidence, "pool-paused", name, found.paused, among, "SHOW DATABASES")
