"""Whether the database is remembered, and what its past tells: what nobody uses, how it grows."""

from pathlib import Path

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.database.config import Database
from readiness.areas.database.config_history import History
from readiness.areas.database.history import evidence as past
from readiness.areas.database.history import growth
from readiness.areas.database.history.evidence import Use
from readiness.areas.database.history.snapshot import Scans, Snapshot
from readiness.areas.database.history.store import Store
from readiness.areas.database.statements import indexes, snapshot
from readiness.areas.database.statements.indexes import Index
from readiness.areas.database.statements.told import size
from readiness.lib import postgres
from readiness.lib.text import worst
from readiness.model.errors import NoData
from readiness.model.measurement import Limit

_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S
_COUNTERS = "pg_stat_user_indexes and the snapshots"


@check(
    "database.snapshots-run",
    title="The database is remembered: hourly its counters, daily its bloat",
    why="""What PostgreSQL counts has no past, and a crash empties it without a word. Only who wrote
    it down before can tell that an index was not used for a month, that a statement became slower,
    or how fast the disk fills. A job that stopped is noticed on the day its figures are needed.""",
    fix="""Run it by hand and see what it says:
    readiness snapshot --config readiness.toml
Then let cron run it each hour, as the account that runs the gate:
    7 * * * * readiness snapshot --config /etc/readiness/readiness.toml
Daily figures of the bloat are taken by the same job. The guide shows a systemd timer, too.""",
    severity="major",
    effect="observe",
    each="remembered_database",
)
def test_snapshots_run(remembered_database: Database, evidence: Evidence) -> None:
    """By the age of what is stored, and by how much of today's objects it holds."""
    history = _history(remembered_database)
    with postgres.connect(
        remembered_database.dsn, timeout_s=remembered_database.timeout_s
    ) as connection:
        live = snapshot.take(connection)
    store = Store(Path(history.path))
    usage, bloated = store.newest_usage(live.server), store.newest_bloat(live.server)
    for what, at, limit_h in (
        ("the newest snapshot of indexes and tables", usage and usage.at, history.index_max_age_h),
        ("the newest snapshot of bloat", bloated and bloated.at, history.bloat_max_age_h),
    ):
        there = Measurement(f"snapshots: {what}", int(at is not None), "count", history.path)
        if (
            evidence.judge("there", there, equal_to(1), "there is none: run `readiness snapshot`")
            and at
        ):
            age = Measurement(f"age of {what}", (live.at - at) / _HOUR_S, "h", history.path)
            evidence.judge(
                "age", age, at_most(limit_h), "the job has stopped, or never ran by itself"
            )
            evidence.judge(
                "age", age, at_least(-0.1), "it is dated in the future: a clock went wrong"
            )
    if usage:
        _judge_coverage(usage, live, history.coverage_min_share, evidence)


def _judge_coverage(old: Snapshot, live: Snapshot, least: float, evidence: Evidence) -> None:
    for what, now, known in (
        ("indexes", {i.name for i in live.indexes}, {i.name for i in old.indexes}),
        ("tables", set(live.tables), set(old.tables)),
    ):
        if not now:
            raise NoData(f"the database has no {what}", where=live.server.database)
        missing = sorted(now - known)
        evidence.judge(
            "share-today-s", Measurement(
                f"share of today's {what} in it", 1 - len(missing) / len(now), "ratio",
                "the newest snapshot", len(now),
            ),
            at_least(least),
            f"it lacks {worst(missing)}",
        )  # fmt: skip


