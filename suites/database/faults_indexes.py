"""Faults of indexes, of bloat and of the history: most of them change the schema, too."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg

from readiness.model.fault import broken_by, fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

# No migration made the objects of these faults.
_UNKNOWN_OBJECTS: Final = {
    "schema.fingerprint[shop]": {"objects-differ"},
    "schema.migrations-drift[shop]": {"objects-differ"},
}
# About 27 MB of table, 22 MB of index; both are judged from 20 MB on.
_WIDE: Final = 60_000
_LONG: Final = 1_000_000
_EVENTS: Final = f"""
create table bloated.events as select n, repeat('x', 400) as payload
from generate_series(1, {_WIDE}) n"""  # noqa: S608 - a constant
_CLEAN_UP: Final = f"delete from bloated.events where n % 4 <> 0 and n < {_WIDE}"  # noqa: S608 - a constant
_QUEUE: Final = f"""
create table bloated.queue as select n::bigint from generate_series(1, {_LONG}) n"""  # noqa: S608 - a constant
_REFILL: Final = f"""
insert into bloated.queue select 0 from generate_series(1, {_LONG} * 9 / 10)"""  # noqa: S608 - a constant
_UNDO: Final = "drop schema bloated cascade"
# MiB, written since the reference's history began: all of it within a month.
_ROWS: Final = 24
_LINES: Final = 32_768  # of 32 bytes: 1 MiB a row
# Two weeks before the newest snapshot are taken out.
_GAP: Final = """
delete from snapshots where kind = 'usage'
and at > (select max(at) from snapshots where kind = 'usage') - 14 * 86400
and at < (select max(at) from snapshots where kind = 'usage')"""


table_mostly_empty = broken_by(
    "table_mostly_empty",
    "A clean-up deleted most of a table; vacuum cannot give back the middle of a file.",
    {"database.bloat[shop]": {"tables"}, **_UNKNOWN_OBJECTS},
    lambda levers: levers.sql_each(
        ("create schema bloated", _EVENTS, _CLEAN_UP, "vacuum analyze bloated.events"), (_UNDO,)
    ),
)

index_mostly_empty = broken_by(
    "index_mostly_empty",
    "A queue's rows live for seconds, and its index keeps their pages.",
    {"database.bloat[shop]": {"indexes"}, **_UNKNOWN_OBJECTS},
    lambda levers: levers.sql_each(
        (
            "create schema bloated",
            _QUEUE,
            "create index queue_idx on bloated.queue (n)",
            "delete from bloated.queue where n % 10 <> 0",
            "vacuum bloated.queue",
            _REFILL,
            "vacuum analyze bloated.queue",
        ),
        (_UNDO,),
    ),
)

index_made_twice = broken_by(
    "index_made_twice",
    "A migration made an index that was there already, under another name.",
    {"database.indexes[shop]": {"duplicates"}, **_UNKNOWN_OBJECTS},
    lambda levers: levers.sql(
        "create index readiness_twice on shop.orders (created_at)",
        "drop index shop.readiness_twice",
    ),
)

index_that_nobody_uses = broken_by(
    "index_that_nobody_uses",
    "An index was made for a query that no release ever ran.",
    {"database.indexes[shop]": {"unused"}, **_UNKNOWN_OBJECTS},
    lambda levers: (
        levers.sql(
            "create index readiness_idle on shop.orders (total_cents)",
            "drop index shop.readiness_idle",
        ),
        levers.history_begun_anew(),
    ),
)

foreign_key_without_index = broken_by(
    "foreign_key_without_index",
    "The index of a foreign key was dropped, as no query was seen to use it.",
    {"database.indexes[shop]": {"foreign-keys"}, **_UNKNOWN_OBJECTS},
    lambda levers: levers.drop_index("shop.order_items_order_id_idx"),
)


@fault(
    misses={"database.invalid-indexes[shop]": {"invalid"}, **_UNKNOWN_OBJECTS},
    story="A unique index was to be built on values that are not unique.",
)
@contextmanager
def index_left_invalid(system: "ReferenceSystem") -> Iterator[None]:
    """What a real `create index concurrently` leaves when it fails."""
    with psycopg.connect(system.levers.superuser, autocommit=True) as connection:
        with contextlib.suppress(psycopg.errors.UniqueViolation):
            connection.execute(
                "create unique index concurrently readiness_unfinished on shop.orders (status)"
            )
        try:
            yield
        finally:
            connection.execute("drop index shop.readiness_unfinished")


bloat_snapshots_stopped = broken_by(
    "bloat_snapshots_stopped",
    "The daily bloat snapshots have stopped, the hourly counter snapshots go on.",
    {"database.snapshots-run[shop]": {"bloat"}},
    lambda levers: levers.newest_snapshot("bloat", moved_days=-3),
    needs="pgstattuple",
)

snapshot_from_the_future = broken_by(
    "snapshot_from_the_future",
    "The server's clock was a day ahead when the newest snapshot was taken.",
    {"database.snapshots-run[shop]": {"counters"}},
    lambda levers: levers.newest_snapshot("usage", moved_days=1),
    needs="pgstattuple",
)

snapshots_are_empty = broken_by(
    "snapshots_are_empty",
    "The snapshots are taken as a role that sees none of the tables.",
    {"database.snapshots-run[shop]": {"coverage"}},
    lambda levers: levers.newest_snapshot("usage", tables={}, indexes=()),
    needs="pgstattuple",
)

snapshots_stood_still = broken_by(
    "snapshots_stood_still",
    "No snapshots were taken for two weeks, then the server crashed.",
    {"database.counters[shop]": {"reach"}},
    lambda levers: levers.history_changed(lambda file: file.execute(_GAP)),
)

log_that_nobody_prunes = broken_by(
    "log_that_nobody_prunes",
    "A log is kept in the database, and never pruned.",
    {"database.growth[shop]": {"growth"}},
    lambda levers: (
        levers.replace_in_config("growth_max_bytes = 100000000", "growth_max_bytes = 20000000"),
        levers.sql(
            "create schema readiness_growth;"  # noqa: S608 - a constant
            # In large values, which nothing reads.
            "create table readiness_growth.log (n int, lines text);"
            "alter table readiness_growth.log alter lines set storage external;"
            "insert into readiness_growth.log"
            f" select n, repeat(md5(n::text), {_LINES}) from generate_series(1, {_ROWS}) n;"
            "analyze readiness_growth.log",
            "drop schema readiness_growth cascade",
        ),
    ),
)
