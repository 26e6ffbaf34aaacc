"""Rules of the schema that do not hold: constraints, triggers, foreign keys, sequences."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Final

from psycopg import sql

from readiness.lib.postgres import Connection, fetch
from readiness.lib.postgres.batches import batches, locks_of_tables
from readiness.lib.postgres.sequences import FEEDS
from readiness.lib.postgres.session import OF_THE_APPLICATION
from readiness.lib.postgres.unrecorded import ALL_ROWS, need_entries, rows_of, seeing_all_rows
from readiness.model.errors import NotPermitted, TookTooLong

_OWN: Final = f"""{OF_THE_APPLICATION}
        and not exists (select from pg_depend e where e.classid = 'pg_class'::regclass
            and e.objid = c.oid and e.deptype = 'e')"""
_NOT_VALIDATED: Final = """
    select format('%I.%I', n.nspname, c.relname), quote_ident(k.conname),
        pg_total_relation_size(c.oid),
        format('alter table %I.%I validate constraint %I;', n.nspname, c.relname, k.conname)
    from pg_constraint k join pg_class c on c.oid = k.conrelid
        join pg_namespace n on n.oid = c.relnamespace
    where not k.convalidated and @OWN@ order by 3 desc, 1, 2""".replace("@OWN@", _OWN)
# Whether changes of another database are applied to this one, for which some triggers may be.
_APPLIED: Final = """(
        exists (select from pg_subscription b where b.subdbid =
            (select oid from pg_database where datname = current_database()))
        or exists (select from pg_db_role_setting s cross join unnest(s.setconfig) e
            where e = 'session_replication_role=replica' and s.setrole <> 0))"""
# A trigger of a foreign key is internal: without it the key is no longer checked. One that is
# enabled on a replica alone is never run by the application. Each is enabled by its name: `all`
# would also change those that are to run always, on a replica as well.
_DISABLED: Final = """
    select format('%I.%I', n.nspname, c.relname),
        case when g.tgisinternal then 'the foreign key ' || coalesce(quote_ident(k.conname), '?')
            else quote_ident(g.tgname) end,
        pg_total_relation_size(c.oid),
        format('alter table %I.%I %s;', n.nspname, c.relname,
            string_agg(format('enable trigger %I', g.tgname), ', ' order by g.tgname))
    from pg_trigger g join pg_class c on c.oid = g.tgrelid
        join pg_namespace n on n.oid = c.relnamespace
        left join pg_constraint k on k.oid = g.tgconstraint
    where (g.tgenabled = 'D' or g.tgenabled = 'R' and not @APPLIED@) and @OWN@
    group by n.nspname, c.relname, 2, 3
    union all
    select format('%I.%I', n.nspname, c.relname), 'the rule ' || quote_ident(w.rulename),
        pg_total_relation_size(c.oid),
        format('alter table %I.%I enable rule %I;', n.nspname, c.relname, w.rulename)
    from pg_rewrite w join pg_class c on c.oid = w.ev_class
        join pg_namespace n on n.oid = c.relnamespace
    where (w.ev_enabled = 'D' or w.ev_enabled = 'R' and not @APPLIED@) and @OWN@
    order by 3 desc, 1, 2""".replace("@OWN@", _OWN).replace("@APPLIED@", _APPLIED)
# Only of tables that hold rows: each partition repeats the key of its partitioned table. The number
# of rows is estimated from the size, as the planner does; the smallest row has 28 bytes.
_KEYS: Final = """
    select quote_ident(k.conname), n.nspname, c.relname, fn.nspname, f.relname,
        array(select a.attname::text from unnest(k.conkey) with ordinality o(num, place)
            join pg_attribute a on a.attrelid = k.conrelid and a.attnum = o.num order by o.place),
        array(select a.attname::text from unnest(k.confkey) with ordinality o(num, place)
            join pg_attribute a on a.attrelid = k.confrelid and a.attnum = o.num order by o.place),
        (pg_relation_size(c.oid) * case when c.reltuples > 0 and c.relpages > 0
            then c.reltuples / c.relpages / current_setting('block_size')::float8
            else 1 / 28.0 end)::bigint, has_table_privilege(c.oid, 'SELECT'),
        has_table_privilege(f.oid, 'SELECT'), c.oid::bigint, f.oid::bigint
    from pg_constraint k join pg_class c on c.oid = k.conrelid and c.relkind = 'r'
        join pg_namespace n on n.oid = c.relnamespace
        join pg_class f on f.oid = k.confrelid join pg_namespace fn on fn.oid = f.relnamespace
    where k.contype = 'f' and @OWN@ order by 8, 2, 3, 1""".replace("@OWN@", _OWN)
# A sample of the pages, where there are more rows than may be read; else all of them.
_ORPHANS: Final = """
    select count(*) as orphans from (
        select from (select {columns} from only {child} {sample} where {there} limit {most}) child
        where not exists (select from {parent} parent where {equal}) limit {most}) orphans"""
_SPARE: Final = 1.2
# One that cycles restarts on purpose, and one that counts down is not compared with the largest
# value. Without an index on the column the largest value would need a scan of the table.
_SEQUENCES: Final = """
    select n.nspname, s.relname, tn.nspname, t.relname, a.attname, q.seqincrement,
        has_sequence_privilege(s.oid, 'SELECT'), has_column_privilege(t.oid, a.attnum, 'SELECT'),
        exists (select from pg_index i where i.indrelid = t.oid and i.indkey[0] = a.attnum
            and i.indisvalid and i.indpred is null), t.oid::bigint
    from pg_sequence q join pg_class s on s.oid = q.seqrelid
        join pg_namespace n on n.oid = s.relnamespace
        join (@FEEDS@) d on d.sequence = s.oid
        join pg_class t on t.oid = d.relation and t.relkind in ('r', 'p')
            and (d.owned or not t.relispartition)
        join pg_namespace tn on tn.oid = t.relnamespace
        join pg_attribute a on a.attrelid = t.oid and a.attnum = d.number
            and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
    where @OWN@ and not q.seqcycle and q.seqincrement > 0
        and not exists (select from pg_depend e where e.classid = 'pg_class'::regclass
            and e.objid = t.oid and e.deptype = 'e')
    order by 3, 4, 5""".replace("@OWN@", OF_THE_APPLICATION).replace("@FEEDS@", FEEDS)
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """A rule that does not hold, its table, the size of that in bytes, and what fixes it."""

    table: str
    rule: str
    size: int
    fix: str

    def __str__(self) -> str:
        return f"{self.rule} on {self.table} ({self.size / 1024 / 1024:.3g} MB): {self.fix}"


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key of a table that holds rows.

    Attributes:
        child: schema and name of the table that has it.
        parent: schema and name of the table that it references.
        columns: of the child.
        references: the columns of the parent, in the same order.
        rows: how many rows the child has, as the planner estimates; the most that fit if it was
            never analyzed.
        readable: whether the role may read both.
        locks: how many locks it takes to compare the two.
    """

    name: str
    child: tuple[str, str]
    parent: tuple[str, str]
    columns: tuple[str, ...]
    references: tuple[str, ...]
    rows: int
    readable: bool
    locks: int

    def __str__(self) -> str:
        return f"{self.name} of {'.'.join(self.child)}"


