"""Whether each row of an old table is in the new one, and the same; no table is held in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from psycopg import sql

from readiness.areas.schema.config_transfers import Transfer
from readiness.areas.schema.probes.transfer_tables import Row, Side, reading, still_apart
from readiness.lib.postgres import Connection, fetch
from readiness.model.errors import NoData

_SUMS: Final = """
    select {bucket}, count(*), sum({sum}) from {table} where {where} group by 1"""
_ROWS: Final = """
    select {keys}, md5({columns}::text), {recent} from {table}
    where {where} and {bucket} = any(%s) order by {order}"""
_AT_ONCE: Final = 5_000
_MOST: Final = 10_000

_Seen = tuple[Row, str, bool]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two tables, by the text of the keys.

    Attributes:
        rows: how many rows the old one has.
        missing: in the old one, not in the new one.
        differing: in both, with other values.
        partial: whether there are more, which were not looked at a second time.
    """

    rows: int
    missing: tuple[str, ...]
    differing: tuple[str, ...]
    partial: bool = False


def compared(old: Side, new: Side, transfer: Transfer) -> Comparison:
    """Whether each row of the old table is in the new one, and the same.

    Rows that were written within `window_s` are left to `lately`, where it is known when they
    were. What differs is looked at a second time, `settle_s` later: it may have been on its way.

    Raises:
        NoData: the old table has no row, or so many were on their way that the others are unknown.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    rows, suspects, partial = _suspects(old, new, transfer)
    if not suspects:
        return Comparison(rows, (), ())
    missing, differing = still_apart(old, new, transfer, suspects)
    if partial and not (missing or differing):
        raise NoData(
            f"more than {_MOST} rows were still on their way: of the others nothing is known",
            where=f"{old.table}, {new.table}",
            remedy="raise `settle_s`, or name the column that tells when a row was written as"
            " `changed`",
        )
    return Comparison(rows, missing, differing, partial)


def _suspects(old: Side, new: Side, transfer: Transfer) -> tuple[int, list[Row], bool]:
    """How many rows the old table has, the keys of those that differ, and whether more do."""
    with reading(old, new, transfer.timeout_s) as (ours, theirs):
        first, second = _sums(ours, old), _sums(theirs, new)
        rows = sum(int(count) for count, _ in first.values())
        if not rows:
            raise NoData(
                "has no row: there is nothing to compare",
                where=old.table,
                remedy="was it emptied? if it may be empty, take it out of the transfer's tables",
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
    """Those of some parts, in the order of their keys, some thousands at a time."""
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
                raise NoData("has a row without a key", where=side.table)
            yield tuple(key), hash_, late


def _unequal(ours: Iterator[_Seen], theirs: Iterator[_Seen]) -> Iterator[Row]:
    """The keys of ours that theirs lacks, or has with other values; not those written of late."""
    other = next(theirs, None)
    for key, hash_, late in ours:
        while other is not None and other[0] < key:
            other = next(theirs, None)
        same = other is not None and other[:2] == (key, hash_)
        if not same and not late:
            yield key
