"""What the server counted since its counters began, the snapshots of it, and how it grows."""

from pathlib import Path

from readiness import Evidence, Measurement, at_least, at_most, check
from readiness.areas.database import trends
from readiness.areas.database.config import Database, History
from readiness.areas.database.grading import no_less_than, no_more_than, size
from readiness.areas.database.probes import counters
from readiness.areas.database.snapshots import BloatSnapshot, Snapshot, Store
from readiness.lib.postgres.session import looking
from readiness.lib.text import worst
from readiness.model.errors import NoData
from readiness.model.measurement import Limit

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
    fix="""deadlocks: the server's log names both statements (deadlock detected). Lock rows in one
order, and retry what ends with SQLSTATE 40P01:
    select ... from t where id = any($1) order by id for update;
cache-hits: find the table that is read, and give it an index or the server more `shared_buffers`:
    select relname, heap_blks_read, heap_blks_hit from pg_statio_user_tables order by 2 desc;
temp-files: find the statement, and give that role more memory:
    select temp_blks_written, calls, left(query, 80) from pg_stat_statements order by 1 desc;
    alter role ROLE set work_mem = '64MB'; alter system set temp_file_limit = '20GB';
checkpoints: alter system set max_wal_size = '8GB'; select pg_reload_conf();
reach: counters do not reach back: a crash, a failover or pg_stat_reset() emptied them. Declare
[databases.NAME.history], run `readiness snapshot` each hour, and wait.""",
    judgements=("deadlocks", "cache-hits", "temp-files", "checkpoints", "reach"),
)
def test_counters(database: Database, evidence: Evidence) -> None:
    """For all databases of the server, which share its cache, disk and WAL.

    Rates are by the hour; a counter younger than that counts as one hour old. How far the counters
    reach back is judged together with the snapshots, as long as there is no gap between them.
    """
    with evidence.attempt():
        _judge_databases(database, evidence)
    with evidence.attempt():
        found = counters.checkpoints(database)
        because = (
            f"{found.requested} were requested and {found.timed} came on schedule within"
            f" {found.seconds / counters.HOUR_S:.1f} h"
        )
        keys = ("checkpoints_forced_warn_share", "checkpoints_forced_max_share")
        no_more_than(evidence, "checkpoints", found.forced_share, database.limits, keys, because)
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
    because = f"bytes since the counters began: {found.worst_by('temp_bytes')}"
    keys = ("temp_warn_bytes_per_h", "temp_max_bytes_per_h")
    no_more_than(evidence, "temp-files", found.temp_bytes_per_h, limits, keys, because)
    if found.blocks.samples < counters.FEWEST_BLOCKS:
        because = "too few for a share: a new or idle server, which no cache could slow down"
        least = at_least(counters.FEWEST_BLOCKS)
        evidence.judge("cache-hits", found.blocks, least, because, warn_only=True)
        return
    because = f"blocks that were not in the cache: {found.worst_by('reads')}"
    keys = ("cache_hit_warn_share", "cache_hit_min_share")
    no_less_than(evidence, "cache-hits", found.cache_hit_share, limits, keys, because)


def _judge_reach(database: Database, evidence: Evidence) -> None:
    live = _live(database)
    reach = trends.reach(database, live)
    source = "pg_stat_bgwriter.stats_reset" + (" and the snapshots" if database.history else "")
    name = "Days that the counters of tables and indexes reach back"
    lost = "they started again after a time that no snapshot covers"
    measured = Measurement(name, reach.days, "days", source, 1 if reach.first is None else 2)
    because = lost if reach.broken_at else "nothing older is known"
    keys = ("evidence_warning_days", "evidence_min_days")
    agreed = database.history or _DEFAULT.placed(f"{database.place}.history")
    if reach.from_the_start(live.server) and reach.days < agreed.evidence_min_days:
        judged_from = trends.day_of(reach.since, agreed.evidence_min_days)
        because = f"the server itself is no older; judged from {judged_from} on"
        least = at_least(agreed.evidence_min_days, agreed.deciding("evidence_min_days"))
        evidence.judge("reach", measured, least, because, warn_only=True)
    else:
        no_less_than(evidence, "reach", measured, agreed, keys, because)
    unseen_h = reach.unseen_s / counters.HOUR_S
    evidence.record(Measurement("Hours of it that nothing covers", unseen_h, "h", source))


_HOUR_S = 3600.0
# Clocks may differ by so much.
_AHEAD_H = -0.1


