"""The past that the reference system is given: customers that used it, and a history of weeks.

A database without use gives no figures. Its customers are invented: they run statements directly,
as the role of the service, as a session that ends hands over its counters at once.
The history is real snapshots of its database, dated back: hourly for a day, daily for forty days
before that. What they say of the past is invented, and only here; how they are taken, stored and
judged is not.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Final

import psycopg
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from readiness.areas.database.config import Bloat
from readiness.areas.database.probes import bloat, counters
from readiness.areas.database.snapshots import BloatSnapshot, Snapshot, Store
from readiness.lib import postgres
from readiness.model.secrets import Dsn
from readiness.servers.files import write_whole

FILE: Final = "statements.prom"
_VISITS: Final = 60
# Each of the shop's plain indexes is used by one of them.
_DONE: Final[Mapping[str, str]] = {
    "orders-of-a-customer": """select order_id, status, total_cents from shop.orders
        where customer_id = %(n)s order by created_at desc limit 10""",
    "orders-of-these-hours": """select order_id, status, total_cents from shop.orders
        where created_at > now() - interval '1 hour' * %(n)s order by created_at desc limit 10""",
    "new-orders": """select order_id from shop.orders
        where status = 'new' order by order_id desc limit %(n)s""",
    "gifts": """select order_id from shop.orders
        where note is not null and note like 'gift %%' limit %(n)s""",
    "items-of-an-order": "select product_id, quantity from shop.order_items where order_id = %(n)s",
    "sold-of-a-product": "select sum(quantity) from shop.order_items where product_id = %(n)s",
}
REPORT: Final[Mapping[str, str]] = {
    "monthly-report": """select count(*) as monthly_report,
        pg_sleep(case when %(n)s::int %% 10 = 0 then 0.7 else 0 end) from shop.products limit 1"""
}
"""A statement that is quick nine times of ten, and takes 0.7 s the tenth."""


def visit(dsn: str, timings: Path, more: Mapping[str, str] | None = None) -> None:
    """Let some customers look at what they ordered, and the shop at what it sold.

    Args:
        dsn: the database, as the role of the service.
        timings: the file for the durations of the statements, in Prometheus's text format; the
            service serves it with its metrics.
        more: statements that run beside the usual ones, by name; with `n` from 1 to 60.
    """
    registry = CollectorRegistry()
    taken = Histogram(
        "db_statement_duration_seconds",
        "Time that a statement took.",
        ["statement"],
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
        registry=registry,
    )
    with psycopg.connect(dsn, autocommit=True) as connection:
        # The tables are small: the planner would read them whole, as it does not in a real shop.
        connection.execute("set enable_seqscan = off")
        for name, statement in {**_DONE, **(more or {})}.items():
            for number in range(1, _VISITS + 1):
                began = perf_counter()
                connection.execute(statement.encode(), {"n": number}, prepare=False)
                taken.labels(name).observe(perf_counter() - began)
    write_whole(timings, generate_latest(registry))


KEEP_DAYS: Final = 400
DAYS: Final = 40
_HOUR_S: Final = 3600.0
_DAY_S: Final = 86400.0
_TIMEOUT_S: Final = 20.0
# The last one of the invented past, before the server really started.
_BEFORE_START_S: Final = 60.0


def taken(dsn: str) -> tuple[Snapshot, BloatSnapshot | None]:
    """Real snapshots of the database as it is now; the second where bloat can be measured."""
    with postgres.connect(Dsn(dsn), timeout_s=_TIMEOUT_S) as connection:
        usage = counters.take(connection)
        if not bloat.can_measure(connection):
            return usage, None
        return usage, bloat.take(connection, Bloat())


def begin(path: Path, usage: Snapshot, bloated: BloatSnapshot | None) -> None:
    """Write a history of forty days that ends now."""
    now = [bloated] if bloated else []
    Store(path).append(*_dated_back(usage), usage, *now, keep_days=KEEP_DAYS)


def _dated_back(usage: Snapshot) -> Iterator[Snapshot]:
    ends = usage.server.started - _BEFORE_START_S
    hours = [ends - number * _HOUR_S for number in range(25)]
    days = [ends - number * _DAY_S for number in range(2, DAYS + 1)]
    began = ends - (DAYS + 1) * _DAY_S
    server = usage.server.model_copy(update={"started": began, "counters_since": began})
    since = {"statements_since": began} if usage.statements_since is not None else {}
    for at in sorted(days + hours):
        yield usage.model_copy(update={"at": at, "server": server, **since})
