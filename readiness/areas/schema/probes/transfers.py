"""Whether the rows of one table are in another one, and the same: all of them, or recent ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from psycopg import sql

from readiness.areas.schema.config import Transfer
from readiness.areas.schema.probes.rows import named
from readiness.areas.schema.probes.transfer_tables import Row, Side, looked_up, reading, still_apart
from readiness.lib.postgres import Connection, connect, fetch
from readiness.model.errors import NoData
from readiness.model.secrets import Dsn

_SUMS: Final = """
    select {bucket}, count(*), sum({sum}) from {table} where {where} group by 1"""
_ROWS: Final = """
    select {keys}, md5({columns}::text), {recent} from {table}
    where {where} and {bucket} = any(%s) order by {order}"""
_RECENT: Final = """
    select {keys}, md5({columns}::text) from {table}
    where {changed} >= now() - {window} * interval '1 second' and {where}
    order by {changed} desc limit {most}"""
_AT_ONCE: Final = 5_000
_MOST: Final = 10_000
_MOST_RECENT: Final = 10_000

_Seen = tuple[Row, str, bool]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two tables, by the text of the keys.

    Attributes:
        rows: how many rows of the first table were compared.
        missing: in the first table, not in the second.
        differing: in both, with other values.
        partial: whether more rows differ, which were not compared a second time.
    """

    rows: int
    missing: tuple[str, ...]
    differing: tuple[str, ...]
    partial: bool = False


def compare_all(old: Side, new: Side, transfer: Transfer) -> Comparison:
    """Compare each row of the old table with the new one; neither is held in memory.

    Rows written within `window_s` are left to `compare_recent`, where a column has the time of the
    write. Rows that differ are compared again after `settle_s`: they may have been on their way.

    Raises:
        NoData: the old table is empty, or so many rows were on their way that the rest is unknown.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    rows, suspects, partial = _suspects(old, new, transfer)
    if not suspects:
        return Comparison(rows, (), ())
    missing, differing = still_apart(old, new, transfer, suspects)
    if partial and not (missing or differing):
        raise NoData(
            f"more than {_MOST} rows were still on their way; the others were not compared",
            where=f"{old.table}, {new.table}",
            remedy="raise `settle_s`, or set `changed` to the column with the time of the write",
        )
    return Comparison(rows, missing, differing, partial)


def compare_recent(side: Side, other: Side, transfer: Transfer) -> Comparison:
    """Compare the rows written to one table within `window_s`, at most 10,000, with the other one.

    Raises:
        NoData: no column has the time of the write, or no row was written within `window_s`.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    if side.changed is None:
        raise NoData(
            f"no column of {side.table} is known to have the time of the write",
            where=f"[{transfer.place}]",
            remedy="name it in `changed` or `new_changed`",
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
                remedy=f"write a row to {side.table}, or raise `window_s` in [{transfer.place}]",
            )
        there = looked_up(theirs, other, list(written))
    suspects = [key for key in written if there.get(key) != written[key]]
    missing, differing = still_apart(side, other, transfer, suspects) if suspects else ((), ())
    return Comparison(len(written), missing, differing)


def canary_arrives(old: Side, canary: str, write: Dsn, transfer: Transfer) -> bool:
    """Whether a row written to the new table reaches the old one; it is rolled back.

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
                f"the canary returned {len(written)} rows instead of one with its key",
                where=canary,
                remedy="end it with `returning` and the columns of the key",
            )
        equal = sql.SQL(" and ").join(
            sql.SQL("{} = %s").format(sql.Identifier(key)) for key in old.keys
        )
        statement = sql.SQL("select 1 from {} where {}").format(named(old.table), equal)
        return bool(fetch(connection, statement, list(written[0])))


def _suspects(old: Side, new: Side, transfer: Transfer) -> tuple[int, list[Row], bool]:
    """How many rows the old table has, the keys of those that differ, and whether more do."""
    with reading(old, new, transfer.timeout_s) as (ours, theirs):
        first, second = _sums(ours, old), _sums(theirs, new)
        rows = sum(int(count) for count, _ in first.values())
        if not rows:
            raise NoData(
                "has no rows to compare",
                where=old.table,
                remedy="restore its rows if it was emptied by mistake; if it may be empty, remove"
                f" it from [{transfer.place}]",
            )
        parts = sorted(part for part, sums in first.items() if second.get(part) != sums)
        if not parts:
            return rows, [], False
        unequal = _unequal(
            _rows(ours, old, transfer, parts, "old"), _rows(theirs, new, transfer, parts, "new")
        )
        return rows, list(islice(unequal, _MOST)), next(unequal, None) is not None


def _sums(connection: Connection, side: Side) -> dict[int, tuple[int, Any]]:
    statement = sql.SQL(_SUMS).format(**side.fields())
    return {part: (count, total) for part, count, total in fetch(connection, statement)}


def _rows(
    connection: Connection, side: Side, transfer: Transfer, parts: list[int], name: str
) -> Iterator[_Seen]:
    """The rows of some parts in the order of their keys, fetched in batches."""
    recent: sql.Composable = sql.SQL("false")
    if side.changed:
        recent = sql.SQL("coalesce({} >= now() - {} * interval '1 second', false)").format(
            sql.Identifier(side.changed), sql.Literal(transfer.window_s)
        )
    statement = sql.SQL(_ROWS).format(**side.fields(), recent=recent)
    with connection.cursor(name=f"readiness_{name}") as cursor:
        cursor.itersize = _AT_ONCE
        for *key, hash_, late in cursor.execute(statement, [parts]):
            if None in key:
                raise NoData("has a row whose key is NULL", where=side.table)
            yield tuple(key), hash_, late


def _unequal(ours: Iterator[_Seen], theirs: Iterator[_Seen]) -> Iterator[Row]:
    """The keys of our older rows that theirs lacks, or has with other values."""
    other = next(theirs, None)
    for key, hash_, late in ours:
        while other is not None and other[0] < key:
            other = next(theirs, None)
        same = other is not None and other[:2] == (key, hash_)
        if not same and not late:
            yield key
