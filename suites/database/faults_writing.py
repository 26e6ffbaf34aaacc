"""Faults that make the server refuse writes, wait with them, or lose them."""

from collections.abc import Iterable, Mapping
from typing import Final

from readiness.model.fault import Fault, broken_by

_WRITABLE: Final = "database.writable[shop]"
_VACUUM: Final = "database.vacuum[shop]"
_SLOTS: Final = "database.replication-slots[shop]"
_ROLES: Final = {"schema.fingerprint[shop]": {"objects-differ"}}
# Checks that write as the application, and undo it, cannot.
_CANNOT_WRITE: Final = {
    "schema.row-security-writes[shop]": (),
    "schema.transfer-reversible[shop.accounts]": (),
}
_CANNOT_LOG_IN: Final = {
    "schema.application-role[shop]": (),
    "schema.row-security[shop]": (),
    **_CANNOT_WRITE,
}
# No migration made the objects of these faults.
_UNKNOWN_OBJECTS: Final = {
    "schema.fingerprint[shop]": {"objects-differ"},
    "schema.migrations-drift[shop]": {"objects-differ"},
}
_DROPPED: Final = "drop schema faulty cascade"


def _sql(
    name: str, story: str, misses: Mapping[str, Iterable[str]], do: str, undo: str = _DROPPED
) -> Fault:
    """A fault that is nothing but SQL."""
    return broken_by(name, story, misses, lambda levers: levers.sql_each(do.split(";"), (undo,)))


application_is_read_only = _sql(
    "application_is_read_only",
    "A failover script made the application's role read-only by default, and did not undo it.",
    {_WRITABLE: {"read-only"}, **_ROLES, **_CANNOT_WRITE},
    "alter role shop_app set default_transaction_read_only = on",
    "alter role shop_app reset default_transaction_read_only",
)

password_has_ended = _sql(
    "password_has_ended",
    "The password of the application's role ended overnight; its pool is still connected.",
    {_WRITABLE: {"password"}, **_CANNOT_LOG_IN},
    # Now, while its sessions are older: one that logs in afterwards shows that none is asked.
    "alter role shop_app valid until 'now'",
    "alter role shop_app valid until 'infinity'",
)

triggers_are_skipped = _sql(
    "triggers_are_skipped",
    "An import of the application switched triggers and foreign keys off for its role.",
    {
        _WRITABLE: {"triggers-skipped"},
        "schema.transfer-reversible[shop.accounts]": {"canary"},
        **_ROLES,
    },
    "alter role shop_app set session_replication_role = replica",
    "alter role shop_app reset session_replication_role",
)

sequence_is_forgotten = _sql(
    "sequence_is_forgotten",
    "A migration let the application insert into a new table, and forgot its sequence.",
    {_WRITABLE: {"denied"}, **_UNKNOWN_OBJECTS},
    "create schema faulty; create table faulty.refunds (id bigserial primary key, cents integer);"
    "grant usage on schema faulty to shop_app, shop_monitor;"
    "grant insert, select on faulty.refunds to shop_app;"
    "grant select on faulty.refunds, faulty.refunds_id_seq to shop_monitor",
)

rows_are_discarded = _sql(
    "rows_are_discarded",
    "A rule of a migration was forgotten: new rows of a table vanish without an error.",
    {_WRITABLE: {"discarded"}, **_UNKNOWN_OBJECTS},
    "create schema faulty; create table faulty.refunds (id bigint primary key, cents integer);"
    "grant usage on schema faulty to shop_app; grant insert on faulty.refunds to shop_app;"
    "create rule frozen as on insert to faulty.refunds do instead nothing",
)

published_without_identity = _sql(
    "published_without_identity",
    "All tables were published, and one has no primary key: its updates and deletes fail.",
    {_WRITABLE: {"replica-identity"}, **_UNKNOWN_OBJECTS},
    "create schema faulty; create table faulty.outbox (id bigint, state text);"
    "grant update on faulty.outbox to shop_app; create publication faulty for table faulty.outbox",
    f"drop publication faulty; {_DROPPED}",
)

