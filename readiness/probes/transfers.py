"""Compares old tables with the new ones that take their place, row by row and by key."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql

from readiness.config.transfers import TablePair, Transfer
from readiness.errors import NoData
from readiness.probes.postgres import Connection, connect, fetch
from readiness.probes.schema.rows import named
from readiness.secrets import Dsn

# The text of a value depends on these; fixed, it is the same on both sides.
_FIXED: Final = """
    set transaction isolation level repeatable read, read only; set local row_security = off;
    set local datestyle = 'ISO, YMD'; set local timezone = 'UTC';
    set local intervalstyle = 'postgres'; set local extra_float_digits = 1;
    set local bytea_output = 'hex'"""
_BUCKET: Final = "('x' || substr(md5({key}::text), 1, 2))::bit(8)::integer"
_SUM: Final = "('x' || substr(md5({columns}::text), 1, 16))::bit(64)::bigint::numeric"
_SUMS: Final = """
    select {bucket}, count(*), sum({sum}) from {table} where {where} group by 1"""
_ROWS: Final = """
    select {key}::text, md5({columns}::text), {recent} from {table}
    where {where} and {bucket} = any(%s) limit {most}"""
_RECENT: Final = """
    select {keys}, md5({columns}::text) from {table}
    where {changed} >= now() - {window} * interval '1 second' and {where}
    order by {changed} desc limit {most}"""
_LOOKED_UP: Final = """
    select {keys}, md5({columns}::text) from {table}
    join unnest({arrays}) wanted({names}) on {equal} where {where}"""
_TYPES: Final = """
    select attname, format_type(atttypid, null) from pg_attribute
    where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped"""
_LARGEST_PART: Final = 200_000
_MOST_RECENT: Final = 10_000

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two tables: where it is, and what tells and makes its rows."""

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
            "columns": columns,
            "bucket": sql.SQL(_BUCKET).format(key=key),
            "sum": sql.SQL(_SUM).format(columns=columns),
            "where": sql.SQL(f"({self.where})"),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two tables, by the text of the keys.

    Attributes:
        rows: how many rows the old one has.
        missing: in the old one, not in the new one.
        differing: in both, with other values.
        partial: whether there were too many to name them all.
    """

    rows: int
    missing: tuple[str, ...]
    differing: tuple[str, ...]
    partial: bool = False


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


def compared(old: Side, new: Side, transfer: Transfer) -> Comparison:
    """Whether each row of the old table is in the new one, and the same.

    Rows that were written within `window_s` are left to `lately`, where it is known when they
    were. What differs is looked at a second time, `settle_s` later: it may have been on its way.

    Raises:
        CouldNotMeasure: and its kinds, see `readiness.probes.postgres.connect`.
    """
    with _reading(old, new, transfer.timeout_s) as (ours, theirs):
        first, second = _sums(ours, old), _sums(theirs, new)
    rows = sum(int(count) for count, _ in first.values())
    parts = sorted(part for part, sums in first.items() if second.get(part) != sums)
    if not parts:
        return Comparison(rows, (), ())
    found = _differing(old, new, transfer, parts)
    if found.missing or found.differing:
        time.sleep(transfer.settle_s)
        again = _differing(old, new, transfer, parts)
        found = Comparison(
            0,
            tuple(key for key in found.missing if key in set(again.missing)),
            tuple(key for key in found.differing if key in set(again.differing)),
            found.partial or again.partial,
        )
    return Comparison(rows, found.missing, found.differing, found.partial)


def lately(side: Side, other: Side, transfer: Transfer) -> Recent:
    """Whether what was written of late on one side is on the other one, and the same.

    Raises:
        NoData: nothing tells when a row was written, or none was written of late.
        CouldNotMeasure: and its kinds, see `readiness.probes.postgres.connect`.
    """
    first = _lately(side, other, transfer)
    if not (first.missing or first.differing):
        return first
    time.sleep(transfer.settle_s)
    again = _lately(side, other, transfer)
    return Recent(
        first.rows,
        tuple(key for key in first.missing if key in set(again.missing)),
        tuple(key for key in first.differing if key in set(again.differing)),
    )


def canary_arrives(old: Side, canary: str, write: Dsn, transfer: Transfer) -> bool:
    """Whether a row that is written to the new table is in the old one; it is taken back.

    Raises:
        NoData: the canary wrote nothing, or does not return its key.
        CouldNotMeasure: and its kinds, see `readiness.probes.postgres.connect`.
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


