"""What must turn each check of the bloat red."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from readiness.faults import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

# About 45 MB of table, 40 MB of index; both are looked at from 30 MB on.
_WIDE: Final = 100_000
_LONG: Final = 1_500_000
_UNDO: Final = "drop schema bloated cascade"


@fault(
    turns_red={"database.table-bloat[shop]"},
    story="A clean-up deleted most of a table, and vacuum cannot give back what is in its middle",
)
@contextmanager
def table_mostly_empty(system: "ReferenceSystem") -> Iterator[None]:
    """Three of four rows are gone, and the last ones are still there: it cannot become shorter."""
    with system.levers.sql_each(
        (
            "create schema bloated",
            "create table bloated.events as select n, repeat('x', 400) as payload"  # noqa: S608 - a constant
            f" from generate_series(1, {_WIDE}) n",
            f"delete from bloated.events where n % 4 <> 0 and n < {_WIDE}",  # noqa: S608 - a constant
            "vacuum analyze bloated.events",
        ),
        (_UNDO,),
    ):
        yield


@fault(
    turns_red={"database.index-bloat[shop]"},
    story="A queue's rows live for seconds, and its index keeps the pages on which they stood",
)
@contextmanager
def index_mostly_empty(system: "ReferenceSystem") -> Iterator[None]:
    """The table is shortened after, as `truncate` of a part would: only the index is sparse."""
    with system.levers.sql_each(
        (
            "create schema bloated",
            f"create table bloated.queue as select n::bigint from generate_series(1, {_LONG}) n",
            "create index queue_idx on bloated.queue (n)",
            "delete from bloated.queue where n % 10 <> 0",
            "vacuum analyze bloated.queue",
        ),
        (_UNDO,),
    ):
        yield
