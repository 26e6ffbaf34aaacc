"""What must turn each check of the history red."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

# MiB, written since the reference's history began: all of it within a month.
_ROWS: Final = 24
_LINES: Final = 32_768  # of 32 bytes: 1 MiB a row
# The time before the newest snapshot: two weeks of it are taken out.
_GAP: Final = """
delete from snapshots where kind = 'usage'
and at > (select max(at) from snapshots where kind = 'usage') - 14 * 86400
and at < (select max(at) from snapshots where kind = 'usage')"""


@fault(
    turns_red={"database.snapshots-run[shop]"},
    story="The daily snapshots of the bloat have stopped, the hourly ones of the indexes go on",
)
@contextmanager
def bloat_snapshots_stopped(system: "ReferenceSystem") -> Iterator[None]:
    """What a job does that runs into its time-out each day."""
    with system.levers.bloat_dated_back(days=3):
        yield


@fault(
    turns_red={"database.counters-reach-back[shop]"},
    story="The snapshots stood still for two weeks, then the server crashed",
)
@contextmanager
def snapshots_stood_still(system: "ReferenceSystem") -> Iterator[None]:
    """What was counted in that time was emptied before anybody wrote it down."""
    with system.levers.history_changed(lambda file: file.execute(_GAP)):
        yield


@fault(
    # Nobody wrote a migration for it, either.
    turns_red={
        "database.unused-indexes[shop]",
        "schema.fingerprint[shop]",
        "schema.migrations-drift[shop]",
    },
    story="An index was made for a query that no release ever ran",
)
@contextmanager
def index_that_nobody_uses(system: "ReferenceSystem") -> Iterator[None]:
    """It stands in the history for forty days, and was used in none of them."""
    with (
        system.levers.sql(
            "create index readiness_idle on shop.orders (total_cents)",
            "drop index shop.readiness_idle",
        ),
        system.levers.history_begun_anew(),
    ):
        yield


@fault(
    turns_red={"database.growth[shop]"},
    story="Somebody keeps a log in the database that nobody prunes",
)
@contextmanager
def log_without_an_end(system: "ReferenceSystem") -> Iterator[None]:
    """25 MB of it, in a month in which 20 MB are agreed.

    Until PostgreSQL 15 each block that a table grows by counts as one that the cache did not have:
    much more of it would be seen in the share of cache hits, for as long as the server runs.
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
