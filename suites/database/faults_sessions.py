"""Faults of sessions, connections and vacuum."""

from collections.abc import Iterator
from contextlib import contextmanager

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem

_VACUUM = "database.vacuum[shop]"
# So that autovacuum does not repair what is broken while it is judged.
_NAPTIME = ("autovacuum_naptime", "1h")


@fault(
    misses={"database.sessions[shop]": {"open-transaction"}},
    story="A report goes on in one transaction for longer than allowed.",
)
@contextmanager
def transaction_never_ends(system: ReferenceSystem) -> Iterator[None]:
    """It is busy all the time, and not idle in the transaction."""
    with (
        system.levers.transaction_open(seconds=4),
        system.levers.limits(transaction_warn_s=2, transaction_max_s=4),
    ):
        yield


@fault(
    misses={"database.sessions[shop]": {"idle-in-transaction"}},
    story="A code path begins a transaction and returns without ending it.",
)
@contextmanager
def transaction_is_forgotten(system: ReferenceSystem) -> Iterator[None]:
    """The session does nothing any more."""
    with (
        system.levers.transaction_forgotten(seconds=4),
        system.levers.limits(idle_transaction_warn_s=2, idle_transaction_max_s=4),
    ):
        yield


@fault(
    misses={"database.sessions[shop]": {"lock-wait"}},
    story="A job forgot to release a lock, and others wait for it.",
)
@contextmanager
def lock_is_forgotten(system: ReferenceSystem) -> Iterator[None]:
    """The job itself is idle, and in no transaction."""
    with (
        system.levers.lock_forgotten(),
        system.levers.limits(blocked_warn_s=0.2, blocked_max_s=0.4),
    ):
        yield


@fault(
    misses={"database.connections[shop]": {"in-use"}},
    story="An application took nearly all connections.",
)
@contextmanager
def connections_run_out(system: ReferenceSystem) -> Iterator[None]:
    """What is left is enough for those that are there, and for no restart."""
    with system.levers.connections_taken(left=0.08):
        yield


@fault(
    misses={"database.connections[shop]": {"pool-wait"}},
    story="Long transactions hold all connections of the pool.",
    needs="pooler",
)
@contextmanager
def pool_is_exhausted(system: ReferenceSystem) -> Iterator[None]:
    """The database itself has nearly nothing to do."""
    with system.levers.pool_exhausted():
        yield


@fault(
    misses={"database.connections[shop]": {"pool-paused"}},
    story="Somebody paused the pool for maintenance, and did not resume it.",
    needs="pooler",
)
@contextmanager
def pool_is_paused(system: ReferenceSystem) -> Iterator[None]:
    """Clients connect, and no statement is answered."""
    with system.levers.pool_paused():
        yield


@fault(
    misses={"database.wraparound[shop]": {"transactions"}},
    story="Transaction IDs are used up faster than they are frozen.",
)
@contextmanager
def transaction_ids_run_out(system: ReferenceSystem) -> Iterator[None]:
    """Five thousand are used where one thousand are allowed."""
    with system.levers.transactions_used_up():
        yield


@fault(
    misses={"database.wraparound[shop]": {"transactions", "multixacts"}},
    story="Rows that several transactions lock at once use up multixact IDs.",
)
@contextmanager
def multixact_ids_run_out(system: ReferenceSystem) -> Iterator[None]:
    """One limit bounds both counters, and each multixact ID takes transaction IDs, too."""
    with system.levers.multixacts_used_up():
        yield


@fault(
    misses={_VACUUM: {"held-back"}},
    story="A report keeps its snapshot open while thousands of transactions go by.",
)
@contextmanager
def vacuum_is_held_back(system: ReferenceSystem) -> Iterator[None]:
    """No row that was deleted since can be removed, in any table."""
    with (
        system.levers.vacuum_held_back(transactions=3000),
        system.levers.limits(horizon_warn_xids=1500, horizon_max_xids=2000),
    ):
        yield


@fault(
    misses={_VACUUM: {"prepared-transactions"}},
    story="A transaction was prepared, and its manager never came back for it.",
)
@contextmanager
def prepared_transaction_is_forgotten(system: ReferenceSystem) -> Iterator[None]:
    """It survives every restart, and no session shows it."""
    with system.levers.transaction_prepared(seconds=2), system.levers.limits(prepared_max_s=2):
        yield


@fault(
    misses={_VACUUM: {"autovacuum-off"}},
    story="Autovacuum was switched off for one table during an import.",
)
@contextmanager
def autovacuum_is_off_for_a_table(system: ReferenceSystem) -> Iterator[None]:
    """The server's own setting is on."""
    with system.levers.sql(
        "alter table shop.products set (autovacuum_enabled = off)",
        "alter table shop.products reset (autovacuum_enabled)",
    ):
        yield


@fault(
    misses={_VACUUM: {"vacuum-overdue"}},
    story="Autovacuum comes once an hour, and a table has waited longer than allowed.",
)
@contextmanager
def vacuum_is_overdue(system: ReferenceSystem) -> Iterator[None]:
    """A few dead rows are above the threshold of this table."""
    with (
        system.levers.server_setting(*_NAPTIME),
        system.levers.limits(vacuum_overdue_h=0.00001),
        system.levers.sql(
            "alter table shop.products set"
            " (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);"
            "update shop.products set title = title where product_id <= 10",
            "alter table shop.products reset"
            " (autovacuum_vacuum_threshold, autovacuum_vacuum_scale_factor)",
        ),
    ):
        yield


@fault(
    misses={_VACUUM: {"no-statistics"}},
    story="After a restore nobody ran analyze.",
)
@contextmanager
def table_was_never_analyzed(system: ReferenceSystem) -> Iterator[None]:
    """All rows of the table are there, and its plans are guesses."""
    with system.levers.sql(
        "delete from pg_statistic where starelid = 'shop.customers'::regclass",
        "analyze shop.customers",
    ):
        yield


@fault(
    misses={_VACUUM: {"stale-statistics"}},
    story="A batch rewrote a third of a table, and autovacuum has not analyzed it since.",
)
@contextmanager
def statistics_are_stale(system: ReferenceSystem) -> Iterator[None]:
    """Vacuum alone would not be due for long."""
    with (
        system.levers.server_setting(*_NAPTIME),
        system.levers.limits(vacuum_overdue_h=0.00001),
        system.levers.sql_each((), ("vacuum analyze shop.order_items",)),
        system.levers.sql(
            "alter table shop.order_items set (autovacuum_vacuum_scale_factor = 10);"
            "update shop.order_items set quantity = quantity where order_id % 3 = 0",
            "alter table shop.order_items reset (autovacuum_vacuum_scale_factor)",
        ),
    ):
        yield