table_is_unlogged = _sql(
    "table_is_unlogged",
    "A table was made unlogged for a fast import, and stayed so.",
    {_WRITABLE: {"unlogged"}, **_UNKNOWN_OBJECTS},
    "create schema faulty; create unlogged table faulty.imported as select 1 as n",
)

synchronous_standby_is_misspelled = broken_by(
    "synchronous_standby_is_misspelled",
    "Commits of the application wait for a standby, which has another name.",
    {_WRITABLE: {"synchronous-standby"}},
    # Of the application alone, so that nothing else of the system waits, too.
    lambda levers: (
        levers.server_setting("synchronous_commit", "local"),
        levers.sql(
            "alter role shop_app set synchronous_commit = on",
            "alter role shop_app reset synchronous_commit",
        ),
        levers.server_setting("synchronous_standby_names", "standby_1"),
    ),
)

subscription_is_disabled = _sql(
    "subscription_is_disabled",
    "A subscription was disabled for a migration, and not enabled again.",
    {_SLOTS: {"subscriptions"}},
    "create subscription faulty connection 'host=127.0.0.1' publication p with (connect = false)",
    "alter subscription faulty set (slot_name = none); drop subscription faulty",
)

autovacuum_is_off_in_disguise = _sql(
    "autovacuum_is_off_in_disguise",
    "A threshold was raised for an import, so far that autovacuum never comes to the table.",
    {_VACUUM: {"autovacuum-off"}},
    "alter table shop.products set (autovacuum_vacuum_threshold = 2000000000)",
    "alter table shop.products reset (autovacuum_vacuum_threshold)",
)

toast_is_not_vacuumed = _sql(
    "toast_is_not_vacuumed",
    "Autovacuum was switched off for the long values of a table.",
    {_VACUUM: {"autovacuum-off"}},
    "alter table shop.orders set (toast.autovacuum_enabled = off)",
    "alter table shop.orders reset (toast.autovacuum_enabled)",
)

partitioned_table_has_no_statistics = _sql(
    "partitioned_table_has_no_statistics",
    "Each partition was analyzed by autovacuum, and the partitioned table by nobody.",
    {_VACUUM: {"no-statistics"}, **_UNKNOWN_OBJECTS},
    "create schema faulty; create table faulty.events (n int) partition by range (n);"
    "create table faulty.events_1 partition of faulty.events for values from (0) to (9999);"
    "grant usage on schema faulty to shop_monitor;"
    "grant select on all tables in schema faulty to shop_monitor;"
    "insert into faulty.events select generate_series(1, 2000);"
    "vacuum analyze faulty.events_1",
)

counting_is_off = broken_by(
    "counting_is_off",
    "The counters were switched off for a benchmark; autovacuum needs them.",
    {"database.settings-durability[shop]": {"autovacuum"}, "database.counters[shop]": ()},
    lambda levers: levers.server_setting("track_counts", "off"),
)

role_has_no_connections_left = _sql(
    "role_has_no_connections_left",
    "The application's role may have fewer connections than its pools hold.",
    {
        "database.connections[shop]": {"in-use"},
        "scaling.connection-budget[shop]": {"role"},
        **_ROLES,
        **_CANNOT_LOG_IN,
    },
    "alter role shop_app connection limit 1",
    "alter role shop_app connection limit -1",
)

referencing_column_is_too_narrow = _sql(
    "referencing_column_is_too_narrow",
    "A key was widened to bigint, and a column that references it was not.",
    {"database.sequence-exhaustion[shop]": {"references"}, **_UNKNOWN_OBJECTS},
    "create schema faulty; create table faulty.parent (id bigserial primary key);"
    "create table faulty.child (parent_id integer references faulty.parent);"
    "grant usage on schema faulty to shop_monitor;"
    "grant select on all tables in schema faulty to shop_monitor;"
    "grant select on all sequences in schema faulty to shop_monitor;"
    "select setval('faulty.parent_id_seq', 2147483000)",
)