@check(
    "database.counters-reach-back",
    title="What the database has counted reaches back far enough to judge by it",
    why="""An index that was used 0 times says nothing if its counters began yesterday. They begin
    anew at every crash, and PostgreSQL 15 and later do not even say so: stats_reset stays NULL.
    Who then drops what looks unused finds out at the end of the month what needed it.""",
    fix="""See since when they count, and what emptied them (a crash, a failover, pg_stat_reset):
    select stats_reset from pg_stat_bgwriter;
    select pg_postmaster_start_time();
Snapshots outlive that: declare [databases.NAME.history], run `readiness snapshot` each hour, and
wait. Nothing else brings back what was not written down.""",
    severity="minor",
    effect="observe",
    each="database",
)
def test_counters_reach_back(database: Database, evidence: Evidence) -> None:
    """Counters and snapshots together, as long as no gap lies between them."""
    with postgres.connect(database.dsn, timeout_s=database.timeout_s) as connection:
        live = snapshot.take(connection)
    reach = _reach(database, live)
    limits = database.history
    warning, least = (
        (limits.evidence_warning_days, limits.evidence_min_days) if limits else (30.0, 7.0)
    )
    measured = Measurement(
        "days that the counters of tables and indexes reach back",
        reach.days,
        "days",
        "pg_stat_bgwriter.stats_reset" + (" and the snapshots" if limits else ""),
        1 if reach.first is None else 2,
    )
    because = (
        "they began anew after a time that no snapshot tells of"
        if reach.broken_at
        else "there is nothing older"
    )
    if evidence.judge("measured", measured, at_least(least), because):
        evidence.judge("measured", measured, at_least(warning), because, warn_only=True)
    evidence.record(
        Measurement("hours within it of which nothing is known", reach.unseen_s / _HOUR_S, "h",
                    "from each snapshot to the reset after it")
    )  # fmt: skip


@check(
    "database.unused-indexes",
    title="Every index has been used lately",
    why="""Each index is written at every insert and takes space in memory, on disk and in every
    backup. One that no query has used for a month costs all of that for nothing. It is named here
    only where counters and snapshots really tell of all that time.""",
    fix="""Look whether anything needs it that runs seldom, or on a standby (counters are kept by
each server for itself), then drop it without locking the table out:
    drop index concurrently SCHEMA.INDEX;
One that has to stay, as for a yearly report: keep = ["SCHEMA.INDEX"] in
[databases.NAME.indexes].""",
    severity="major",
    effect="observe",
    each="remembered_database",
)
def test_unused_indexes(remembered_database: Database, evidence: Evidence) -> None:
    """Of those on which nothing but speed depends: unique ones and constraints are not judged."""
    limits = remembered_database.indexes
    with postgres.connect(
        remembered_database.dsn, timeout_s=remembered_database.timeout_s
    ) as connection:
        plain = {
            index.oid: index
            for index in indexes.read(connection)
            if index.droppable and index.name not in limits.keep
        }
        live = snapshot.take(connection)
    snapshots, reach = _evidence(remembered_database, live)
    known = [use for use in past.uses(snapshots, live) if use.index.oid in plain]
    unused = _idle(known, live.at, limits.unused_days)
    _refuse_too_short(known, reach, limits.unused_days)
    lost = sum(use.index.size for use in unused)
    because = worst(_told(use, plain[use.index.oid], live.at) for use in unused)
    small = evidence.judge(
        "bytes-unused-indexes",
        Measurement("bytes of unused indexes", lost, "bytes", _COUNTERS, len(known)),
        Limit("<", limits.unused_max_bytes),
        because,
    )
    evidence.judge(
        "indexes-without-any-use", Measurement(
            f"indexes without any use for {limits.unused_days:g} days", len(unused), "count",
            _COUNTERS, len(known),
        ),
        equal_to(0),
        because,
        warn_only=small,
    )  # fmt: skip
    named = {use.index.oid for use in unused}
    idle = _idle(known, live.at, limits.active_days)
    little = [use for use in idle if use.index.oid not in named]
    evidence.record(
        Measurement(f"little used: not for {limits.active_days:g} days", len(little), "count",
                    _COUNTERS, len(known))
    )  # fmt: skip


def _idle(known: list[Use], now: float, days: float) -> list[Use]:
    """Those without any use for so long, the largest first."""
    found = [use for use in known if use.idle_s(now) >= days * _DAY_S]
    return sorted(found, key=lambda use: (-use.index.size, use.index.name))


