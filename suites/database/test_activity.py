"""Do the sessions of the database come to an end?"""

from readiness import Evidence, check
from readiness.areas.database.config import Database
from readiness.areas.database.grading import no_more_than
from readiness.areas.database.probes import activity


@check(
    "database.long-transactions",
    title="No transaction stays open for long",
    each="database",
    severity="major",
    why="""While a transaction is open, vacuum keeps every row that was deleted since: tables
    grow, and queries get slower on all of them. Its locks stop migrations, and those stop
    everybody else.""",
    fix="""Look what it is, and end it if nobody waits for its result:
      select pid, usename, application_name, state, now() - xact_start, left(query, 80)
      from pg_stat_activity where xact_start is not null order by xact_start limit 5;
      select pg_terminate_backend(PID);
    Let reports read a standby, and give the application's role a `statement_timeout`. The limits
    are `transaction_warn_s` and `transaction_max_s` in [databases.NAME.limits].""",
)
def test_long_transactions(database: Database, evidence: Evidence) -> None:
    """Of all client sessions of the database; this tool's own drills are left out."""
    found = activity.open_transactions(database)
    no_more_than(
        evidence,
        "longest",
        found.longest("oldest open transaction"),
        warn=database.limits.transaction_warn_s,
        fail=database.limits.transaction_max_s,
        because=found.worst,
    )


@check(
    "database.idle-in-transaction",
    title="No session holds a transaction open and does nothing",
    each="database",
    severity="major",
    why="""Somebody began and forgot to commit: a code path without `finally`, a console left
    open at lunch. It holds its locks and one connection of the pool, and nothing will end it.""",
    fix="""End it, and let the server do so from now on:
      select pg_terminate_backend(PID);
      alter role APPLICATION set idle_in_transaction_session_timeout = '1min';
    In the code: find the transaction that waits for something outside of the database. The
    limits are `idle_transaction_warn_s` and `idle_transaction_max_s` in
    [databases.NAME.limits].""",
)
def test_idle_in_transaction(database: Database, evidence: Evidence) -> None:
    """Since the last statement ended, not since the transaction began."""
    found = activity.idle_transactions(database)
    no_more_than(
        evidence,
        "longest",
        found.longest("longest idle in a transaction"),
        warn=database.limits.idle_transaction_warn_s,
        fail=database.limits.idle_transaction_max_s,
        because=found.worst,
    )


@check(
    "database.blocked-sessions",
    title="No session waits for another one's lock",
    each="database",
    severity="major",
    why="""Whoever waits holds a connection, and often locks that others wait for in turn: one
    forgotten lock stops a whole application within a minute, and looks as if the database were
    slow.""",
    fix="""The message names who holds the lock. End that session, not those that wait:
      select pid, pg_blocking_pids(pid), now() - query_start, left(query, 80)
      from pg_stat_activity where cardinality(pg_blocking_pids(pid)) > 0;
      select pg_terminate_backend(PID);
    Let migrations `set lock_timeout = '2s'` and try again. The limits are `blocked_warn_s` and
    `blocked_max_s` in [databases.NAME.limits].""",
)
def test_blocked_sessions(database: Database, evidence: Evidence) -> None:
    """Since it waits; before PostgreSQL 14, since its statement began."""
    found = activity.blocked(database)
    no_more_than(
        evidence,
        "longest",
        found.longest("longest wait for a lock"),
        warn=database.limits.blocked_warn_s,
        fail=database.limits.blocked_max_s,
        because=found.worst,
    )
