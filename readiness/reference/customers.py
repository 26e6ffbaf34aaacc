"""What the shop's customers did before the gate looks: a database that nobody uses tells nothing.

It is done directly, as the role of the service: a session that ends hands its counters over at
once, where one that stays in the service's pool does it some seconds later.
"""

from typing import Final

import psycopg

_VISITS: Final = 25
# Each of the shop's plain indexes is used by one of them.
_DONE: Final = (
    (
        "select order_id, status, total_cents from shop.orders"
        " where customer_id = %(n)s order by created_at desc limit 10"
    ),
    (
        "select order_id, status, total_cents from shop.orders"
        " where created_at > now() - interval '1 hour' * %(n)s order by created_at desc limit 10"
    ),
    "select order_id from shop.orders where status = 'new' order by order_id desc limit %(n)s",
    "select order_id from shop.orders where note is not null and note like 'gift %%' limit %(n)s",
    "select product_id, quantity from shop.order_items where order_id = %(n)s",
    "select sum(quantity) from shop.order_items where product_id = %(n)s",
)


def visit(dsn: str) -> None:
    """Let some customers look at what they ordered, and the shop at what it sold.

    Args:
        dsn: the database, as the role of the service.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        # The tables are small: the planner would read them whole, as it does not in a real shop.
        connection.execute("set enable_seqscan = off")
        for number in range(1, _VISITS + 1):
            for statement in _DONE:
                connection.execute(statement.encode(), {"n": number}, prepare=False)
