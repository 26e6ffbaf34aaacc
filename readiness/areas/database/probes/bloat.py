"""How much of tables and indexes is dead or empty, as pgstattuple measures it.

A large table that is dense by the planner's statistics need not be read. What looks bloated by them
is measured, or reported as unknown: an estimate never fails a table.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from readiness.areas.database.config import Bloat
from readiness.areas.database.probes.counters import server_of
from readiness.areas.database.snapshots import Bloated, BloatSnapshot
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.session import OF_THE_APPLICATION, no_objects, uncompiled
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, TookTooLong

_SCOPE: Final = sql.SQL(OF_THE_APPLICATION)
_TIME_S: Final = 25.0
_PAGE: Final = 8192
_EXTENSION: Final = """
select n.nspname, has_function_privilege(p.oid, 'execute')
from pg_extension e join pg_namespace n on n.oid = e.extnamespace
join pg_proc p on p.pronamespace = n.oid and p.proname = 'pgstattuple_approx'
where e.extname = 'pgstattuple'"""
# What the visibility map calls all-visible is not read: it has no dead rows. The estimate is what
# the planner's statistics make of the rows; without those of every column there is none.
_TABLES: Final = sql.SQL("""
with counted as (
    select c.oid, c.relpages, c.relallvisible, c.reltuples, c.reltoastrelid,
           n.nspname || '.' || c.relname as name, {size} as bytes,
           coalesce((select o.option_value::float8 from pg_options_to_table(c.reloptions) o
                     where o.option_name = 'fillfactor'), 100) as fillfactor, n.nspname, c.relname
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and {scope}
), large as (
    select * from counted where bytes >= %(least)s
)
select l.oid::bigint, l.name, l.bytes, l.fillfactor,
       greatest(0, l.bytes - l.relallvisible::bigint * current_setting('block_size')::bigint),
       case when l.reltuples > 0 and w.known = w.columns then
           l.bytes - ceil(l.reltuples * (28 + ceil(w.width / 8) * 8) * 100
                          / ((current_setting('block_size')::float8 - 24) * l.fillfactor))
                     * current_setting('block_size')::float8 end
from large l cross join lateral (
    select count(*) as columns, count(s.attname) as known,
           coalesce(sum((1 - s.null_frac) * s.avg_width), 0) as width
    from pg_attribute a left join pg_stats s on s.schemaname = l.nspname
         and s.tablename = l.relname and s.attname = a.attname and not s.inherited
    where a.attrelid = l.oid and a.attnum > 0 and not a.attisdropped
) w
union all
select c.oid::bigint, l.name || ' (TOAST)', {size}, 100,
       greatest(0, {size} - c.relallvisible::bigint * current_setting('block_size')::bigint), null
