"""What the server counted since its counters began."""

from readiness import Evidence, Measurement, at_most, check
from readiness.areas.database.config import Database
from readiness.areas.database.config_history import History
from readiness.areas.database.grading import no_less_than, no_more_than
from readiness.areas.database.history import trends
from readiness.areas.database.probes import counters, snapshot
from readiness.lib import postgres

# As in [databases.NAME.history], for a database without that table.
_DEFAULT = History(path="-")


@check(
    "database.counters",
    title="Deadlocks, cache misses, spills and forced checkpoints are rare",
    failure_title="The server counts too many deadlocks, cache misses, spills or checkpoints",
    each="database",
    severity="minor",
    why="""Each deadlock is a request that failed. Reads past the cache, sorts on disk and
    checkpoints that the WAL forces make everything slower, in waves and under load first.""",
    fix="""Deadlocks: the server's log names both statements (deadlock detected). Lock rows in one
order, and retry what ends with SQLSTATE 40P01:
    select ... from t where id = any($1) order by id for update;
Cache hits: find the table that is read, and give it an index or the server more `shared_buffers`:
    select relname, heap_blks_read, heap_blks_hit from pg_statio_user_tables order by 2 desc;
Temporary files: find the statement, and give that role more memory:
    select temp_blks_written, calls, left(query, 80) from pg_stat_statements order by 1 desc;
    alter role ROLE set work_mem = '64MB'; alter system set temp_file_limit = '20GB';
Forced checkpoints: alter system set max_wal_size = '8GB'; select pg_reload_conf();
Counters do not reach back: a crash, a failover or pg_stat_reset() emptied them. Declare
[databases.NAME.history], run `readiness snapshot` each hour, and wait.""",
    judgements=("deadlocks", "cache-hits", "temp-files", "checkpoints", "reach"),
)
def test_counters(database: Database, evidence: Evidence) -> None:
    """Of all databases of the server: they share its cache, disk and WAL.

    Rates are by the hour, and of a younger counter by its first hour. How far the counters reach
    back is judged together with the snapshots, as long as no gap lies between them.
    """
    with evidence.attempt():
        _judge_databases(database, evidence)
    with evidence.attempt():
        found = counters.checkpoints(database)
        no_more_than(
            evidence,
            "checkpoints",
            found.forced_share,
            database.limits,
            warn="checkpoints_forced_warn_share",
            fail="checkpoints_forced_max_share",
            because=f"{found.requested} were requested and {found.timed} came on schedule within"
            f" {found.seconds / counters.HOUR_S:.1f} h",
        )
    with evidence.attempt():
        _judge_reach(database, evidence)


def _judge_databases(database: Database, evidence: Evidence) -> None:
    found, limits = counters.counters(database), database.limits
    evidence.record(found.age_s)
    evidence.judge(
        "deadlocks",
        found.deadlocks_per_h,
        at_most(limits.deadlocks_max_per_h, limits.deciding("deadlocks_max_per_h")),
        f"since the counters began: {found.worst_by('deadlocks')}",
    )
    no_more_than(
        evidence,
        "temp-files",
        found.temp_bytes_per_h,
        limits,
        warn="temp_warn_bytes_per_h",
        fail="temp_max_bytes_per_h",
        because=f"bytes since the counters began: {found.worst_by('temp_bytes')}",
    )
    no_less_than(
        evidence,
        "cache-hits",
        found.cache_hit_share,
        limits,
        warn="cache_hit_warn_share",
        fail="cache_hit_min_share",
        because=f"blocks that were not in the cache: {found.worst_by('reads')}",
    )


def _judge_reach(database: Database, evidence: Evidence) -> None:
    with postgres.connect(database.dsn, timeout_s=database.timeout_s) as connection:
        live = snapshot.take(connection)
    reach = trends.reach(database, live)
    source = "pg_stat_bgwriter.stats_reset" + (" and the snapshots" if database.history else "")
    name = "Days that the counters of tables and indexes reach back"
    lost = "they started again after a time that no snapshot covers"
    no_less_than(
        evidence,
        "reach",
        Measurement(name, reach.days, "days", source, 1 if reach.first is None else 2),
        database.history or _DEFAULT,
        warn="evidence_warning_days",
        fail="evidence_min_days",
        because=lost if reach.broken_at else "there is nothing older",
    )
    unseen_h = reach.unseen_s / counters.HOUR_S
    evidence.record(Measurement("Hours of it that nothing covers", unseen_h, "h", source))
