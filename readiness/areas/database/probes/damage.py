"""Reads a sample of tables and indexes for damage, with PostgreSQL's own amcheck."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import errors, sql

from readiness.areas.database.config import Database
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.text import clean
from readiness.model.errors import NoData, NotPermitted

_STATEMENT_S: Final = 60.0
# After that nothing more is begun: many small relations take long, too.
_BEGIN_S: Final = 6.0
_INSTALLED: Final = """
select quote_ident(n.nspname),
       has_schema_privilege(n.oid, 'usage') and has_function_privilege(
         format('%I.bt_index_check(regclass, boolean)', n.nspname), 'execute'),
       coalesce((select has_function_privilege(p.oid, 'execute') from pg_proc p
                 where p.proname = 'verify_heapam' and p.pronamespace = n.oid), false)
from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'amcheck'"""
# The largest ones hold most; of the others, each day has its own order, so that all have their
# turn. What is compared with an index is its whole table, which counts as well.
_CANDIDATES: Final = """
with sized as (
  select i.indexrelid as oid, format('%I.%I', n.nspname, c.relname) as name,
         pg_relation_size(i.indexrelid) + pg_relation_size(i.indrelid) as bytes, 'i' as kind
  from pg_index i
  join pg_class c on c.oid = i.indexrelid
  join pg_namespace n on n.oid = c.relnamespace
  join pg_am m on m.oid = c.relam
  where m.amname = 'btree' and c.relkind = 'i' and c.relpersistence = 'p'
    and i.indisvalid and i.indisready and i.indislive
    and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
  union all
  select c.oid, format('%I.%I', n.nspname, c.relname), pg_relation_size(c.oid), 't'
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_am m on m.oid = c.relam
  where c.relkind in ('r', 'm') and m.amname = 'heap' and c.relpersistence = 'p'
    and n.nspname not in ('pg_catalog', 'information_schema'))
select oid::bigint, name, bytes, kind from sized
order by rank() over (partition by kind order by bytes desc) > 5,
         hashtext(oid::text || current_date::text)"""
_EXISTS: Final = "select exists (select from pg_class where oid = %s)"
_BUSY: Final = (errors.LockNotAvailable, errors.UndefinedTable, errors.UndefinedObject)


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or index that can be read.

    Attributes:
        oid: its number.
        name: its name.
        size: bytes that reading it costs.
        is_index: whether it is an index.
    """

    oid: int
    name: str
    size: int
    is_index: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """What was read, and what was wrong with it.

    Attributes:
        indexes: that were read.
        tables: that were read.
        size: bytes, as the relations have them.
        candidates: tables and indexes that there are.
        damaged: the damaged ones, with what amcheck says.
    """

    indexes: int
    tables: int
    size: int
    candidates: int
    damaged: tuple[str, ...]


def sample(database: Database, most_bytes: int) -> Sample:
    """Read tables and B-tree indexes, up to so many bytes: the largest, and others in turn.

    It ends sooner if six seconds have passed; how much was read is part of the sample.

    Args:
        database: where.
        most_bytes: what is read at most; a relation that is larger than the rest is left out.

    Raises:
        NoData: amcheck is not installed, or nothing could be read.
        NotPermitted: the role may not run it.
        CouldNotMeasure: and its other kinds, see `postgres.connect`.
    """
    with postgres.connect(
        database.dsn, timeout_s=_STATEMENT_S, total_s=_BEGIN_S + _STATEMENT_S
    ) as connection:
        schema, heaps = _amcheck(connection)
        postgres.fetch(connection, "set lock_timeout = '2s'")
        found = [
            Relation(oid, clean(name), size, kind == "i")
            for oid, name, size, kind in postgres.fetch(connection, _CANDIDATES)
            if kind == "i" or heaps
        ]
        read, damaged = [], []
        for relation in _affordable(found, most_bytes):
            damage = _damage(connection, schema, relation)
            if damage is None:
                continue
            read.append(relation)
            if damage:
                damaged.append(f"{relation.name}: {damage}")
    _must_have_read(found, read, most_bytes)
    indexes = sum(relation.is_index for relation in read)
    size = sum(relation.size for relation in read)
    return Sample(indexes, len(read) - indexes, size, len(found), tuple(damaged))


def _amcheck(connection: Connection) -> tuple[sql.SQL, bool]:
    """Where amcheck is installed, and whether it may read tables (from PostgreSQL 14 on)."""
    found = postgres.fetch(connection, _INSTALLED)
    grant = "grant execute on function bt_index_check(regclass, boolean) to the monitoring role,"
    grant += " and from PostgreSQL 14 on verify_heapam"
    if not found:
        raise NoData(
            "the extension amcheck is not installed in the database",
            where="pg_extension",
            remedy=f"create extension amcheck; {grant}",
        )
    schema, may, heaps = found[0]
    if not may:
        raise NotPermitted("the role may not run amcheck", where="bt_index_check", remedy=grant)
    return sql.SQL(schema), bool(heaps)


def _affordable(found: Sequence[Relation], most_bytes: int) -> Iterator[Relation]:
    """Those that fit, in their order, as long as there is time."""
    deadline, left = time.monotonic() + _BEGIN_S, most_bytes
    for relation in found:
        if time.monotonic() > deadline:
            return
        if relation.size <= left:
            left -= relation.size
            yield relation


def _damage(connection: Connection, schema: sql.SQL, relation: Relation) -> str | None:
    """What is wrong with it; empty if nothing is, None if it is gone or somebody has locked it."""
    call = "select null from {}.bt_index_check({}::oid::regclass, true)"
    if not relation.is_index:
        call = "select msg from {}.verify_heapam({}::oid::regclass, on_error_stop => true)"
    statement = sql.SQL(call).format(schema, sql.Literal(relation.oid))
    try:
        rows = connection.execute(statement).fetchall()
    except (errors.DataCorrupted, errors.IndexCorrupted) as damage:
        return clean(damage.diag.message_primary or str(damage))
    except _BUSY:
        return None
    except psycopg.Error as problem:
        if not connection.closed and not _exists(connection, relation):
            return None
        raise postgres.could_not(problem, postgres.source_of(statement, connection)) from problem
    return "; ".join(clean(str(message)) for (message,) in rows[:1] if message is not None)


def _exists(connection: Connection, relation: Relation) -> bool:
    return bool(postgres.fetch_value(connection, _EXISTS, [relation.oid]))


def _must_have_read(found: Sequence[Relation], read: Sequence[Relation], most_bytes: int) -> None:
    if not found:
        raise NoData(
            "the database has no table",
            where="pg_class",
            remedy="name the application's database in `dsn`, and fill it before the gate is run",
        )
    if not read:
        raise NoData(
            f"none of {len(found)} tables and indexes could be read within {most_bytes} bytes",
            where="bt_index_check",
            remedy="raise `corruption_sample_bytes` in [databases.NAME.limits]",
        )
