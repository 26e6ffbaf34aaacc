"""What the shop's customers did before the gate looks: a database that nobody uses tells nothing.

It is done directly, as the role of the service: a session that ends hands its counters over at
once, where one that stays in the service's pool does it some seconds later. How long each
statement took is written as a histogram, which the service shows on its page of metrics.
"""

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Final

import psycopg
from prometheus_client import CollectorRegistry, Histogram, generate_latest

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
        timings: the file that tells how long each statement took, in Prometheus's text format.
        more: statements that are run beside the usual ones, by name; with `n` from 1 to 60.
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
