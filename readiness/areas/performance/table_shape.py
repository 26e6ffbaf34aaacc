"""Makes a table of another table's shape, and rows that fit into it."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from readiness.lib.postgres import Connection, connect, fetch, fetch_value, timescale
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.secrets import Dsn

_SAMPLED_ROWS: Final = 1000
_LARGEST_BATCH: Final = 64 * 1024 * 1024
_TIMEOUT_S: Final = 10.0
# Adding a foreign key locks the referenced table: better give up than make the target wait.
_PATIENCE: Final = "set local lock_timeout = '2s'"
_FILLED_BY_DEFAULT: Final = re.compile(r"\b(nextval|gen_random_uuid|uuid_generate_\w+|uuidv[47])\(")
_SEQUENCE: Final = re.compile(r"\bnextval\(")

# How the number of a row becomes a value that no other row has.
_NUMBERED: Final = {
    "timestamptz": "now() + {n} * interval '1 millisecond'",
    "timestamp": "localtimestamp + {n} * interval '1 millisecond'",
    "int8": "{n}",
    "int4": "{n}::int4",
    "numeric": "{n}",
    "uuid": "md5({n}::text)::uuid",
    "text": "{n}::text",
    "varchar": "{n}::text",
    "bpchar": "{n}::text",
    "date": "date '2000-01-01' + {n}::int4",
}

_TABLE: Final = """
    select c.oid, n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.oid = to_regclass(%s) and c.relkind in ('r', 'p')"""
_COLUMNS: Final = """
    select a.attname, coalesce(base.typname, t.typname), a.attidentity <> '', a.attgenerated <> '',
        coalesce(pg_get_expr(d.adbin, d.adrelid), ''),
        exists (select from pg_constraint f where f.conrelid = a.attrelid and f.contype = 'f'
            and a.attnum = any (f.conkey))
    from pg_attribute a join pg_type t on t.oid = a.atttypid
        left join pg_type base on base.oid = nullif(t.typbasetype, 0)
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = %s and a.attnum > 0 and not a.attisdropped order by a.attnum"""
# The columns of an index's expressions are found in its dependencies, its own in indkey.
_UNIQUE: Final = """
    select i.indexrelid::regclass::text, array(
        select a.attname::text from pg_attribute a where a.attrelid = i.indrelid and a.attnum > 0
        and (a.attnum = any ((string_to_array(i.indkey::text, ' ')::int2[])[1:i.indnkeyatts])
            or exists (select from pg_depend d where d.classid = 'pg_class'::regclass
                and i.indexprs is not null and d.objid = i.indexrelid
                and d.refobjid = i.indrelid and d.refobjsubid = a.attnum)))
    from pg_index i where i.indrelid = %s and i.indisunique order by 1"""
_FOREIGN_KEYS: Final = """
    select conname, pg_get_constraintdef(oid) from pg_constraint
    where conrelid = %s and contype = 'f' order by conname"""
# A TimescaleDB hypertable refuses rows in its root by a trigger that a plain copy must not have.
_TRIGGERS: Final = """
    select pg_get_triggerdef(oid) from pg_trigger
    where tgrelid = %s and not tgisinternal and tgenabled in ('O', 'A') and tgtype & 4 <> 0
        and tgname <> 'ts_insert_blocker' order by tgname"""
# Of a table by its oid; none where it is a plain one.
_DIMENSIONS: Final = """
select d.column_name, d.time_interval::text, d.integer_interval, d.num_partitions
from pg_class c join pg_namespace n on n.oid = c.relnamespace
join timescaledb_information.dimensions d
    on d.hypertable_schema = n.nspname and d.hypertable_name = c.relname
