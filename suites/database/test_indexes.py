"""Indexes that only cost, that are missing, or that no query may use."""

from readiness import Evidence, Measurement, at_least, check
from readiness.areas.database import trends
from readiness.areas.database.config import Database
from readiness.areas.database.grading import size
from readiness.areas.database.probes import counters, indexes
from readiness.areas.database.probes.indexes import ForeignKey, Index
from readiness.areas.database.trends import Use
from readiness.lib.findings import none_of
from readiness.lib.postgres import Connection
from readiness.lib.postgres.session import looking
from readiness.lib.text import worst
from readiness.model.errors import NoData
from readiness.model.measurement import Limit

_DAY_S = 86400.0
_COUNTERS = "pg_stat_user_indexes and the snapshots"


@check(
    "database.indexes",
    title="Every index is needed, and every foreign key has one",
    failure_title="Indexes are unused, duplicate or missing",
    each="database",
    severity="major",
    explains=("database.statement-latency", "performance.query-latency"),
    why="""Each index is written at every insert and takes memory, disk and backup space; an unused
    or duplicate one costs that for nothing. Without an index on a foreign key, each delete of a
    parent reads the whole child table while it holds a lock.""",
    fix="""The message has the statement for each index.
duplicates: the one to keep is named:     drop index concurrently SCHEMA.INDEX;
unused: check first whether a rare report or a standby uses it (each server counts for itself),
then                 drop index concurrently SCHEMA.INDEX;
or keep it:          keep = ["SCHEMA.INDEX"]   in [databases.NAME.indexes]
foreign-keys: any order of the columns serves, a partial index does not:
    create index concurrently on SCHEMA.TABLE (COLUMNS);""",
    judgements=("duplicates", "unused", "foreign-keys"),
)
def test_indexes(database: Database, evidence: Evidence) -> None:
    """Duplicates have the same columns, order, operator classes and predicate.

    Use is judged where [databases.NAME.history] is declared, for indexes that serve nothing but
    speed, and no foreign key. Foreign keys without an index are a warning, on large tables only.
    """
    with looking(database) as connection:
        with evidence.attempt():
            found = indexes.read(connection)
            _judge_duplicates(database, found, evidence)
            if database.history:
                _judge_use(database, connection, found, evidence)
        with evidence.attempt():
            _judge_foreign_keys(database, indexes.foreign_keys(connection), evidence)


def _judge_duplicates(database: Database, found: list[Index], evidence: Evidence) -> None:
    pairs, limits = indexes.duplicates(found), database.indexes
    wasted = sum(pair.drop.size for pair in pairs)
    because = [
        f"{pair.drop.name} ({size(pair.drop.size)}) duplicates {pair.keep.name}: {pair.statement}"
        for pair in pairs
    ]
    if wasted >= limits.duplicate_max_bytes:
        limit = Limit("<", limits.duplicate_max_bytes, limits.deciding("duplicate_max_bytes"))
        size_of = Measurement("Size of duplicate indexes", wasted, "bytes", "pg_index", len(found))
        evidence.judge("duplicates", size_of, limit, worst(because))
        return
    name = "indexes duplicate another one"
    none_of(evidence, "duplicates", name, because, len(found), "pg_index", warn_only=True)


def _judge_use(
    database: Database, connection: Connection, found: list[Index], evidence: Evidence
) -> None:
    """By counters and snapshots together, once they reach back far enough."""
    limits = database.indexes
    plain = {
        index.oid: index for index in found if index.droppable and index.name not in limits.keep
    }
    live = counters.take(connection)
    snapshots, reach = trends.scans(database, live)
    known = [use for use in trends.uses(snapshots, live) if use.index.oid in plain]
    unused = _idle(known, live.at, limits.unused_days)
    if _is_undecided(known, reach, limits.unused_days):
        _judge_reach(database, known, reach, evidence)
        return
    wasted = sum(use.index.size for use in unused)
    because = [_described(use, plain[use.index.oid], live.at) for use in unused]
    if wasted >= limits.unused_max_bytes:
        limit = Limit("<", limits.unused_max_bytes, limits.deciding("unused_max_bytes"))
        size_of = Measurement("Size of unused indexes", wasted, "bytes", _COUNTERS, len(known))
        evidence.judge("unused", size_of, limit, worst(because))
    else:
        name = f"indexes unused for {limits.unused_days:g} days"
        none_of(evidence, "unused", name, because, len(known), _COUNTERS, warn_only=True)
    little = len(_idle(known, live.at, limits.active_days)) - len(unused)
    name = f"Indexes used since, but not for {limits.active_days:g} days"
    evidence.record(Measurement(name, little, "count", _COUNTERS, len(known)))