from counted l join pg_class c on c.oid = l.reltoastrelid
where {size} >= %(least)s""")
_INDEXES: Final = sql.SQL("""
select * from (
    select c.oid::bigint, n.nspname || '.' || c.relname, {size} as bytes,
           coalesce((select o.option_value::float8 from pg_options_to_table(c.reloptions) o
                     where o.option_name = 'fillfactor'), 90), {size} as cost, null
    from pg_index i join pg_class c on c.oid = i.indexrelid
    join pg_namespace n on n.oid = c.relnamespace join pg_am m on m.oid = c.relam
    where c.relkind = 'i' and m.amname = 'btree' and i.indisvalid and {scope}
) l where l.bytes >= %(least)s""")
# To ask for the true size of ten thousand small ones takes seconds: those that were far below the
# bound when they were last vacuumed or analysed are not asked for theirs.
_NOW: Final = sql.SQL("""
case when c.relpages > 0
      and c.relpages * current_setting('block_size')::bigint < %(least)s / 4 then 0
     else pg_relation_size(c.oid) end""")
_COUNT: Final = sql.SQL("""
select count(*) filter (where c.relkind in ('r', 'm')), count(*) filter (where c.relkind = 'i')
from pg_class c join pg_namespace n on n.oid = c.relnamespace where {scope}""")
_TABLE: Final = sql.SQL("""
select table_len, dead_tuple_len + approx_free_space from {schema}.pgstattuple_approx(%s::regclass)
""")
# Before PostgreSQL 14 the quick way refuses TOAST: it is read as a whole.
_TOAST_13: Final = sql.SQL("""
select table_len, dead_tuple_len + free_space from {schema}.pgstattuple(%s::regclass)""")
_THERE: Final = "select 1 from pg_class where oid = %s"
TOAST: Final = " (TOAST)"
_INDEX: Final = sql.SQL("""
select index_size, leaf_pages, nullif(avg_leaf_density, 'NaN'), empty_pages + deleted_pages
from {schema}.pgstatindex(%s::regclass)""")


@dataclass(frozen=True, slots=True)
class _Large:
    """A table or index that is large enough; `cost` is bytes to read, `estimate` wasted bytes."""

    oid: int
    name: str
    size: int
    fillfactor: float
    cost: int
    estimate: float | None

    @property
    def estimated_share(self) -> float | None:
        return None if self.estimate is None else max(0.0, self.estimate) / self.size


_Read = Callable[[Connection, sql.Identifier, _Large], Bloated]


def can_measure(connection: Connection) -> bool:
    """Whether pgstattuple is in this database, and this role may use it."""
    found = postgres.fetch(connection, _EXTENSION)
    return bool(found) and bool(found[0][1])


def tables(connection: Connection, limits: Bloat) -> BloatSnapshot:
    """How much of the large tables is dead or empty, their TOAST each for itself.

    Raises:
        NoData: there is no table, or pgstattuple is not installed.
        NotPermitted: the role may not use it.
    """
    return _measured(connection, limits, _TABLES, _table, 0)


def indexes(connection: Connection, limits: Bloat) -> BloatSnapshot:
    """How much of the large B-tree indexes is empty, as `tables`."""
    return _measured(connection, limits, _INDEXES, _index, 1)


def take(connection: Connection, limits: Bloat) -> BloatSnapshot:
    """The bloat of tables and indexes, as one snapshot."""
    first, second = tables(connection, limits), indexes(connection, limits)
    return BloatSnapshot(
        at=first.at,
        server=first.server,
        objects=first.objects + second.objects,
        looked_at=first.looked_at + second.looked_at,
        left_out=first.left_out + second.left_out,
    )


def _measured(
    connection: Connection, limits: Bloat, statement: sql.SQL, read: _Read, which: int
) -> BloatSnapshot:
    uncompiled(connection)
    at, server = server_of(connection)
    # The server waits for a migration's lock even to return the size of the table.
    postgres.adjust(connection, lock_timeout="2s")
    looked_at = int(postgres.fetch(connection, _COUNT.format(scope=_SCOPE))[0][which])
    if not looked_at:
        raise no_objects(connection, ("table", "index")[which])
    large_ones = statement.format(scope=_SCOPE, size=_NOW)
    rows = postgres.fetch(connection, large_ones, {"least": limits.min_bytes})
    large = [_Large(*row) for row in rows if row[2] is not None]
    # What looks bloated is read first, while there is time.
    large.sort(key=lambda one: (_excused(one, limits), -one.size))
    schema = _schema(connection) if large else sql.Identifier("")
    found, left_out = _read_all(connection, schema, large, limits, read)
    return BloatSnapshot(
        at=at, server=server, objects=tuple(found), looked_at=looked_at, left_out=tuple(left_out)
    )


def _schema(connection: Connection) -> sql.Identifier:
    found = postgres.fetch(connection, _EXTENSION)
    if not found:
        raise NoData(
            "pgstattuple is not installed in this database",
            where=connection.info.dbname,
            remedy="create extension pgstattuple; (the package is postgresql-contrib)",
        )
    if not found[0][1]:
        raise NotPermitted(
            "the role may not use pgstattuple",
            where=connection.info.dbname,
            remedy=f'grant pg_stat_scan_tables to "{connection.info.user}"; or pg_monitor',
        )
    return sql.Identifier(found[0][0])


def _excused(one: _Large, limits: Bloat) -> bool:
    """Whether the planner's statistics say that it is dense."""
    share = one.estimated_share
    return share is not None and share <= limits.monitor_share


def _read_all(
    connection: Connection,
    schema: sql.Identifier,
    large: Iterable[_Large],
    limits: Bloat,
    read: _Read,
) -> tuple[list[Bloated], list[str]]:
    """What was measured or excused, and the names of what was neither."""
    found: list[Bloated] = []
    left_out: list[str] = []
    budget, deadline = limits.read_max_bytes, time.monotonic() + _TIME_S
    for one in large:
        cost = one.size if _is_read_whole(connection, one) else one.cost
        if cost <= budget and time.monotonic() < deadline:
            budget -= cost
            try:
                found.append(read(connection, schema, one))
                continue
            except TookTooLong:
                pass  # a session locks it, or it is too large after all
            except CouldNotMeasure:
                if postgres.fetch(connection, _THERE, [one.oid]):
                    raise
                continue
        if _excused(one, limits):
            wasted = int(max(0.0, one.estimate or 0.0))
            found.append(
                Bloated(name=one.name, kind="table", size=one.size, wasted=wasted, exact=False)
            )
        else:
            left_out.append(one.name)
    return found, left_out


def _table(connection: Connection, schema: sql.Identifier, one: _Large) -> Bloated:
    statement = _TOAST_13 if _is_read_whole(connection, one) else _TABLE
    size, empty = postgres.fetch(connection, statement.format(schema=schema), [one.oid])[0]
    wanted = (100 - one.fillfactor) / 100 * size
    wasted = int(max(0.0, float(empty) - wanted))
    return Bloated(name=one.name, kind="table", size=size, wasted=wasted, exact=True)


def _is_read_whole(connection: Connection, one: _Large) -> bool:
    return not postgres.is_at_least(connection, 14) and one.name.endswith(TOAST)


def _index(connection: Connection, schema: sql.Identifier, one: _Large) -> Bloated:
    rows = postgres.fetch(connection, _INDEX.format(schema=schema), [one.oid])
    size, leaves, density, empty = rows[0]
    # A rebuild would free the pages that hold nothing, and what the leaves lack.
    lacking = leaves * max(0.0, 1 - (density or 0.0) / one.fillfactor)
    wasted = int((empty + lacking) * _PAGE)
    return Bloated(name=one.name, kind="index", size=size, wasted=wasted, exact=True)


def worst_first(objects: Iterable[Bloated]) -> Iterator[Bloated]:
    """The one with the largest share first."""
    return iter(sorted(objects, key=lambda one: (-one.share, -one.size, one.name)))
