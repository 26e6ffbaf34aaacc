"""What proves the checks of sessions and of vacuum."""

from collections.abc import Iterator
from contextlib import contextmanager

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem


@fault(
    turns_red={"database.long-transactions[shop]"},
    story="A report goes on and on in one transaction, longer than any may.",
)
@contextmanager
def transaction_never_ends(system: ReferenceSystem) -> Iterator[None]:
    """It is busy all the time: it is not one that was forgotten."""
    with (
        system.levers.transaction_open(seconds=4),
        system.levers.limits(transaction_warn_s=2, transaction_max_s=4),
    ):
        yield


@fault(
    turns_red={"database.idle-in-transaction[shop]"},
    story="A code path begins a transaction and returns without ending it.",
)
@contextmanager
def transaction_is_forgotten(system: ReferenceSystem) -> Iterator[None]:
    """The session does nothing any more, and looks harmless."""
    with (
        system.levers.transaction_forgotten(seconds=4),
        system.levers.limits(idle_transaction_warn_s=2, idle_transaction_max_s=4),
    ):
        yield


@fault(
    turns_red={"database.blocked-sessions[shop]"},
    story="A job holds a lock that it forgot to give back, and others wait for it.",
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
    turns_red={"database.wraparound[shop]"},
    story="Transaction numbers are used up faster than they are frozen.",
)
@contextmanager
def transaction_numbers_run_out(system: ReferenceSystem) -> Iterator[None]:
    """Five thousand are used, where a thousand more are allowed: the rest takes years."""
    with system.levers.transactions_used_up():
        yield


@fault(
    turns_red={"database.xmin-horizon[shop]"},
    story="A transaction was prepared, and its manager never came back for it.",
)
@contextmanager
def prepared_transaction_is_forgotten(system: ReferenceSystem) -> Iterator[None]:
    """It survives every restart, no session shows it, and vacuum stands still."""
    with system.levers.transaction_prepared(seconds=2), system.levers.limits(prepared_max_s=2):
        yield


@fault(
    turns_red={"database.autovacuum-keeps-up[shop]"},
    story="Autovacuum was switched off for one table during an import, and forgotten.",
)
@contextmanager
def autovacuum_is_off_for_a_table(system: ReferenceSystem) -> Iterator[None]:
    """The setting of the server says that it is on."""
    with system.levers.sql(
        "alter table shop.products set (autovacuum_enabled = off)",
        "alter table shop.products reset (autovacuum_enabled)",
    ):
        yield


@fault(
    turns_red={"database.planner-statistics[shop]"},
    story="After a restore nobody ran analyze: the planner knows nothing of a table.",
)
@contextmanager
def table_was_never_analyzed(system: ReferenceSystem) -> Iterator[None]:
    """Its rows are all there, and its plans are guesses."""
    with system.levers.sql(
        "delete from pg_statistic where starelid = 'shop.customers'::regclass",
        "analyze shop.customers",
    ):
        yield