@dataclass(frozen=True, slots=True)
class Orphans:
    """The orphaned rows of one foreign key, and whether only a sample was searched."""

    key: ForeignKey
    rows: int
    sampled: bool


def not_validated(connection: Connection) -> list[BrokenRule]:
    """Constraints that were added NOT VALID and never validated; largest tables first."""
    return [BrokenRule(*row) for row in fetch(connection, _NOT_VALIDATED)]


def disabled_triggers(connection: Connection) -> list[BrokenRule]:
    """Triggers and rules that are off, or run on a replica alone; largest tables first."""
    return [BrokenRule(*row) for row in fetch(connection, _DISABLED)]


def foreign_keys(connection: Connection) -> list[ForeignKey]:
    """All foreign keys of tables that hold rows; smallest tables first."""
    locks = locks_of_tables(connection)
    return [
        ForeignKey(
            name, (cn, ct), (pn, pt), tuple(cc), tuple(pc), rows, own and other,
            locks.get(child, 1) + locks.get(parent, 1),
        )
        for name, cn, ct, pn, pt, cc, pc, rows, own, other, child, parent
        in fetch(connection, _KEYS)
    ]  # fmt: skip


def orphans(
    connection: Connection, keys: Sequence[ForeignKey], *, most: int, within_s: float
) -> Iterator[Orphans]:
    """Rows without the parent that their foreign key requires, key by key.

    Args:
        connection: as a role that may read the tables.
        keys: what `foreign_keys` gave.
        most: rows of a table that are searched.
        within_s: seconds for all of them together.

    Raises:
        NotPermitted: the role may not read a table, or row security hides rows from it.
        TookTooLong: not all were searched in that time.
        CouldNotMeasure: the server has too few locks left.
    """
    hidden = [key for key in keys if not key.readable]
    if hidden:
        tables = sorted({".".join(t) for key in hidden for t in (key.child, key.parent)})
        raise NotPermitted(
            f"the role may not read the tables of {len(hidden)} foreign keys, such as {hidden[0]}",
            where="pg_constraint",
            remedy=f"grant select on {', '.join(tables[:5])} to {connection.info.user}",
        )
    settings = {**ALL_ROWS, **need_entries(connection, len(keys))}
    end, done = time.monotonic() + within_s, 0
    for some in batches(connection, keys, lambda key: key.locks):
        for key in some:
            if time.monotonic() > end:
                raise TookTooLong(
                    f"only {done} of {len(keys)} foreign keys were searched in {within_s:g} s",
                    where=str(key),
                    remedy="raise `timeout_s`, or lower `max_rows`, in [databases.NAME.schema]",
                )
            sampled = key.rows > most
            # In a transaction of its own: a lock that a migration waits for is released soon.
            with seeing_all_rows(connection):
                ((rows,),) = rows_of(connection, _statement(key, most, sampled=sampled), settings)
            yield Orphans(key, rows, sampled)
            done += 1