def _idle(known: list[Use], now: float, days: float) -> list[Use]:
    """Those without any use for so long, the largest first."""
    found = [use for use in known if use.idle_s(now) >= days * _DAY_S]
    return sorted(found, key=lambda use: (-use.index.size, use.index.name))


def _described(use: Use, index: Index, now: float) -> str:
    return (
        f"{index.name} of {index.table} ({size(use.index.size)}, unused for at least"
        f" {use.idle_s(now) / _DAY_S:.0f} days): {index.dropping}"
    )


def _is_undecided(known: list[Use], reach: trends.Reach, days: float) -> bool:
    """Whether an index was unused, but not for long enough to call it so.

    An index that was created within that time is not one of them.
    """
    return reach.days < days and bool(_unseen(known))


def _unseen(known: list[Use]) -> list[str]:
    return [use.index.name for use in known if use.last is None and use.known_from_the_start]


def _judge_reach(
    database: Database, known: list[Use], reach: trends.Reach, evidence: Evidence
) -> None:
    """Warn in the first days of a history, which says when indexes are judged.

    Raises:
        NoData: a gap cut the history off: use before it is unknown.
    """
    limits, unseen = database.indexes, _unseen(known)
    so_far = f"{len(unseen)} indexes unused until now: {worst(unseen)}"
    if reach.broken_at is not None:
        raise NoData(
            f"counters and snapshots reach back {reach.days:.1f} days, too few to call"
            f" {len(unseen)} indexes unused for {limits.unused_days:g} days: {worst(unseen)}",
            where="pg_stat_user_indexes",
            remedy="run `readiness snapshot` each hour, and wait; see database.counters",
        )
    measured = Measurement(
        "Days that counters and snapshots reach back", reach.days, "days", _COUNTERS, len(known)
    )
    least = at_least(limits.unused_days, limits.deciding("unused_days"))
    judged_from = trends.day_of(reach.since, limits.unused_days)
    because = f"use is judged from {judged_from} on; {so_far}"
    evidence.judge("unused", measured, least, because, warn_only=True)


def _judge_foreign_keys(database: Database, found: list[ForeignKey], evidence: Evidence) -> None:
    least = database.indexes.foreign_key_min_rows
    bare = [key for key in found if not key.indexed]
    # Two keys on the same columns need one index, not one each.
    first = {(key.table, key.columns): key for key in reversed(bare)}
    large = [
        f"{key.name} of {key.table} (about {key.rows:,} rows, {size(key.size)}) references"
        f" {key.parent}: {_serving(key, first[key.table, key.columns])}"
        for key in bare
        if key.rows >= least
    ]
    source = "pg_constraint, pg_index"
    name = f"foreign keys without an index, of tables with {least:,} rows or more"
    none_of(evidence, "foreign-keys", name, large, len(found), source, warn_only=True)
    name, small = "Foreign keys without an index, of smaller tables", len(bare) - len(large)
    evidence.record(Measurement(name, small, "count", source))


def _serving(key: ForeignKey, first: ForeignKey) -> str:
    return key.statement if key is first else f"the index for {first.name} serves it, too"


@check(
    "database.invalid-indexes",
    title="No index is invalid",
    failure_title="Invalid indexes slow down writes and serve no query",
    each="database",
    severity="major",
    why="""A `create index concurrently` that failed leaves an index that every write maintains and
    no query uses; a unique one does not keep duplicates out. pg_dump leaves it out silently, so a
    restored database differs.""",
    fix="""The message has the statement for each. See why it failed (duplicates, for a unique
index), then build it again:
    reindex index concurrently SCHEMA.INDEX;
One that `reindex concurrently` left (its name ends in _ccnew or _ccold) would be a duplicate:
    drop index concurrently SCHEMA.INDEX_ccnew;
A partitioned index, parts of which are missing, as the statement blocks writes meanwhile: build
the same index on each partition first, concurrently; it is then attached, not built.
An index that is being built does not count: select * from pg_stat_progress_create_index;""",
    judgements=("invalid",),
)
def test_invalid_indexes(database: Database, evidence: Evidence) -> None:
    """Only what is valid, ready and live serves queries; TOAST tables count as well."""
    with looking(database) as connection:
        found = indexes.read(connection)
        of_toast = indexes.invalid_of_toast(connection)
    broken = [
        f"{index.name} of {index.table} ({size(index.size)}): {indexes.remedy(index, found)}"
        for index in indexes.invalid(found)
    ]
    none_of(evidence, "invalid", "indexes invalid", broken + of_toast, len(found), "pg_index")
