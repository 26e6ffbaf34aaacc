"""Faults of sessions, connections, vacuum and statements."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from readiness.model.fault import broken_by, fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem


_VACUUM = "database.vacuum[shop]"
# The saved schema has the options of each table.
_OPTIONS: Final = {"schema.fingerprint[shop]": {"objects-differ"}}


transaction_never_ends = broken_by(
    "transaction_never_ends",
    "A report goes on in one transaction for longer than allowed.",
    {"database.sessions[shop]": {"open-transaction"}},
    lambda levers: (
        levers.transaction_open(seconds=4),
        levers.limits(transaction_warn_s=2, transaction_max_s=4),
    ),
)

transaction_is_forgotten = broken_by(
    "transaction_is_forgotten",
    "A code path begins a transaction and returns without ending it.",
    {"database.sessions[shop]": {"idle-in-transaction"}},
    lambda levers: (
        levers.transaction_forgotten(seconds=4),
        levers.limits(idle_transaction_warn_s=2, idle_transaction_max_s=4),
    ),
)

lock_is_forgotten = broken_by(
    "lock_is_forgotten",
    "A job forgot to release a lock, and others wait for it.",
    {"database.sessions[shop]": {"lock-wait"}},
    lambda levers: (
        levers.lock_forgotten(),
        levers.limits(blocked_warn_s=0.2, blocked_max_s=0.4),
    ),
)

connections_run_out = broken_by(
    "connections_run_out",
    "An application took nearly all connections.",
    {"database.connections[shop]": {"in-use"}},
    lambda levers: levers.connections_taken(left=0.08),
)

pool_is_exhausted = broken_by(
    "pool_is_exhausted",
    "Long transactions hold all connections of the pool.",
    {"database.connections[shop]": {"pool-wait"}},
    lambda levers: levers.pool_exhausted(),
    needs="pooler",
)

pool_is_paused = broken_by(
    "pool_is_paused",
    "Somebody paused the pool for maintenance, and did not resume it.",
    {"database.connections[shop]": {"pool-paused"}},
    lambda levers: levers.pool_paused(),
    needs="pooler",
)

transaction_ids_run_out = broken_by(
    "transaction_ids_run_out",
    "Transaction IDs are used up faster than they are frozen.",
    {"database.wraparound[shop]": {"transactions"}},
    lambda levers: levers.transactions_used_up(),
)

multixact_ids_run_out = broken_by(
    "multixact_ids_run_out",
    "Rows that several transactions lock at once use up multixact IDs.",
    {"database.wraparound[shop]": {"transactions", "multixacts"}},
    lambda levers: levers.multixacts_used_up(),
)

vacuum_is_held_back = broken_by(
    "vacuum_is_held_back",
    "A report keeps its snapshot open while thousands of transactions go by.",
    {_VACUUM: {"held-back"}},
    lambda levers: (
        levers.vacuum_held_back(transactions=3000),
        levers.limits(horizon_warn_xids=1500, horizon_max_xids=2000),
    ),
)

prepared_transaction_is_forgotten = broken_by(
    "prepared_transaction_is_forgotten",
    "A transaction was prepared, and its manager never ended it.",
    {_VACUUM: {"prepared-transactions"}},
    lambda levers: (levers.transaction_prepared(seconds=2), levers.limits(prepared_max_s=2)),
)

autovacuum_is_off_for_a_table = broken_by(
    "autovacuum_is_off_for_a_table",
    "Autovacuum was switched off for one table during an import.",
    {_VACUUM: {"autovacuum-off"}, **_OPTIONS},
    lambda levers: levers.sql(
        "alter table shop.products set (autovacuum_enabled = off)",
        "alter table shop.products reset (autovacuum_enabled)",
    ),
)

vacuum_is_overdue = broken_by(
    "vacuum_is_overdue",
    "A migration holds a lock that autovacuum needs, and the table has waited too long.",
    {_VACUUM: {"vacuum-overdue"}, **_OPTIONS},
    lambda levers: (
        levers.limits(vacuum_overdue_h=0.00001),
        levers.sql(
            "alter table shop.products set"
            " (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);"
            "update shop.products set title = title where product_id <= 10",
            "alter table shop.products reset"
            " (autovacuum_vacuum_threshold, autovacuum_vacuum_scale_factor)",
        ),
        levers.vacuum_locked_out("shop.products"),
    ),
)

table_was_never_analyzed = broken_by(
    "table_was_never_analyzed",
    "After a restore, analyze was not run.",
    {_VACUUM: {"no-statistics"}},
    lambda levers: levers.sql(
        "delete from pg_statistic where starelid = 'shop.customers'::regclass",
        "analyze shop.customers",
    ),
)

statistics_are_stale = broken_by(
    "statistics_are_stale",
    "A batch rewrote a table, and autovacuum has not analyzed it since.",
    {_VACUUM: {"stale-statistics"}, **_OPTIONS},
    lambda levers: (
        levers.limits(vacuum_overdue_h=0.00001),
        levers.sql_each((), ("vacuum analyze shop.order_items",)),
        levers.sql(
            "alter table shop.order_items set (autovacuum_vacuum_scale_factor = 5);"
            "update shop.order_items set quantity = quantity",
            "alter table shop.order_items reset (autovacuum_vacuum_scale_factor)",
        ),
        levers.vacuum_locked_out("shop.order_items"),
    ),
)


_REPORT: Final = 'db_statement_duration_seconds_count{statement="monthly-report"}'
_TRACKING: Final = "database.slow-query-tracking[shop]"
_UNCOUNTED: Final = {
    "database.statement-latency[shop]": (),
    "database.statement-eviction[shop]": (),
    "monitoring.database-overhead[shop]": (),
}


statements_have_no_view = broken_by(
    "statements_have_no_view",
    "The view of the statistics was dropped with the role that had created it.",
    {_TRACKING: {"installed"}, **_UNCOUNTED},
    lambda levers: levers.sql(
        "drop extension pg_stat_statements", "create extension pg_stat_statements"
    ),
)

statements_are_not_counted = broken_by(
    "statements_are_not_counted",
    "Counting statements was switched off to make a benchmark faster.",
    {_TRACKING: {"counted"}},
    lambda levers: levers.server_setting("pg_stat_statements.track", "none"),
)

# What cannot be judged without the statistics of other roles.
_OF_OTHER_ROLES: Final = (
    *("database.connections[shop]", "database.corruption[shop]", "database.counters[shop]"),
    *("database.sessions[shop]", "database.standby-connected[shop]", "database.vacuum[shop]"),
    *("database.statement-eviction[shop]", "database.statement-latency[shop]"),
    "scaling.connection-budget[shop]",
)

statements_of_others_are_hidden = broken_by(
    "statements_of_others_are_hidden",
    "The monitoring role may not read the statistics of other roles.",
    {
        _TRACKING: {"visible"},
        "database.privileges[shop]": {"pg-monitor"},
        "monitoring.scrape-jobs[postgres]": {"exporter"},
        **_OPTIONS,
        **dict.fromkeys(_OF_OTHER_ROLES, ()),
    },
    lambda levers: levers.sql(
        "revoke pg_monitor from shop_monitor; grant pg_read_all_settings to shop_monitor",
        "grant pg_monitor to shop_monitor; revoke pg_read_all_settings from shop_monitor",
    ),
)

slow_statements_unlogged = broken_by(
    "slow_statements_unlogged",
    "The log of slow statements was switched off, as it was too long.",
    {_TRACKING: {"logged"}},
    lambda levers: levers.server_setting("log_min_duration_statement", "-1"),
)

report_is_slow = broken_by(
    "report_is_slow",
    "A report of the application takes 0.7 s each time.",
    {"database.statement-latency[shop]": {"mean"}},
    lambda levers: levers.slow_report(seconds=0.7, calls=30),
)


@fault(
    misses={"database.statement-latency[shop]": {"p95"}},
    story="A report of the application takes 0.7 s one time of ten, and nothing the other times.",
    needs="prometheus",
)
@contextmanager
def report_is_slow_at_times(system: "ReferenceSystem") -> Iterator[None]:
    """Its mean is 70 ms, which is fast enough."""
    levers = system.levers
    with levers.report_slow_at_times():
        levers.await_series(_REPORT)
        yield
    levers.await_series(f"absent({_REPORT})")


statements_all_differ = broken_by(
    "statements_all_differ",
    "The application writes each number into the statement's text.",
    {"database.statement-eviction[shop]": {"evictions"}},
    lambda levers: levers.statements_evicted(),
)
