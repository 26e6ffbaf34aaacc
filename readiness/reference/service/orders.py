"""Orders: which are valid, and the statements that store and read them."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from psycopg import AsyncConnection, errors
from psycopg.rows import DictRow
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

MOST_AT_ONCE: Final = 1000
Connection = AsyncConnection[DictRow]
Status = Literal["new", "paid", "shipped", "expired"]


class NewOrder(BaseModel):
    """One order as a client sends it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    customer_id: Annotated[int, Field(gt=0, lt=1 << 31)]
    product_id: Annotated[int, Field(gt=0, lt=1 << 31)]
    quantity: Annotated[int, Field(gt=0, le=1000)] = 1
    note: Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")] | None = None


NewOrders: Final[TypeAdapter[NewOrder | list[NewOrder]]] = TypeAdapter(
    NewOrder | Annotated[list[NewOrder], Field(min_length=1, max_length=MOST_AT_ONCE)]
)


class UnknownReferenceError(Exception):
    """An order names a customer or product that does not exist."""


_COLUMNS: Final = "order_id, customer_id, status, total_cents, note, created_at"
# One statement for the whole batch: round trips would take longer than the inserts.
_STORE: Final = """
    with sent as (
        select * from unnest(%(customer_id)s::int[], %(product_id)s::int[], %(quantity)s::int[],
                             %(note)s::text[]) with ordinality
            as s (customer_id, product_id, quantity, note, place)
    ), priced as (
        select nextval('shop.orders_order_id_seq') as order_id, s.*, p.price_cents
        from sent s join shop.products p using (product_id)
    ), stored as (
        insert into shop.orders (order_id, customer_id, total_cents, note)
        select order_id, customer_id, price_cents * quantity, note from priced
    ), items as (
        insert into shop.order_items (order_id, product_id, quantity, price_cents)
        select order_id, product_id, quantity, price_cents from priced
    )
    select order_id from priced order by place
"""


async def store(connection: Connection, orders: Sequence[NewOrder]) -> list[int]:
    """Store all orders or none; returns their numbers.

    Raises:
        UnknownReferenceError: one names a customer or product that does not exist.
    """
    columns = {name: [getattr(order, name) for order in orders] for name in NewOrder.model_fields}
    try:
        async with connection.transaction():
            cursor = await connection.execute(_STORE, columns)
            numbers = [row["order_id"] for row in await cursor.fetchall()]
            if len(numbers) != len(orders):
                raise UnknownReferenceError("unknown product_id")
    except errors.ForeignKeyViolation:
        raise UnknownReferenceError("unknown customer_id") from None
    return numbers


async def find(connection: Connection, order_id: int) -> dict[str, Any] | None:
    """One order with its items; None if it does not exist."""
    cursor = await connection.execute(
        f"select {_COLUMNS} from shop.orders where order_id = %s",  # noqa: S608 - a constant
        [order_id],
    )
    order = await cursor.fetchone()
    if order is None:
        return None
    items = await connection.execute(
        "select product_id, quantity, price_cents from shop.order_items where order_id = %s",
        [order_id],
    )
    return {**order, "items": await items.fetchall()}


async def newest(connection: Connection, limit: int, status: str | None) -> list[dict[str, Any]]:
    """The newest orders, optionally of one status."""
    where = "where status = %(status)s" if status else ""
    cursor = await connection.execute(
        f"select {_COLUMNS} from shop.orders {where} order by order_id desc limit %(limit)s",  # noqa: S608 - constants
        {"limit": limit, "status": status},
    )
    return await cursor.fetchall()


async def of_customer(connection: Connection, customer: int) -> list[dict[str, Any]]:
    """The 20 newest orders of one customer."""
    cursor = await connection.execute(
        f"select {_COLUMNS} from shop.orders where customer_id = %s"  # noqa: S608 - a constant
        " order by created_at desc limit 20",
        [customer],
    )
    return await cursor.fetchall()


async def expire(connection: Connection) -> int:
    """Expire orders that were not paid within 30 days; returns their number."""
    cursor = await connection.execute(
        "update shop.orders set status = 'expired'"
        " where status = 'new' and created_at < now() - interval '30 days'"
    )
    return cursor.rowcount


async def correct_totals(connection: Connection) -> int:
    """Set each total to the sum of its items; returns how many were wrong."""
    cursor = await connection.execute(
        "update shop.orders o set total_cents = s.total from ("
        " select order_id, sum(quantity * price_cents) as total"
        " from shop.order_items group by order_id) s"
        " where s.order_id = o.order_id and s.total <> o.total_cents"
    )
    return cursor.rowcount
