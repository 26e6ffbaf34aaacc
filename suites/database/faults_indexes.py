"""Faults of indexes, of bloat and of the history: most of them change the schema, too."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from readiness.model.fault import fault
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


@fault(
    misses={"database.bloat[shop]": {"tables"}, **_UNKNOWN_OBJECTS},
    story="A clean-up deleted most of a table; vacuum cannot give back the middle of a file.",
)
@contextmanager
def table_mostly_empty(system: ReferenceSystem) -> Iterator[None]:
    """Three of four rows are gone, and the last ones are still there."""
    with system.levers.sql_each(
        ("create schema bloated", _EVENTS, _CLEAN_UP, "vacuum analyze bloated.events"), (_UNDO,)
    ):
        yield


@fault(
    misses={"database.bloat[shop]": {"indexes"}, **_UNKNOWN_OBJECTS},
    story="A queue's rows live for seconds, and its index keeps their pages.",
)
@contextmanager
def index_mostly_empty(system: ReferenceSystem) -> Iterator[None]:
    """The table's own room is taken by rows of one value, of which an index takes little."""
    with system.levers.sql_each(
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
    ):
        yield


@fault(
    misses={"database.indexes[shop]": {"duplicates"}, **_UNKNOWN_OBJECTS},
    story="A migration made an index that was there already, under another name.",
)
@contextmanager
def index_made_twice(system: ReferenceSystem) -> Iterator[None]:
    """What `create index` without a name does when it runs a second time."""
    with system.levers.sql(
        "create index readiness_twice on shop.orders (created_at)",
        "drop index shop.readiness_twice",
    ):
        yield


@fault(
    misses={"database.indexes[shop]": {"unused"}, **_UNKNOWN_OBJECTS},
    story="An index was made for a query that no release ever ran.",
)
@contextmanager
def index_that_nobody_uses(system: ReferenceSystem) -> Iterator[None]:
    """It is in all snapshots of forty days, and was used in none of them."""
    with (
        system.levers.sql(
            "create index readiness_idle on shop.orders (total_cents)",
            "drop index shop.readiness_idle",
        ),
        system.levers.history_begun_anew(),
    ):
        yield


@fault(
    misses={"database.indexes[shop]": {"foreign-keys"}, **_UNKNOWN_OBJECTS},
    story="The index of a foreign key was dropped, as nobody had seen a query use it.",
)
@contextmanager
def foreign_key_without_index(system: ReferenceSystem) -> Iterator[None]:
    """60,000 rows are read for each order that is deleted."""
    with system.levers.drop_index("shop.order_items_order_id_idx"):
        yield


@fault(
    misses={"database.invalid-indexes[shop]": {"invalid"}, **_UNKNOWN_OBJECTS},
    story="A unique index was to be built on values that are not unique.",
)
@contextmanager
def index_left_invalid(system: ReferenceSystem) -> Iterator[None]:
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


@fault(
    misses={"database.snapshots-run[shop]": {"bloat"}},
    story="The daily bloat snapshots have stopped, the hourly counter snapshots go on.",
    needs="pgstattuple",
)
@contextmanager
def bloat_snapshots_stopped(system: ReferenceSystem) -> Iterator[None]:
    """As with a job that runs into its timeout each day."""
    with system.levers.newest_snapshot("bloat", moved_days=-3):
        yield


@fault(
    misses={"database.snapshots-run[shop]": {"counters"}},
    story="The server's clock was a day ahead when the newest snapshot was taken.",
    needs="pgstattuple",
)
@contextmanager
def snapshot_from_the_future(system: ReferenceSystem) -> Iterator[None]:
    """It would look new for a day, though no other one is taken."""
    with system.levers.newest_snapshot("usage", moved_days=1):
        yield


@fault(
    misses={"database.snapshots-run[shop]": {"coverage"}},
    story="The snapshots are taken as a role that sees none of the tables.",
    needs="pgstattuple",
)
@contextmanager
def snapshots_are_empty(system: ReferenceSystem) -> Iterator[None]:
    """The job runs each hour, and ends well."""
    with system.levers.newest_snapshot("usage", tables={}, indexes=()):
        yield


@fault(
    misses={"database.counters[shop]": {"reach"}},
    story="No snapshots were taken for two weeks, then the server crashed.",
)
@contextmanager
def snapshots_stood_still(system: ReferenceSystem) -> Iterator[None]:
    """What was counted in that time is lost."""
    with system.levers.history_changed(lambda file: file.execute(_GAP)):
        yield


@fault(
    misses={"database.growth[shop]": {"growth"}},
    story="A log is kept in the database, and nobody prunes it.",
)
@contextmanager
def log_that_nobody_prunes(system: ReferenceSystem) -> Iterator[None]:
    """25 MB of it, in a month in which 20 MB are agreed.

    Until PostgreSQL 15 each block by which a table grows counts as one that the cache did not
    have: much more of it would lower the share of cache hits for as long as the server runs.
    """
    with (
        system.levers.replace_in_config(
            "growth_max_bytes = 100000000", "growth_max_bytes = 20000000"
        ),
        system.levers.sql(
            "create schema readiness_growth;"  # noqa: S608 - a constant
            # In large values, which nothing reads.
            "create table readiness_growth.log (n int, lines text);"
            "alter table readiness_growth.log alter lines set storage external;"
            "insert into readiness_growth.log"
            f" select n, repeat(md5(n::text), {_LINES}) from generate_series(1, {_ROWS}) n;"
            "analyze readiness_growth.log",
            "drop schema readiness_growth cascade",
        ),
    ):
        yield
