"""Does the pooler have a connection for whoever asks?"""

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.database.config import Database
from readiness.areas.database.grading import no_more_than
from readiness.areas.database.probes import pooler
from readiness.lib.text import listed
from readiness.model.errors import NoData


@check(
    "database.pool-saturation",
    title="No client of the pooler waits for a connection",
    each="pooled_database",
    severity="major",
    why="""When all connections of a pool are taken, clients queue: every request takes longer,
    each holds its own memory and its own client's patience, and the database itself looks idle.
    Its figures show nothing of it.""",
    fix="""See which pool waits, and what its connections do:
      psql 'CONSOLE_DSN' -c 'SHOW POOLS' -c 'SHOW SERVERS'
    Transactions that are held open while nothing is done: database.idle-in-transaction. If all of
    them work: raise `pool_size` of that database in pgbouncer.ini, then RELOAD.
    Paused: psql 'CONSOLE_DSN' -c 'RESUME DATABASE'
    The limits are `wait_warn_s` and `wait_max_s` in [databases.NAME.pooler].""",
)
def test_pool_saturation(pooled_database: Database, evidence: Evidence) -> None:
    """By how long a client waits, and not by how full a pool is: a full pool may work well."""
    settings = pooled_database.pooler
    if settings is None:
        raise NoData("no pooler is declared", where="[databases.NAME.pooler]")
    found = pooler.pools(settings)
    no_more_than(
        evidence,
        "longest-wait",
        found.longest_wait,
        warn=settings.wait_warn_s,
        fail=settings.wait_max_s,
        because=listed(map(str, found.pools), between="; "),
    )
    evidence.judge(
        "databases-paused",
        Measurement(
            "databases that are paused",
            len(found.paused),
            "count",
            "SHOW DATABASES",
            samples=len(found.databases),
        ),
        equal_to(0),
        f"their clients wait for ever: {listed(found.paused)}",
    )