def _statement(key: ForeignKey, most: int, *, sampled: bool) -> sql.Composed:
    percent = min(100.0, 100 * _SPARE * most / max(key.rows, 1))
    sample = f"tablesample system ({percent:.6f})" if sampled else ""
    own = [sql.Identifier(name) for name in key.columns]
    pairs = zip(own, map(sql.Identifier, key.references), strict=True)
    return sql.SQL(_ORPHANS).format(
        columns=sql.SQL(", ").join(own),
        child=sql.Identifier(*key.child),
        parent=sql.Identifier(*key.parent),
        sample=sql.SQL(sample),
        # MATCH SIMPLE, as nearly all are: a key with a NULL in it needs no parent.
        there=sql.SQL(" and ").join(sql.SQL("{} is not null").format(name) for name in own),
        equal=sql.SQL(" and ").join(
            sql.SQL("parent.{} = child.{}").format(theirs, ours) for ours, theirs in pairs
        ),
        most=sql.Literal(most),
    )


@dataclass(frozen=True, slots=True)
class _Column:
    sequence: tuple[str, str]
    table: tuple[str, str]
    column: str
    step: int
    locks: int

    def __str__(self) -> str:
        return f"{'.'.join(self.table)}.{self.column}"

    @property
    def continued(self) -> sql.Composed:
        """What continues the sequence, which a column may use without owning it."""
        return sql.SQL("select setval({}, max({})) from {};").format(
            sql.Literal(sql.Identifier(*self.sequence).as_string(None)),
            sql.Identifier(self.column),
            sql.Identifier(*self.table),
        )


@dataclass(frozen=True, slots=True)
class Numbered:
    """A column whose values come from a sequence.

    Attributes:
        column: `schema.table.column`.
        fix: the SQL that continues the sequence after the largest value.
        following: the next value of the sequence.
        largest: the largest value in use; None if the table is empty.
    """

    column: str
    fix: str
    following: int
    largest: int | None

    @property
    def behind(self) -> bool:
        """Whether the next value, or a later one, is in use already."""
        return self.largest is not None and self.following <= self.largest

    def __str__(self) -> str:
        return f"{self.column} has {self.largest}, the next value is {self.following}: {self.fix}"


@dataclass(frozen=True, slots=True)
class Sequences:
    """The numbered columns that were compared, and those without an index, which were not."""

    looked_at: tuple[Numbered, ...]
    left_out: tuple[str, ...]


def sequences(connection: Connection) -> Sequences:
    """Every sequence that feeds a column, as its own or by a default, with its largest value.

    Raises:
        NotPermitted: the role may not read a sequence or its table, or row security hides rows.
        CouldNotMeasure: the server has too few locks left.
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
    settings = {**ALL_ROWS, **need_entries(connection, len(columns) // _AT_ONCE + 1)}
    found: list[Numbered] = []
    for some in batches(connection, columns, lambda one: one.locks, longest=_AT_ONCE):
        asked = sql.SQL(" union all ").join(starmap(_compared, enumerate(some)))
        with seeing_all_rows(connection):
            rows = sorted(rows_of(connection, asked, settings))
        for one, (_, largest, following) in zip(some, rows, strict=True):
            fix = one.continued.as_string(connection)
            found.append(Numbered(str(one), fix, following, largest))
    return Sequences(tuple(found), tuple(left_out))


def _compared(number: int, numbered: _Column) -> sql.Composed:
    """The largest value in use and the next one; of a negative one, the largest below zero.

    A key that was full may go on with the negative numbers, below all that were issued.
    Safe beside writers: the rows are those at the start of the statement, and a sequence only
    goes up.
    """
    return sql.SQL(
        "select {number} as number, case when last_value < 0"
        " then (select max({column}) from {table} where {column} < 0)"
        " else (select max({column}) from {table}) end as largest,"
        " last_value + case when is_called then {step} else 0 end as following from {sequence}"
    ).format(
        number=sql.Literal(number),
        column=sql.Identifier(numbered.column),
        table=sql.Identifier(*numbered.table),
        step=sql.Literal(numbered.step),
        sequence=sql.Identifier(*numbered.sequence),
    )