@check(
    "database.snapshots-run",
    title="Counter snapshots run hourly, bloat snapshots daily",
    failure_title="Snapshots of the database are old, missing or incomplete",
    each="database",
    needs="history",
    severity="major",
    why="""PostgreSQL keeps no history of its counters, and a crash empties them silently. Without
    snapshots it is unknown which index was unused for a month, which statement became slower, or
    how fast the disk fills.""",
    fix="""Run it by hand and read what it prints:
    readiness snapshot --config readiness.toml
Then let cron run it each hour, as the account that runs the gate (the guide shows a systemd timer
and a CronJob):
    7 * * * * readiness snapshot --config /etc/readiness/readiness.toml
The same job takes the daily bloat snapshot. A snapshot dated in the future: correct the clock of
the database's server, and move the file away.""",
    judgements=("counters", "bloat", "coverage"),
)
def test_snapshots_run(database: Database, evidence: Evidence) -> None:
    """By the age of the newest snapshots, and by how many of today's objects they hold."""
    history, live = _history(database), _live(database)
    store = Store(Path(history.path))
    usage, bloated = store.newest_usage(live.server), store.newest_bloat(live.server)
    _judge_snapshot_age("counters", usage, live.at, history, "index_max_age_h", evidence)
    _judge_snapshot_age("bloat", bloated, live.at, history, "bloat_max_age_h", evidence)
    if usage:
        _judge_coverage(usage, live, history, evidence)


def _judge_snapshot_age(
    key: str,
    newest: Snapshot | BloatSnapshot | None,
    now: float,
    history: History,
    limit: str,
    evidence: Evidence,
) -> None:
    if newest is None:
        none = Measurement(f"Snapshots of {key}", 0, "count", history.path)
        run = "run `readiness snapshot`"
        evidence.judge(key, none, Limit("!=", 0), run, says=f"No snapshot of {key}")
        return
    age = Measurement(
        f"Newest snapshot of {key}, age", (now - newest.at) / _HOUR_S, "h", history.path
    )
    oldest = at_most(getattr(history, limit), history.deciding(limit))
    if evidence.judge(key, age, oldest, "the hourly job has stopped"):
        ahead = f"{(newest.at - now) / _HOUR_S:.3g} h ahead of the server's clock"
        says = f"The newest snapshot of {key} is dated {ahead}"
        evidence.judge(key, age, at_least(_AHEAD_H), says=says)


def _judge_coverage(old: Snapshot, live: Snapshot, history: History, evidence: Evidence) -> None:
    least = at_least(history.coverage_min_share, history.deciding("coverage_min_share"))
    for what, now, known in (
        ("indexes", {i.name for i in live.indexes}, {i.name for i in old.indexes}),
        ("tables", set(live.tables), set(old.tables)),
    ):
        if not now:
            raise NoData(f"the database has no {what}", where=live.server.database)
        missing = sorted(now - known)
        share, name = 1 - len(missing) / len(now), f"Share of today's {what} in the newest snapshot"
        measured = Measurement(name, share, "ratio", history.path, len(now))
        evidence.judge("coverage", measured, least, f"missing: {worst(missing)}")


@check(
    "database.growth",
    title="The database grows no faster than planned",
    failure_title="The database grows faster than planned",
    each="database",
    needs="history",
    severity="major",
    why="""A full disk stops every write at once, and the server with it. A table that is never
    pruned, or an event log, shows weeks ahead as a slope.""",
    fix="""See what grows; the message names the tables:
    select relname, pg_size_pretty(pg_total_relation_size(relid)) from pg_stat_user_tables
    order by pg_total_relation_size(relid) desc limit 10;
Prune it, or partition it by time and drop old partitions. If the growth is planned, raise
`growth_max_bytes` in [databases.NAME.history].""",
    judgements=("growth",),
)
def test_growth(database: Database, evidence: Evidence) -> None:
    """From the oldest snapshot of the last 30 days until now, scaled to 30 days."""
    history, live = _history(database), _live(database)
    then = Store(Path(history.path)).usage_at(live.server, live.at - trends.MONTH_S)
    grown = trends.growth([then] if then else [], live)
    if grown.days < history.growth_min_days:
        # The first days of a history: neither a failure nor a month's growth.
        reach = Measurement("Days that the snapshots reach back", grown.days, "days", history.path)
        least = at_least(history.growth_min_days, history.deciding("growth_min_days"))
        judged_from = trends.day_of(live.at, history.growth_min_days - grown.days)
        because = f"growth is judged from {judged_from} on, if snapshots run hourly until then"
        evidence.judge("growth", reach, least, because, warn_only=True)
        return
    evidence.judge(
        "growth",
        Measurement("Growth in 30 days", grown.month, "bytes", history.path, 2),
        at_most(history.growth_max_bytes, history.deciding("growth_max_bytes")),
        f"{size(grown.grown)} in {grown.days:.1f} days, to {size(live.size)}; most of it:"
        f" {worst(f'{name} {size(more)}' for name, more in grown.tables)}",
    )


def _live(database: Database) -> Snapshot:
    with looking(database) as connection:
        return counters.take(connection)


def _history(database: Database) -> History:
    if database.history is None:
        raise NoData("not configured", where=f"[databases.{database.name}.history]")
    return database.history
