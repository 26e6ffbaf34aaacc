"""The old and the new tables of a transfer: their state, and whether their rows are equal."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from psycopg import sql

from readiness.areas.schema.config import TablePair, Transfer
from readiness.areas.schema.probes.rows import named, text_of
from readiness.lib.postgres import Connection, connect, fetch
from readiness.lib.postgres.batches import need_room
from readiness.model.errors import NoData
from readiness.model.secrets import Dsn

# The text of a value depends on these; fixed, it is the same on both sides.
_FIXED: Final = """
    set transaction isolation level repeatable read, read only; set local row_security = off;
    set local datestyle = 'ISO, YMD'; set local timezone = 'UTC';
    set local intervalstyle = 'postgres'; set local extra_float_digits = 1;
    set local bytea_output = 'hex'"""
_BUCKET: Final = "('x' || substr(md5({key}::text), 1, 2))::bit(8)::integer"
_SUM: Final = "('x' || substr(md5({columns}::text), 1, 16))::bit(64)::bigint::numeric"
_LOOKED_UP: Final = """
    select {keys}, md5({columns}::text) from {table}
    join unnest({arrays}) wanted({names}) on {equal} where {where}"""
_TYPES: Final = """
    select attname, format_type(atttypid, null) from pg_attribute
    where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped"""

Row = tuple[str, ...]
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


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two tables: its database, its keys and the columns that are compared."""

    dsn: Dsn
    table: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    changed: str | None
    where: str

    def fields(self) -> dict[str, sql.Composable]:
        """What the statements are filled with."""
        key = _row(self.keys)
        columns = _row((*self.keys, *self.columns))
        return {
            "table": named(self.table),
            "key": key,
            "keys": sql.SQL(", ").join(map(_text, self.keys)),
            # As Python sorts texts, whatever the database's own collation is.
            "order": sql.SQL(", ").join(
                sql.SQL('{} collate "C"').format(_text(key)) for key in self.keys
            ),
            "columns": columns,
            "bucket": sql.SQL(_BUCKET).format(key=key),
            "sum": sql.SQL(_SUM).format(columns=columns),
            "where": sql.SQL(f"({self.where})"),
        }


def sides(dsn: Dsn, transfer: Transfer, pair: TablePair) -> tuple[Side, Side]:
    """The old and the new table of a pair."""
    old = Side(dsn, pair.name, tuple(pair.key), tuple(pair.columns), pair.changed, pair.where)
    new = Side(
        transfer.new_dsn or dsn,
        pair.to,
        tuple(pair.key.values()),
        tuple(pair.columns.values()),
        pair.new_changed,
        "true",
    )
    return old, new


def looked_up(connection: Connection, side: Side, keys: Sequence[Row]) -> dict[Row, str]:
    """The rows with these keys, which are cast to the table's types to use its index."""
    types: dict[str, str] = dict(fetch(connection, _TYPES, [text_of(connection, side.table)]))
    # The types are the server's own names for them.
    arrays = [f"%s::text[]::{types.get(key, 'text')}[]" for key in side.keys]
    names = [f"key_{number}" for number in range(len(side.keys))]
    equal = sql.SQL(" and ").join(
        sql.SQL("{} = wanted.{}").format(sql.Identifier(key), sql.Identifier(name))
        for key, name in zip(side.keys, names, strict=True)
    )
    statement = sql.SQL(_LOOKED_UP).format(
        **side.fields(),
        arrays=sql.SQL(", ".join(arrays)),
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        equal=equal,
    )
    columns = [list(values) for values in zip(*keys, strict=True)]
    return {row[:-1]: row[-1] for row in fetch(connection, statement, columns)}


def still_apart(
    side: Side, other: Side, transfer: Transfer, keys: Sequence[Row]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which of these rows are missing or differ in the other table after `settle_s`.

    Only these are compared again: rows written meanwhile must not displace them.
    """
    time.sleep(transfer.settle_s)
    with reading(side, other, transfer.timeout_s) as (ours, theirs):
        first, second = looked_up(ours, side, keys), looked_up(theirs, other, keys)
    missing = [key for key in first if key not in second]
    differing = [key for key in first if key in second and second[key] != first[key]]
    return tuple(map(", ".join, missing)), tuple(map(", ".join, differing))


@contextmanager
def reading(old: Side, new: Side, timeout_s: float) -> Iterator[tuple[Connection, Connection]]:
    """A connection for each side, in one snapshot where both are in one database."""
    together = new.dsn == old.dsn
    with (
        connect(old.dsn, timeout_s=timeout_s) as first,
        _snapshot(first, old, *([new] if together else [])),
    ):
        if together:
            yield first, first
            return
        with connect(new.dsn, timeout_s=timeout_s) as second, _snapshot(second, new):
            yield first, second


@contextmanager
def _snapshot(connection: Connection, *read: Side) -> Iterator[None]:
    need_room(connection, [text_of(connection, side.table) for side in read])
    with connection.transaction(force_rollback=True):
        fetch(connection, _FIXED)
        yield


def _row(columns: Sequence[str]) -> sql.Composed:
    """All values as text: a number is the same number in a wider type."""
    return sql.SQL("row({})").format(sql.SQL(", ").join(map(_text, columns)))


def _text(column: str) -> sql.Composed:
    return sql.SQL("{}::text").format(sql.Identifier(column))


def states(dsn: Dsn, transfer: Transfer) -> list[tuple[str, str]]:
    """Each table and its state, in the order of the move, as the target has it."""
    statement = transfer.states or ""
    with connect(dsn, timeout_s=transfer.timeout_s) as connection:
        rows = fetch(connection, statement)
    known = ("waiting", "copied", "verified", "switched")
    if not rows or any(len(row) != 2 or row[1] not in known for row in rows):  # noqa: PLR2004
        raise NoData(
            f"`states` must return rows of a table and one of {', '.join(known)}", where=statement
        )
    found = [(str(table), str(state)) for table, state in rows]
    if missing := sorted(transfer.tables.keys() - {table for table, _ in found}):
        raise NoData(f"`states` returns no row for {missing[0]}", where=statement)
    return [(table, state) for table, state in found if table in transfer.tables]


def out_of_order(found: Sequence[tuple[str, str]]) -> list[str]:
    """Tables whose move began before the previous table was verified."""
    wrong: list[str] = []
    open_ = ""
    for table, state in found:
        if state != "waiting" and open_:
            wrong.append(f"{table} is {state}, but {open_} before it is not verified")
        if state in ("waiting", "copied") and not open_:
            open_ = table
    return wrong


_Seen = tuple[Row, str, bool]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two tables, by the text of the keys.

    Attributes:
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
    """Compare the rows written to one table within `window_s`, at most 10,000, with the other."""
    if side.changed is None:
        raise NoData(
            f"no column with the time of the write is configured for {side.table}",
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
    """Whether a row written to the new table reaches the old one; it is rolled back."""
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