where c.oid = %s order by d.dimension_number"""


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    type: str
    identity: bool
    generated: bool
    default: str
    foreign: bool

    @property
    def fills_itself(self) -> bool:
        return self.identity or self.generated or bool(_FILLED_BY_DEFAULT.search(self.default))


@dataclass(frozen=True, slots=True)
class ScratchTable:
    """An empty table of the target table's shape, and how to make rows for it.

    Attributes:
        target: the table whose shape it has.
        columns: those that are written; the others have generated values.
        numbered: for columns of unique keys, the expression that makes them unique.
        sampled: how many rows of the target are repeated.
        largest: rows that fit into one batch in memory.
    """

    name: sql.Identifier
    target: sql.Identifier
    columns: tuple[str, ...]
    numbered: dict[str, str]
    sampled: int
    largest: int

    def copy_statement(self) -> sql.Composed:
        """The COPY that stores rows."""
        columns = sql.SQL(", ").join(map(sql.Identifier, self.columns))
        return sql.SQL("copy {} ({}) from stdin").format(self.name, columns)

    def insert_statement(self) -> sql.Composed:
        """The INSERT that stores one row, with numbered parameters."""
        columns = sql.SQL(", ").join(map(sql.Identifier, self.columns))
        numbers = range(1, len(self.columns) + 1)
        values = sql.SQL(", ").join(sql.SQL("${}").format(sql.Literal(n)) for n in numbers)
        return sql.SQL("insert into {} ({}) values ({})").format(self.name, columns, values)

    def rows_statement(self, rows: int, first: int) -> sql.Composed:
        """The COPY that returns `rows` rows of the target table, numbered from `first`."""
        number = sql.Identifier("readiness row number")
        return sql.SQL(
            "copy (select {values} from (select s.*, {first} + row_number() over () as {number}"
            " from (select * from {target} limit {sampled}) s, generate_series(1, {times})) r"
            " limit {rows}) to stdout"
        ).format(
            values=sql.SQL(", ").join(self._value(column, number) for column in self.columns),
            first=sql.Literal(first),
            number=number,
            target=self.target,
            sampled=sql.Literal(_SAMPLED_ROWS),
            times=sql.Literal(-(-rows // self.sampled)),
            rows=sql.Literal(rows),
        )

    def _value(self, column: str, number: sql.Identifier) -> sql.Composable:
        if column not in self.numbered:
            return sql.Identifier("r", column)
        return sql.SQL(self.numbered[column]).format(n=number)


@contextmanager
def scratch_copy(
    connection: Connection, dsn: Dsn, table: str, *, triggers: bool
) -> Iterator[ScratchTable]:
    """An empty table of the shape of `table`, in a schema of its own; dropped at the end.

    It has the columns, defaults, indexes, constraints, foreign keys and (if asked for) the
    enabled insert triggers of the table; it is a hypertable if the table is one.

    Raises:
        NoData: the table is empty.
        CouldNotMeasure: the table does not exist, or no rows can be made that fit into it.
        NotPermitted: the role may not create a schema, read the table, or refer to another one.
    """
    schema = f"readiness_probe_{secrets.token_hex(6)}"
    oid, target = _resolve(connection, table)
    columns = [_Column(*row) for row in fetch(connection, _COLUMNS, [oid])]
    numbered = _unique_values(fetch(connection, _UNIQUE, [oid]), columns, table)
    sampled, width = _look_at_rows(connection, target, table)
    scratch = ScratchTable(
        name=sql.Identifier(schema, "rows"),
        target=target,
        columns=_written(columns, table),
        numbered=numbered,
        sampled=sampled,
        largest=max(1, int(_LARGEST_BATCH / max(width, 1))),
    )
    try:
        _create(connection, schema, scratch, oid, columns, triggers=triggers)
        yield scratch
    finally:
        _drop(dsn, schema)


def _resolve(connection: Connection, table: str) -> tuple[int, sql.Identifier]:
    found = fetch(connection, _TABLE, [table])
    if not found:
        raise CouldNotMeasure(
            f"the table {table} does not exist",
            where=connection.info.dbname,
            remedy="write it as schema.table, in quotes if it has capitals",
        )
    oid, schema, name = found[0]
    return oid, sql.Identifier(schema, name)


def _look_at_rows(connection: Connection, target: sql.Identifier, table: str) -> tuple[int, float]:
    """How many rows can be taken as samples, and their width in bytes."""
    statement = sql.SQL(
        "select count(*), coalesce(avg(pg_column_size(s.*)), 0)::float8"
        " from (select * from {} limit {}) s"
    ).format(target, sql.Literal(_SAMPLED_ROWS))
    sampled, width = fetch(connection, statement)[0]
    if not sampled:
        raise NoData(
            f"the table {table} is empty, and has no rows to take as samples",
            remedy="insert some typical rows, or declare a table that has some",
        )
    return sampled, width


def _written(columns: list[_Column], table: str) -> tuple[str, ...]:
    names = tuple(column.name for column in columns if not column.fills_itself)
    if not names:
        raise CouldNotMeasure(
            f"every column of {table} has a generated value: there is nothing to write"
        )
    return names


def _unique_values(
    keys: list[tuple[str, list[str]]], columns: list[_Column], table: str
) -> dict[str, str]:
    """For each unique key that nothing else makes unique, a column and its expression."""
    by_name = {column.name: column for column in columns}
    numbered: dict[str, str] = {}
    for index, names in keys:
        if any(by_name[name].fills_itself or name in numbered for name in names):
            continue
        able = [
            by_name[n] for n in names if by_name[n].type in _NUMBERED and not by_name[n].foreign
        ]
        if not able:
            raise CouldNotMeasure(
                f"cannot make rows that are unique in {index} ({', '.join(names)})",
                where=table,
                remedy="declare another table, or give one of these columns a unique default",
            )
        chosen = min(able, key=lambda column: list(_NUMBERED).index(column.type))
        numbered[chosen.name] = _NUMBERED[chosen.type]
    return numbered


def _create(
    connection: Connection,
    schema: str,
    scratch: ScratchTable,
    oid: int,
    columns: list[_Column],
    *,
    triggers: bool,
) -> None:
    with connection.transaction():
        fetch(connection, _PATIENCE)
        # Definitions then come with the schema of everything they name.
        fetch(connection, "set local search_path = ''")
        for statement in (
            *_tables(schema, scratch, columns),
            *_hypertable_like(connection, oid, scratch.name),
            *_constraints(connection, scratch, oid),
            *(_trigger_statements(connection, scratch, oid) if triggers else ()),
        ):
            fetch(connection, statement)


def _tables(schema: str, scratch: ScratchTable, columns: list[_Column]) -> Iterator[sql.Composed]:
    yield sql.SQL("create schema {}").format(sql.Identifier(schema))
    yield sql.SQL("create table {} (like {} including all)").format(scratch.name, scratch.target)
    for number, column in enumerate(columns):
        # LIKE copies the default with the target's own sequence, which must not move.
        if _SEQUENCE.search(column.default):
            sequence = sql.Identifier(schema, f"sequence_{number}")
            yield sql.SQL("create sequence {}").format(sequence)
            yield sql.SQL("alter table {} alter column {} set default nextval({})").format(
                scratch.name,
                sql.Identifier(column.name),
                sql.Literal(f"{schema}.sequence_{number}"),
            )


def _hypertable_like(
    connection: Connection, source: int, table: sql.Identifier
) -> Iterator[sql.Composed]:
    """What makes an empty table a hypertable like `source`; nothing where that is a plain table."""
    found = timescale.installed(connection)
    if found is None:
        return
    name = sql.Literal(table.as_string(connection))
    dimensions = fetch(connection, _DIMENSIONS, [source])
    for number, (column, interval, length, partitions) in enumerate(dimensions):
        function = "add_dimension" if number else "create_hypertable"
        yield sql.SQL("select {}({}::regclass, {}, {})").format(
            sql.Identifier(found.schema, function),
            name,
            sql.Literal(column),
            sql.SQL(", ").join(_dimension(number == 0, interval, length, partitions)),
        )


def _dimension(
    first: bool, interval: str | None, length: int | None, partitions: int | None
) -> Iterator[sql.Composable]:
    if partitions is not None:
        yield sql.SQL("number_partitions => {}").format(sql.Literal(partitions))
    elif interval is not None:
        yield sql.SQL("chunk_time_interval => {}::interval").format(sql.Literal(interval))
    else:
        yield sql.SQL("chunk_time_interval => {}::bigint").format(sql.Literal(length))
    if first:
        yield sql.SQL("create_default_indexes => false")


def _constraints(connection: Connection, scratch: ScratchTable, oid: int) -> Iterator[sql.Composed]:
    for name, definition in fetch(connection, _FOREIGN_KEYS, [oid]):
        yield sql.SQL("alter table {} add constraint {} {}").format(
            scratch.name, sql.Identifier(name), sql.SQL(definition)
        )


def _trigger_statements(
    connection: Connection, scratch: ScratchTable, oid: int
) -> Iterator[sql.Composed]:
    # With an empty search_path this is the very text that pg_get_triggerdef uses.
    quoted = f" ON {fetch_value(connection, 'select %s::oid::regclass::text', [oid])} "
    for (definition,) in fetch(connection, _TRIGGERS, [oid]):
        before, found, after = definition.partition(quoted)
        if not found:
            raise CouldNotMeasure("a trigger cannot be copied", where=definition)
        yield sql.SQL("{} ON {} {}").format(sql.SQL(before), scratch.name, sql.SQL(after))


def _drop(dsn: Dsn, schema: str) -> None:
    """Drop the scratch schema over a new connection: the old one may be broken."""
    statement = sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema))
    try:
        with connect(dsn, timeout_s=_TIMEOUT_S) as connection:
            fetch(connection, statement)
    except CouldNotMeasure as error:
        raise CouldNotMeasure(
            f"the scratch schema could not be dropped: {error.message}",
            where=dsn.address,
            remedy=f"drop it by hand: drop schema if exists {schema} cascade",
        ) from error
