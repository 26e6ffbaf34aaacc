"""Whether what was written of late to one table is in the other one, and the same."""

from dataclasses import dataclass
from typing import Final

from psycopg import sql

from readiness.areas.schema.config_transfers import Transfer
from readiness.areas.schema.probes.rows import named
from readiness.areas.schema.probes.transfer_tables import Row, Side, looked_up, reading, still_apart
from readiness.lib.postgres import connect, fetch
from readiness.model.errors import NoData
from readiness.model.secrets import Dsn

_RECENT: Final = """
    select {keys}, md5({columns}::text) from {table}
    where {changed} >= now() - {window} * interval '1 second' and {where}
    order by {changed} desc limit {most}"""
_MOST_RECENT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Recent:
    """What was written of late on one side, and is not the same on the other one.

    Attributes:
        rows: how many rows were written of late, at most 10,000.
        missing: the keys of those that the other side does not have.
        differing: the keys of those that it has with other values.
    """

    rows: int
    missing: tuple[str, ...]
    differing: tuple[str, ...]


def lately(side: Side, other: Side, transfer: Transfer) -> Recent:
    """Whether what was written of late on one side is on the other one, and the same.

    Raises:
        NoData: nothing tells when a row was written, or none was written of late.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    rows, suspects = _unequal(side, other, transfer)
    missing, differing = still_apart(side, other, transfer, suspects) if suspects else ((), ())
    return Recent(rows, missing, differing)


def canary_arrives(old: Side, canary: str, write: Dsn, transfer: Transfer) -> bool:
    """Whether a row that is written to the new table is in the old one; it is taken back.

    Raises:
        NoData: the canary wrote nothing, or does not return its key.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    with (
        connect(write, timeout_s=transfer.timeout_s) as connection,
        connection.transaction(force_rollback=True),
    ):
        written = fetch(connection, canary)
        if len(written) != 1 or len(written[0]) != len(old.keys):
            raise NoData(
                f"the canary returned {len(written)} rows, and not one with its key",
                where=canary,
                remedy="end it with `returning` and the columns of the key",
            )
        equal = sql.SQL(" and ").join(
            sql.SQL("{} = %s").format(sql.Identifier(key)) for key in old.keys
        )
        statement = sql.SQL("select 1 from {} where {}").format(named(old.table), equal)
        return bool(fetch(connection, statement, list(written[0])))


def _unequal(side: Side, other: Side, transfer: Transfer) -> tuple[int, list[Row]]:
    """How many rows were written of late, and the keys of those that the other side has not so."""
    if side.changed is None:
        raise NoData(
            f"nothing tells when a row of {side.table} was written",
            where="[databases.NAME.transfers.NAME.tables.TABLE]",
            remedy="name the column that does, in `changed` or `new_changed`",
        )
    statement = sql.SQL(_RECENT).format(
        **side.fields(),
        changed=sql.Identifier(side.changed),
        window=sql.Literal(transfer.window_s),
        most=sql.Literal(_MOST_RECENT),
    )
    with reading(side, other, transfer.timeout_s) as (ours, theirs):
        written = {row[:-1]: row[-1] for row in fetch(ours, statement)}
        if not written:
            raise NoData(
                f"no row of {side.table} was written in the last {transfer.window_s:g} s",
                where=side.table,
                remedy="let something write, or raise `window_s`",
            )
        there = looked_up(theirs, other, list(written))
    return len(written), [key for key in written if there.get(key) != written[key]]
