"""What proves the checks of the server, and of what it counted."""

from collections.abc import Iterator
from contextlib import contextmanager

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem


@fault(
    turns_red={"database.privileges[shop]"},
    story="Somebody made the monitoring role a superuser, so that it would work.",
)
@contextmanager
def monitoring_is_superuser(system: ReferenceSystem) -> Iterator[None]:
    """It sees everything, and whoever finds its password may do everything."""
    with system.levers.sql(
        "alter role shop_monitor superuser", "alter role shop_monitor nosuperuser"
    ):
        yield


@fault(
    turns_red={
        "database.privileges[shop]",
        "database.sequence-exhaustion[shop]",
        "schema.integrity[shop]",
    },
    story="The monitoring role may not read the sequences.",
)
@contextmanager
def sequences_are_hidden(system: ReferenceSystem) -> Iterator[None]:
    """PostgreSQL shows NULL for them, as if nobody had ever used them."""
    with system.levers.revoke("select", on="all sequences in schema shop", of="shop_monitor"):
        yield


@fault(
    turns_red={"database.settings-durability[shop]"},
    story="full_page_writes was switched off for an import, and forgotten.",
)
@contextmanager
def pages_are_written_in_part(system: ReferenceSystem) -> Iterator[None]:
    """Everything works, until the power fails."""
    with system.levers.server_setting("full_page_writes", "off"):
        yield


@fault(
    turns_red={"database.data-checksums[shop]"},
    story="The disk changed some bytes of a page, in one database of the server.",
)
@contextmanager
def page_is_damaged(system: ReferenceSystem) -> Iterator[None]:
    """Somebody's query failed, and the server counted it."""
    with system.levers.damaged_page():
        yield


@fault(
    turns_red={"database.version-supported[shop]"},
    story="A release is required that has the fix of a security hole, and an older one runs.",
)
@contextmanager
def server_is_too_old(system: ReferenceSystem) -> Iterator[None]:
    """The server is the same as ever: what is required of it is not."""
    with system.levers.limits(min_version="98.4"):
        yield


@fault(
    turns_red={"database.connections[shop]"},
    story="An application took nearly all connections.",
)
@contextmanager
def connections_run_out(system: ReferenceSystem) -> Iterator[None]:
    """What is left is enough for those that are there, and for no restart."""
    with system.levers.connections_taken(left=0.08):
        yield


@fault(
    turns_red={"database.deadlocks[shop]"},
    story="Two code paths lock the same things in another order: three deadlocks.",
)
@contextmanager
def transactions_deadlock(system: ReferenceSystem) -> Iterator[None]:
    """In a database of their own, since the server never forgets them."""
    with system.levers.deadlocks():
        yield


@fault(
    turns_red={"database.cache-hits[shop]"},
    story="A report reads a table again and again that does not fit into the cache.",
)
@contextmanager
def cache_is_too_small(system: ReferenceSystem) -> Iterator[None]:
    """In a database of its own: the cache is one for all of them."""
    with system.levers.uncached_reads():
        yield


@fault(
    turns_red={"database.temp-files[shop]"},
    story="A sort that does not fit into memory is written to disk.",
)
@contextmanager
def sort_is_spilled(system: ReferenceSystem) -> Iterator[None]:
    """More than 50 MB, where less than that is allowed in an hour."""
    with (
        system.levers.spilled_sort(),
        system.levers.limits(temp_warn_bytes_per_h=40_000_000, temp_max_bytes_per_h=50_000_000),
    ):
        yield


@fault(
    turns_red={"database.checkpoints[shop]"},
    story="There is so little room for the WAL that each import forces several checkpoints.",
)
@contextmanager
def wal_has_no_room(system: ReferenceSystem) -> Iterator[None]:
    """Nothing fails; everything that writes is slow in waves."""
    with system.levers.forced_checkpoints():
        yield
