"""Faults of the server, its replication, its counters, and of what is stored."""

from collections.abc import Iterable, Mapping
from typing import Final

from readiness.model.fault import Fault, broken_by

_CORRUPTION: Final = "database.corruption[shop]"
_COUNTERS: Final = "database.counters[shop]"
_DURABILITY: Final = "database.settings-durability[shop]"
_PRIVILEGES: Final = "database.privileges[shop]"
_ROLES: Final = {"schema.fingerprint[shop]": {"objects-differ"}}
_SLOTS: Final = "database.replication-slots[shop]"
_PARTS: Final = "pg_read_all_settings, pg_read_all_stats"
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
    return broken_by(name, story, misses, lambda levers: levers.server_setting(setting, value))


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
passwords_are_hashed_with_md5 = _setting(
    "passwords_are_hashed_with_md5", "password_encryption", "md5",
    {"database.password-hashing[shop]": {"scram"}},
    "password_encryption was set to md5 for an old client, and not reset.",
)  # fmt: skip
slots_are_unbounded = _setting(
    "slots_are_unbounded", "max_slot_wal_keep_size", "-1", {_SLOTS: {"bounded"}},
    "The bound on the WAL of slots was removed, so that no standby would be lost.",
)  # fmt: skip


monitoring_is_superuser = broken_by(
    "monitoring_is_superuser",
    "Somebody made the monitoring role a superuser, so that it would work.",
    {_PRIVILEGES: {"superuser"}, **_ROLES},
    lambda levers: levers.sql(
        "alter role shop_monitor superuser", "alter role shop_monitor nosuperuser"
    ),
)

monitoring_lacks_a_right = broken_by(
    "monitoring_lacks_a_right",
    "The monitoring role got the rights that one tool asked for, and not pg_monitor.",
    {_PRIVILEGES: {"pg-monitor"}, "backup.wal[shop-wal]": (), **_ROLES},
    # It may not read whole tables, which the bloat of large ones needs; here are none.
    lambda levers: levers.sql(
        f"revoke pg_monitor from shop_monitor; grant {_PARTS} to shop_monitor",
        f"grant pg_monitor to shop_monitor; revoke {_PARTS} from shop_monitor",
    ),
)


sequences_are_hidden = broken_by(
    "sequences_are_hidden",
    "The monitoring role may not read the sequences.",
    {
        _PRIVILEGES: {"sequences"},
        "database.sequence-exhaustion[shop]": (),
        "schema.integrity[shop]": (),
    },
    lambda levers: levers.revoke("select", on="all sequences in schema shop", of="shop_monitor"),
)

server_is_too_old = broken_by(
    "server_is_too_old",
    "A release is required that has the fix of a security hole, and an older one runs.",
    {"database.version-supported[shop]": {"fixes"}},
    lambda levers: levers.limits(min_version="98.4"),
    needs="supported PostgreSQL",
)

server_is_out_of_support = broken_by(
    "server_is_out_of_support",
    "The release must be supported for longer than it will be.",
    {"database.version-supported[shop]": {"support"}},
    lambda levers: levers.limits(support_min_days=3650),
    needs="supported PostgreSQL",
)

transactions_deadlock = broken_by(
    "transactions_deadlock",
    "Two code paths lock the same rows in different orders: three deadlocks.",
    {_COUNTERS: {"deadlocks"}},
    lambda levers: levers.deadlocks(),
)

cache_is_too_small = broken_by(
    "cache_is_too_small",
    "A report reads a table again and again that does not fit into the cache.",
    {_COUNTERS: {"cache-hits"}},
    lambda levers: levers.uncached_reads(),
)

sort_is_spilled = broken_by(
    "sort_is_spilled",
    "A sort that does not fit into memory is written to disk.",
    {_COUNTERS: {"temp-files"}},
    lambda levers: (
        levers.spilled_sort(),
        levers.limits(temp_warn_bytes_per_h=40_000_000, temp_max_bytes_per_h=50_000_000),
    ),
)

wal_has_no_room = broken_by(
    "wal_has_no_room",
    "There is so little room for WAL that each import forces several checkpoints.",
    {_COUNTERS: {"checkpoints"}},
    lambda levers: levers.forced_checkpoints(),
)

standby_has_another_name = broken_by(
    "standby_has_another_name",
    "The standby was rebuilt under another name, which nothing else knows.",
    {"database.standby-connected[shop]": {"on-primary"}},
    lambda levers: levers.standby_renamed(),
    needs="standby",
)

standby_lost_its_primary = broken_by(
    "standby_lost_its_primary",
    "The standby lost its primary, and still answers with what it has.",
    {
        "database.standby-connected[shop]": {"on-primary", "on-standby"},
        "database.replication-lag[shop]": {"lag"},
    },
    lambda levers: levers.standby_cut_off(),
    needs="standby",
)

replay_is_paused = broken_by(
    "replay_is_paused",
    "The replay of the standby was paused for a report, and not resumed.",
    {"database.replication-lag[shop]": {"lag"}},
    lambda levers: levers.replay_paused(),
    needs="standby",
)

slot_is_forgotten = broken_by(
    "slot_is_forgotten",
    "A consumer was removed, and its replication slot was not.",
    {_SLOTS: {"retained"}},
    lambda levers: (
        levers.slot_forgotten(megabytes=24),
        levers.limits(slot_warn_bytes=18_000_000, slot_max_bytes=20_000_000),
    ),
)

slot_lost_its_wal = broken_by(
    "slot_lost_its_wal",
    "A consumer was away for so long that the server removed the WAL of its slot.",
    {_SLOTS: {"lost"}},
    lambda levers: levers.slot_lost(),
)

sequence_runs_out = broken_by(
    "sequence_runs_out",
    "The numbers of a table with an integer key are nearly used up.",
    {"database.sequence-exhaustion[shop]": {"used"}},
    lambda levers: levers.sql(_KEY.format(2_147_483_000), _KEY.format(500)),
)

index_is_in_wrong_order = broken_by(
    "index_is_in_wrong_order",
    "An index is in an order that its type no longer has.",
    {_CORRUPTION: {"damage"}},
    lambda levers: levers.sql(_UNSOUND, "drop schema readiness_unsound cascade"),
    needs="amcheck",
)

collation_has_changed = broken_by(
    "collation_has_changed",
    "The system was upgraded, and sorts texts in another way than the index.",
    {_CORRUPTION: {"collations"}},
    lambda levers: levers.collation_changed("0.0"),
    needs="amcheck",
)

collation_is_unrecorded = broken_by(
    "collation_is_unrecorded",
    "A database was upgraded from a release that recorded no version of this collation.",
    {_CORRUPTION: {"unknown-collations"}},
    lambda levers: levers.collation_changed(None),
    needs="amcheck",
)

page_is_damaged = broken_by(
    "page_is_damaged",
    "The disk changed some bytes of a page, in one database of the server.",
    {_CORRUPTION: {"checksums"}},
    lambda levers: levers.damaged_page(),
    needs="amcheck",
)
