"""Takes a snapshot of what a database has counted until now."""

from typing import Final

from psycopg import sql

from readiness.areas.database.history.snapshot import IndexUse, Snapshot, StatementUse
from readiness.areas.database.probes import statements
from readiness.areas.database.probes.catalog import SCOPE, server_of, uncompiled
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted

_FROM_16: Final = 160000
_INDEXES: Final = sql.SQL("""
select u.root::bigint, n.nspname || '.' || c.relname, u.scans::bigint, u.bytes::bigint, u.last
from (
    select coalesce(pg_partition_root(s.indexrelid)::oid, s.indexrelid) as root,
           sum(coalesce(s.idx_scan, 0)) as scans,
           sum(l.relpages) * current_setting('block_size')::bigint as bytes, {last} as last
    from pg_stat_user_indexes s join pg_class l on l.oid = s.indexrelid group by 1
) u join pg_class c on c.oid = u.root join pg_namespace n on n.oid = c.relnamespace
where {scope}""")
_LAST: Final = "extract(epoch from max(s.last_idx_scan))::float8"
# As of the last vacuum or analyze: that opens no table, and waits for no lock.
_TABLES: Final = sql.SQL("""
select n.nspname || '.' || c.relname,
       (c.relpages + coalesce(t.relpages, 0) + coalesce(i.pages, 0))
       * current_setting('block_size')::bigint
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_class t on t.oid = c.reltoastrelid
left join (select x.indrelid, sum(y.relpages) as pages
           from pg_index x join pg_class y on y.oid = x.indexrelid group by 1) i
    on i.indrelid = c.oid
where c.relkind in ('r', 'm') and {scope}""")
_SIZE: Final = "select pg_database_size(current_database())"
# Most statements run a few times and never again; what matters is among those with most time.
_MOST_STATEMENTS: Final = 2000


def take(connection: Connection) -> Snapshot:
    """The counters as they are now; those of statements only where they can be read.

    Raises:
        CouldNotMeasure: and its kinds, see `postgres.connect`.
    """
    uncompiled(connection)
    at, server = server_of(connection)
    last = _LAST if server.version >= _FROM_16 else "null::float8"
    indexes = postgres.fetch(connection, _INDEXES.format(last=sql.SQL(last), scope=SCOPE))
    tables = postgres.fetch(connection, _TABLES.format(scope=SCOPE))
    counted = _statements(connection)
    return Snapshot(
        at=at,
        server=server,
        size=postgres.fetch_value(connection, _SIZE),
        tables={name: int(size) for name, size in tables},
        indexes=tuple(
            IndexUse(oid=oid, name=name, scans=scans, size=int(size), last_scan=used)
            for oid, name, scans, size, used in indexes
        ),
        statements=_most(counted) if counted else {},
        statements_since=counted.since if counted else None,
        evictions=counted.evictions if counted else None,
    )


def _statements(connection: Connection) -> statements.Counters | None:
    try:
        return statements.read(connection)
    except (NoData, NotPermitted):
        return None  # database.slow-query-tracking says why
    except CouldNotMeasure as error:
        if "shared_preload_libraries" in error.message:
            return None
        raise


def _most(counted: statements.Counters) -> dict[str, StatementUse]:
    most = sorted(counted.statements.values(), key=lambda s: -s.total_ms)[:_MOST_STATEMENTS]
    return {s.key: StatementUse(calls=s.calls, total_ms=s.total_ms) for s in most}
