"""What must turn each check of the bloat red."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

# About 27 MB of table, 22 MB of index; both are looked at from 20 MB on.
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


@fault(
    # Nobody wrote a migration for it, either.
    turns_red={
        "database.table-bloat[shop]",
        "schema.fingerprint[shop]",
        "schema.migrations-drift[shop]",
    },
    story="A clean-up deleted most of a table, and vacuum cannot give back what is in its middle",
)
@contextmanager
def table_mostly_empty(system: "ReferenceSystem") -> Iterator[None]:
    """Three of four rows are gone, and the last ones are still there: it cannot become shorter."""
    with system.levers.sql_each(
        (
            "create schema bloated",
            _EVENTS,
            _CLEAN_UP,
            "vacuum analyze bloated.events",
        ),
        (_UNDO,),
    ):
        yield


@fault(
    # Nobody wrote a migration for it, either.
    turns_red={
        "database.index-bloat[shop]",
        "schema.fingerprint[shop]",
        "schema.migrations-drift[shop]",
    },
    story="A queue's rows live for seconds, and its index keeps the pages on which they stood",
)
@contextmanager
def index_mostly_empty(system: "ReferenceSystem") -> Iterator[None]:
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