def states(dsn: Dsn, transfer: Transfer) -> list[tuple[str, str]]:
    """Each table and how far it has come, in the order of the move.

    Raises:
        NoData: the statement tells nothing, or something else than tables and states.
        CouldNotMeasure: and its kinds, see `readiness.probes.postgres.connect`.
    """
    statement = transfer.states or ""
    with connect(dsn, timeout_s=transfer.timeout_s) as connection:
        rows = fetch(connection, statement)
    known = ("waiting", "copied", "verified", "switched")
    if not rows or any(len(row) != 2 or row[1] not in known for row in rows):  # noqa: PLR2004
        raise NoData(
            f"`states` must give rows of a table and one of {', '.join(known)}", where=statement
        )
    found = [(str(table), str(state)) for table, state in rows]
    if missing := sorted(transfer.tables.keys() - {table for table, _ in found}):
        raise NoData(f"`states` does not tell of {missing[0]}", where=statement)
    return [(table, state) for table, state in found if table in transfer.tables]


def out_of_order(told: Sequence[tuple[str, str]]) -> list[str]:
    """Tables that were begun although one before them was not verified."""
    wrong: list[str] = []
    open_ = ""
    for table, state in told:
        if state != "waiting" and open_:
            wrong.append(f"{table} is {state}, and {open_} before it is not verified")
        if state in ("waiting", "copied") and not open_:
            open_ = table
    return wrong


def _sums(connection: Connection, side: Side) -> dict[int, tuple[int, Any]]:
    statement = sql.SQL(_SUMS).format(**side.fields())
    return {part: (count, total) for part, count, total in fetch(connection, statement)}


def _differing(old: Side, new: Side, transfer: Transfer, parts: list[int]) -> Comparison:
    with _reading(old, new, transfer.timeout_s) as (ours, theirs):
        first, second = _rows(ours, old, transfer, parts), _rows(theirs, new, transfer, parts)
    settled = {key: hash_ for key, (hash_, recent) in first.items() if not recent}
    return Comparison(
        0,
        tuple(sorted(key for key in settled if key not in second)),
        tuple(
            sorted(
                key for key, hash_ in settled.items() if key in second and second[key][0] != hash_
            )
        ),
        max(len(first), len(second)) >= _LARGEST_PART,
    )


def _rows(
    connection: Connection, side: Side, transfer: Transfer, parts: list[int]
) -> dict[str, tuple[str, bool]]:
    recent: sql.Composable = sql.SQL("false")
    if side.changed:
        recent = sql.SQL("coalesce({} >= now() - {} * interval '1 second', false)").format(
            sql.Identifier(side.changed), sql.Literal(transfer.window_s)
        )
    statement = sql.SQL(_ROWS).format(
        **side.fields(), recent=recent, most=sql.Literal(_LARGEST_PART)
    )
    return {key: (hash_, late) for key, hash_, late in fetch(connection, statement, [parts])}


def _lately(side: Side, other: Side, transfer: Transfer) -> Recent:
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
    with _reading(side, other, transfer.timeout_s) as (ours, theirs):
        written = {row[:-1]: row[-1] for row in fetch(ours, statement)}
        if not written:
            raise NoData(
                f"no row of {side.table} was written in the last {transfer.window_s:g} s",
                where=side.table,
                remedy="let something write, or raise `window_s`",
            )
        there = _looked_up(theirs, other, list(written))
    missing = [key for key in written if key not in there]
    differing = [key for key in written if key in there and there[key] != written[key]]
    return Recent(len(written), tuple(map(_told, missing)), tuple(map(_told, differing)))


def _looked_up(connection: Connection, side: Side, keys: Sequence[Row]) -> dict[Row, str]:
    """The rows with these keys, found by the table's own index: its types are used."""
    types: dict[str, str] = dict(
        fetch(connection, _TYPES, [named(side.table).as_string(connection)])
    )
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


@contextmanager
def _reading(old: Side, new: Side, timeout_s: float) -> Iterator[tuple[Connection, Connection]]:
    """A connection for each side, in one snapshot where both are in one database."""
    with connect(old.dsn, timeout_s=timeout_s) as first, _snapshot(first):
        if new.dsn == old.dsn:
            yield first, first
            return
        with connect(new.dsn, timeout_s=timeout_s) as second, _snapshot(second):
            yield first, second


@contextmanager
def _snapshot(connection: Connection) -> Iterator[None]:
    with connection.transaction(force_rollback=True):
        fetch(connection, _FIXED)
        yield


def _row(columns: Sequence[str]) -> sql.Composed:
    """All values as text: a number is the same number in a wider type."""
    return sql.SQL("row({})").format(sql.SQL(", ").join(map(_text, columns)))


def _text(column: str) -> sql.Composed:
    return sql.SQL("{}::text").format(sql.Identifier(column))


def _told(key: Row) -> str:
    return ", ".join(key)
