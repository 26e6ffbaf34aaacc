"""Faults of the server, its replication, its counters, and of what is stored."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from readiness.model.fault import Fault, fault
from readiness.reference.system import ReferenceSystem

_CORRUPTION: Final = "database.corruption[shop]"
_COUNTERS: Final = "database.counters[shop]"
_DURABILITY: Final = "database.settings-durability[shop]"
_PRIVILEGES: Final = "database.privileges[shop]"
_SLOTS: Final = "database.replication-slots[shop]"
_KEY: Final = "select setval(pg_get_serial_sequence('shop.products', 'product_id'), {})"
# An index in an order of its own, which then changes: as a new system library does to texts.
_UNSOUND: Final = """
create schema readiness_unsound;
create function readiness_unsound.compare(integer, integer) returns integer immutable
  language sql as 'select case when $1 < $2 then -1 when $1 > $2 then 1 else 0 end';
create operator class readiness_unsound.numbers for type integer using btree as
  operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >,
  function 1 readiness_unsound.compare(integer, integer);
create table readiness_unsound.parts (number integer);
insert into readiness_unsound.parts select generate_series(1, 2000);
create index parts_by_number on readiness_unsound.parts (number readiness_unsound.numbers);
create or replace function readiness_unsound.compare(integer, integer) returns integer immutable
  language sql as 'select case when $1 < $2 then 1 when $1 > $2 then -1 else 0 end'"""


def _setting(
    name: str, setting: str, value: str, misses: Mapping[str, Iterable[str]], story: str
) -> Fault:
    """A fault that changes one setting of the server."""

    @contextmanager
    def change(system: ReferenceSystem) -> Iterator[None]:
        with system.levers.server_setting(setting, value):
            yield

    change.__name__ = name
    return fault(misses=misses, story=story)(change)


pages_are_written_in_part = _setting(
    "pages_are_written_in_part", "full_page_writes", "off", {_DURABILITY: {"crash-safety"}},
    "full_page_writes was switched off for an import, and not switched on again.",
)  # fmt: skip
damaged_pages_are_deleted = _setting(
    "damaged_pages_are_deleted", "zero_damaged_pages", "on", {_DURABILITY: {"damage-reported"}},
    "zero_damaged_pages was set to read a damaged table, and not reset.",
)  # fmt: skip
autovacuum_is_off = _setting(
    "autovacuum_is_off", "autovacuum", "off", {_DURABILITY: {"autovacuum"}},
    "Autovacuum was switched off for the whole server during an import.",
)  # fmt: skip
commits_do_not_wait_for_the_disk = _setting(
    "commits_do_not_wait_for_the_disk", "synchronous_commit", "off",
    {_DURABILITY: {"synchronous-commit"}},
    "synchronous_commit was switched off to make a benchmark faster.",
)  # fmt: skip
slots_are_unbounded = _setting(
    "slots_are_unbounded", "max_slot_wal_keep_size", "-1", {_SLOTS: {"bounded"}},
    "The bound on the WAL of slots was removed, so that no standby would be lost.",
)  # fmt: skip


@fault(
    misses={_PRIVILEGES: {"superuser"}},
    story="Somebody made the monitoring role a superuser, so that it would work.",
)
@contextmanager
def monitoring_is_superuser(system: ReferenceSystem) -> Iterator[None]:
    """Whoever finds its password may do everything."""
    with system.levers.sql(
        "alter role shop_monitor superuser", "alter role shop_monitor nosuperuser"
    ):
        yield


@fault(
    misses={_PRIVILEGES: {"pg-monitor"}},
    story="The monitoring role got the rights that one tool asked for, and not pg_monitor.",
)
@contextmanager
def monitoring_lacks_a_right(system: ReferenceSystem) -> Iterator[None]:
    """It may not read whole tables, which the bloat of large ones needs; here are none."""
    parts = "pg_read_all_settings, pg_read_all_stats"
    with system.levers.sql(
        f"revoke pg_monitor from shop_monitor; grant {parts} to shop_monitor",
        f"grant pg_monitor to shop_monitor; revoke {parts} from shop_monitor",
    ):
        yield


@fault(
    misses={
        _PRIVILEGES: {"sequences"},
        "database.sequence-exhaustion[shop]": (),
        "schema.sequences-ahead[shop]": (),
    },
    story="The monitoring role may not read the sequences.",
)
@contextmanager
def sequences_are_hidden(system: ReferenceSystem) -> Iterator[None]:
    """PostgreSQL shows NULL for them, as if they had never been used."""
    with system.levers.revoke("select", on="all sequences in schema shop", of="shop_monitor"):
        yield


@fault(
    misses={"database.version-supported[shop]": {"fixes"}},
    story="A release is required that has the fix of a security hole, and an older one runs.",
    needs="supported PostgreSQL",
)
@contextmanager
def server_is_too_old(system: ReferenceSystem) -> Iterator[None]:
    """The server is the same as ever: the requirement has changed."""
    with system.levers.limits(min_version="98.4"):
        yield


@fault(
    misses={"database.version-supported[shop]": {"support"}},
    story="The release must be supported for longer than it will be.",
    needs="supported PostgreSQL",
)
@contextmanager
def server_is_out_of_support(system: ReferenceSystem) -> Iterator[None]:
    """No release is supported for ten years."""
    with system.levers.limits(support_min_days=3650):
        yield


@fault(
    misses={_COUNTERS: {"deadlocks"}},
    story="Two code paths lock the same rows in different orders: three deadlocks.",
)
@contextmanager
def transactions_deadlock(system: ReferenceSystem) -> Iterator[None]:
    """In a database of their own, since the server never forgets them."""
    with system.levers.deadlocks():
        yield


@fault(
    misses={_COUNTERS: {"cache-hits"}},
    story="A report reads a table again and again that does not fit into the cache.",
)
@contextmanager
def cache_is_too_small(system: ReferenceSystem) -> Iterator[None]:
    """In a database of its own: all of them share the cache."""
    with system.levers.uncached_reads():
        yield


@fault(
    misses={_COUNTERS: {"temp-files"}},
    story="A sort that does not fit into memory is written to disk.",
)
@contextmanager
def sort_is_spilled(system: ReferenceSystem) -> Iterator[None]:
    """More than 50 MB, where less is allowed in an hour."""
    with (
        system.levers.spilled_sort(),
        system.levers.limits(temp_warn_bytes_per_h=40_000_000, temp_max_bytes_per_h=50_000_000),
    ):
        yield


@fault(
    misses={_COUNTERS: {"checkpoints"}},
    story="There is so little room for WAL that each import forces several checkpoints.",
)
@contextmanager
def wal_has_no_room(system: ReferenceSystem) -> Iterator[None]:
    """Nothing fails; everything that writes is slow in waves."""
    with system.levers.forced_checkpoints():
        yield


@fault(
    misses={"database.standby-connected[shop]": {"on-primary"}},
    story="The standby was rebuilt under another name, which nothing else knows.",
    needs="standby",
)
@contextmanager
def standby_has_another_name(system: ReferenceSystem) -> Iterator[None]:
    """It follows; but `synchronous_standby_names` and the failover look for the old name."""
    with system.levers.standby_renamed():
        yield


@fault(
    misses={
        "database.standby-connected[shop]": {"on-primary", "on-standby"},
        "database.replication-lag[shop]": {"lag"},
    },
    story="The standby lost its primary, and still answers with what it has.",
    needs="standby",
)
@contextmanager
def standby_lost_its_primary(system: ReferenceSystem) -> Iterator[None]:
    """What it received and what it replayed are equal: most exporters call that a lag of 0."""
    with system.levers.standby_cut_off():
        yield


@fault(
    misses={"database.replication-lag[shop]": {"lag"}},
    story="The replay of the standby was paused for a report, and not resumed.",
    needs="standby",
)
@contextmanager
def replay_is_paused(system: ReferenceSystem) -> Iterator[None]:
    """It receives everything, and shows nothing of it."""
    with system.levers.replay_paused():
        yield


@fault(
    misses={_SLOTS: {"retained"}},
    story="A consumer was removed, and its replication slot was not.",
)
@contextmanager
def slot_is_forgotten(system: ReferenceSystem) -> Iterator[None]:
    """It retains 24 MB of WAL where 20 are allowed, and goes on until the disk is full."""
    with (
        system.levers.slot_forgotten(megabytes=24),
        system.levers.limits(slot_warn_bytes=18_000_000, slot_max_bytes=20_000_000),
    ):
        yield


@fault(
    misses={_SLOTS: {"lost"}},
    story="A consumer was away for so long that the server removed the WAL of its slot.",
)
@contextmanager
def slot_lost_its_wal(system: ReferenceSystem) -> Iterator[None]:
    """The consumer can never go on, and has to be rebuilt."""
    with system.levers.slot_lost():
        yield


@fault(
    misses={"database.sequence-exhaustion[shop]": {"used"}},
    story="The numbers of a table with an integer key are nearly used up.",
)
@contextmanager
def sequence_runs_out(system: ReferenceSystem) -> Iterator[None]:
    """A few hundred more, and no product can be added."""
    with system.levers.sql(_KEY.format(2_147_483_000), _KEY.format(500)):
        yield


@fault(
    misses={_CORRUPTION: {"damage"}},
    story="An index is in an order that is no longer that of its type.",
    needs="amcheck",
)
@contextmanager
def index_is_in_wrong_order(system: ReferenceSystem) -> Iterator[None]:
    """Every page of it has a good checksum."""
    with system.levers.sql(_UNSOUND, "drop schema readiness_unsound cascade"):
        yield


@fault(
    misses={_CORRUPTION: {"collations"}},
    story="The system was upgraded, and sorts texts in another way than the index.",
    needs="amcheck",
)
@contextmanager
def collation_has_changed(system: ReferenceSystem) -> Iterator[None]:
    """The recorded version is not that of the library."""
    with system.levers.collation_changed("0.0"):
        yield


@fault(
    misses={_CORRUPTION: {"unknown-collations"}},
    story="A database was upgraded from a release that recorded no version of this collation.",
    needs="amcheck",
)
@contextmanager
def collation_is_unrecorded(system: ReferenceSystem) -> Iterator[None]:
    """Nobody can tell whether the order has changed."""
    with system.levers.collation_changed(None):
        yield


@fault(
    misses={_CORRUPTION: {"checksums"}},
    story="The disk changed some bytes of a page, in one database of the server.",
    needs="amcheck",
)
@contextmanager
def page_is_damaged(system: ReferenceSystem) -> Iterator[None]:
    """A query failed, and the server counted it."""
    with system.levers.damaged_page():
        yield
