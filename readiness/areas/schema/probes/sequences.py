"""Whether sequences are ahead of the columns that they number."""

from dataclasses import dataclass
from itertools import starmap
from typing import Final

from psycopg import sql

from readiness.areas.schema.probes.rows import all_rows
from readiness.lib.postgres import Connection, fetch
from readiness.lib.postgres.batches import batches, locks_of_tables
from readiness.lib.postgres.session import OF_THE_APPLICATION
from readiness.model.errors import NotPermitted

# One that cycles restarts on purpose, and one that counts down is not compared with the largest
# value. Without an index on the column the largest value would need a scan of the table.
_SEQUENCES: Final = """
    select n.nspname, s.relname, tn.nspname, t.relname, a.attname, q.seqincrement,
        has_sequence_privilege(s.oid, 'SELECT'), has_column_privilege(t.oid, a.attnum, 'SELECT'),
        exists (select from pg_index i where i.indrelid = t.oid and i.indkey[0] = a.attnum
            and i.indisvalid and i.indpred is null), t.oid::bigint
    from pg_sequence q join pg_class s on s.oid = q.seqrelid
        join pg_namespace n on n.oid = s.relnamespace
        join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = s.oid
            and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
        join pg_class t on t.oid = d.refobjid and t.relkind in ('r', 'p')
        join pg_namespace tn on tn.oid = t.relnamespace
        join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
            and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
    where @OWN@ and not q.seqcycle and q.seqincrement > 0
        and not exists (select from pg_depend e where e.classid = 'pg_class'::regclass
            and e.objid = t.oid and e.deptype = 'e')
    order by 3, 4, 5""".replace("@OWN@", OF_THE_APPLICATION)
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class _Column:
    sequence: tuple[str, str]
    table: tuple[str, str]
    column: str
    step: int
    locks: int

    def __str__(self) -> str:
        return f"{'.'.join(self.table)}.{self.column}"


@dataclass(frozen=True, slots=True)
class Numbered:
    """A column whose values come from a sequence.

    Attributes:
        sequence: schema and name.
        table: schema and name.
        column: the column.
        following: the next value of the sequence.
        largest: the largest value in use; None if the table is empty.
    """

    sequence: tuple[str, str]
    table: tuple[str, str]
    column: str
    following: int
    largest: int | None

    @property
    def behind(self) -> bool:
        """Whether the next value, or a later one, is in use already."""
        return self.largest is not None and self.following <= self.largest

    def __str__(self) -> str:
        table = ".".join(self.table)
        return f"{table}.{self.column} has {self.largest}, the next value is {self.following}"


@dataclass(frozen=True, slots=True)
class Sequences:
    """The numbered columns that were compared, and those without an index, which were not."""

    looked_at: tuple[Numbered, ...]
    left_out: tuple[str, ...]


def sequences(connection: Connection) -> Sequences:
    """Every sequence that a column owns, with the column's largest value.

    Raises:
        NotPermitted: the role may not read a sequence or its table, or row security hides rows.
        CouldNotMeasure: the server has too few locks left; and its kinds, see
            `readiness.lib.postgres.connect`.
    """
    columns, left_out = [], []
    locks = locks_of_tables(connection)
    for sn, sequence, tn, table, column, step, may_count, may_read, indexed, oid in fetch(
        connection, _SEQUENCES
    ):
        if not (may_count and may_read):
            thing = f"sequence {sn}.{sequence}" if not may_count else f"{tn}.{table}"
            raise NotPermitted(
                f"the role may not read {thing}",
                where="pg_sequence",
                remedy=f"grant select on {thing} to {connection.info.user}; for all of them:"
                f" grant select on all sequences in schema {sn} to {connection.info.user}",
            )
        if indexed:
            columns.append(
                _Column((sn, sequence), (tn, table), str(column), step, 1 + locks.get(oid, 1))
            )
        else:
            left_out.append(f"{tn}.{table}.{column}")
    found: list[Numbered] = []
    for some in batches(connection, columns, lambda one: one.locks, longest=_AT_ONCE):
        asked = sql.SQL(" union all ").join(starmap(_statement, enumerate(some)))
        with all_rows(connection):
            rows = sorted(fetch(connection, asked))
        for one, (_, largest, following) in zip(some, rows, strict=True):
            found.append(Numbered(one.sequence, one.table, one.column, following, largest))
    return Sequences(tuple(found), tuple(left_out))


def _statement(number: int, numbered: _Column) -> sql.Composed:
    """The largest value in use and the next one.

    Safe beside writers: the rows are those at the start of the statement, and a sequence only
    goes up.
    """
    return sql.SQL(
        "select {}, (select max({}) from {}), last_value + case when is_called then {} else 0 end"
        " from {}"
    ).format(
        sql.Literal(number),
        sql.Identifier(numbered.column),
        sql.Identifier(*numbered.table),
        sql.Literal(numbered.step),
        sql.Identifier(*numbered.sequence),
    )