def _told(use: Use, index: Index, now: float) -> str:
    return (
        f"{index.name} of {index.table} ({size(use.index.size)}, no use for"
        f" {use.idle_s(now) / _DAY_S:.0f} days at least): drop index concurrently {index.quoted};"
    )


def _refuse_too_short(known: list[Use], reach: past.Evidence, days: float) -> None:
    """Without evidence for all that time, an index that was not seen used may be used all the same.

    Raises:
        NoData: there are such indexes. One that was made within the evidence is none.
    """
    unseen = [use for use in known if use.last is None and use.known_from_the_start]
    if reach.days < days and unseen:
        raise NoData(
            f"{len(unseen)} indexes were not used within the {reach.days:.1f} days that the"
            f" counters reach back, which does not tell of {days:g} days:"
            f" {worst(use.index.name for use in unseen)}",
            where="pg_stat_user_indexes",
            remedy="see database.counters-reach-back: run `readiness snapshot` each hour, and wait",
        )


@check(
    "database.growth",
    title="The database grows no faster than was planned",
    why="""A disk that is full stops every write at once, and the server with it. What fills it is a
    table that nobody prunes, an event log, an index that bloats: weeks before, that shows as a
    slope, and on the last day as an outage.""",
    fix="""See what grows; the finding names the tables:
    select relname, pg_size_pretty(pg_total_relation_size(relid)) from pg_stat_user_tables
    order by pg_total_relation_size(relid) desc limit 10;
Prune it, partition it by time and drop old parts, or plan for more: growth_max_bytes in
[databases.NAME.history].""",
    severity="major",
    effect="observe",
    each="remembered_database",
)
def test_growth(remembered_database: Database, evidence: Evidence) -> None:
    """From the oldest snapshot of the last 30 days to now, as a month would be."""
    history = _history(remembered_database)
    with postgres.connect(
        remembered_database.dsn, timeout_s=remembered_database.timeout_s
    ) as connection:
        live = snapshot.take(connection)
    then = Store(Path(history.path)).usage_at(live.server, live.at - growth.MONTH_S)
    grown = growth.of([then] if then else [], live, least_days=history.growth_min_days)
    evidence.judge(
        "growth-30-days",
        Measurement("growth in 30 days", grown.month, "bytes", history.path, 2),
        at_most(history.growth_max_bytes),
        f"{size(grown.grown)} in {grown.days:.1f} days, to {size(live.size)}; most of it:"
        f" {worst(f'{name} {size(more)}' for name, more in grown.tables)}",
    )


def _history(database: Database) -> History:
    if database.history is None:
        raise NoData("there is no [databases.NAME.history]", where=database.name)
    return database.history


def _since(database: Database, live: Snapshot) -> float:
    """A little more than is asked for: of the older days one snapshot each is kept."""
    days = max(database.indexes.unused_days, _history(database).evidence_warning_days) + 2
    return live.at - days * _DAY_S


def _evidence(database: Database, live: Snapshot) -> tuple[list[Scans], past.Evidence]:
    """The snapshots that the evidence is made of, and how far it reaches."""
    history = _history(database)
    stored = Store(Path(history.path)).scans(live.server, since=_since(database, live))
    snapshots = [one for one in stored if one.mark.at < live.at]
    marks = [one.mark for one in snapshots]
    reach = past.reaching(marks, live.mark, gap_max_s=history.index_max_age_h * _HOUR_S)
    return ([] if reach.first is None else snapshots[reach.first :]), reach


def _reach(database: Database, live: Snapshot) -> past.Evidence:
    history = database.history
    if history is None:
        return past.reaching([], live.mark, gap_max_s=0.0)
    stored = Store(Path(history.path)).marks(live.server, since=_since(database, live))
    marks = [mark for mark in stored if mark.at < live.at]
    return past.reaching(marks, live.mark, gap_max_s=history.index_max_age_h * _HOUR_S)
