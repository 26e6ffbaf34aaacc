"""What a server counts as it runs, and snapshots of what it has counted until now.

Its cache, its disk for temporary files and its WAL are the server's, not one database's: so are the
figures of deadlocks, cache hits, temporary files and checkpoints. They count since the counters
began, which is shown: a reset starts them again, and so does a crash, silently.
"""

from dataclasses import dataclass
from typing import Final

from psycopg import sql

from readiness.areas.database.config import Database
from readiness.areas.database.probes import statements
from readiness.areas.database.snapshots import IndexUse, Server, Snapshot, StatementUse
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.session import (
    OF_THE_APPLICATION,
    looking,
    need_role,
    system_of,
    uncompiled,
)
from readiness.lib.text import clean, listed
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted
from readiness.model.measurement import Measurement

HOUR_S: Final = 3600.0
FEWEST_BLOCKS: Final = 100_000
FEWEST_CHECKPOINTS: Final = 20
_BLOCKS: Final = "blks_hit and blks_read of pg_stat_database"
# From PostgreSQL 15 on, a crash empties a database's counters and leaves their age NULL; that of
# the background writer shows it.
_DATABASES: Final = """
select coalesce(d.datname, 'what all databases share'), d.deadlocks, d.temp_bytes,
       d.blks_hit, d.blks_read,
       extract(epoch from now() - greatest(d.stats_reset, b.stats_reset))::float8
from pg_stat_database d cross join pg_stat_bgwriter b
where d.datid = 0 or d.datid in (select oid from pg_database where not datistemplate)"""
_CHECKPOINTS: Final = """
select checkpoints_timed, checkpoints_req, extract(epoch from now() - stats_reset)::float8
from pg_stat_bgwriter"""
_CHECKPOINTS_17: Final = """
select num_timed, num_requested, extract(epoch from now() - stats_reset)::float8
from pg_stat_checkpointer"""
_WAL: Final = "select wal_bytes, extract(epoch from now() - stats_reset)::float8 from pg_stat_wal"
# Before, only all that was ever written is known: more than since the counters began.
_WAL_13: Final = """
select pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
                            else pg_current_wal_lsn() end, '0/0')"""
# When this much WAL was written, a checkpoint begins: half of what it may be at its end.
_DISTANCE: Final = """
select pg_size_bytes(current_setting('max_wal_size'))
       / (1 + current_setting('checkpoint_completion_target')::float8)"""


@dataclass(frozen=True, slots=True)
class Counted:
    """The counters of one database since `seconds` ago."""

    name: str
    deadlocks: int
    temp_bytes: int
    hits: int
    reads: int
    seconds: float

    @property
    def hours(self) -> float:
        """Hours that were counted; one at least, so that a young counter shows no rate yet."""
        return max(self.seconds, HOUR_S) / HOUR_S


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of all databases of a server."""

    databases: tuple[Counted, ...]

    @property
    def age_s(self) -> Measurement:
        """How long the youngest of them has been counting."""
        youngest = min(d.seconds for d in self.databases)
        return Measurement("Counted for", youngest, "s", "stats_reset of pg_stat_database")

    @property
    def deadlocks_per_h(self) -> Measurement:
        """Deadlocks an hour, over all databases."""
        return self._rate("Deadlocks an hour", "count", [d.deadlocks for d in self.databases])

    @property
    def temp_bytes_per_h(self) -> Measurement:
        """Bytes an hour that were written to temporary files, over all databases."""
        name = "Written to temporary files an hour"
        return self._rate(name, "bytes", [d.temp_bytes for d in self.databases])

    @property
    def blocks(self) -> Measurement:
        """The blocks that were read since the counters began, from the cache or not."""
        read = sum(d.hits + d.reads for d in self.databases)
        return Measurement("Blocks read since the counters began", read, "count", _BLOCKS, read)

    @property
    def cache_hit_share(self) -> Measurement:
        """The part of the block reads that the cache served, of which there must be some."""
        hits, blocks = sum(d.hits for d in self.databases), self.blocks.samples or 0
        return Measurement(
            "Block reads served by the cache", hits / blocks, "ratio", _BLOCKS, samples=blocks
        )

    def worst_by(self, what: str) -> str:
        """The databases with most of something, as text for a message."""
        found = sorted(self.databases, key=lambda d: -int(getattr(d, what)))
        return listed(f"{clean(d.name)}: {getattr(d, what)}" for d in found if getattr(d, what))

    def _rate(self, name: str, unit: str, counts: list[int]) -> Measurement:
        rate = sum(n / d.hours for n, d in zip(counts, self.databases, strict=True))
        return Measurement(name, rate, unit, "pg_stat_database", samples=sum(counts))


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Checkpoints since the counters began, and what may have caused them.

    Attributes:
        timed: those that came on schedule.
        requested: the others: forced by the volume of WAL, a backup, a command.
        by_volume: how many of those the WAL that was written can have forced, at most.
        seconds: that were counted.
    """

    timed: int
    requested: int
    by_volume: float
    seconds: float

    @property
    def forced_share(self) -> Measurement:
        """The part that the volume of WAL forced, at most; of twenty checkpoints at least."""
        total = max(self.timed + self.requested, FEWEST_CHECKPOINTS)
        return Measurement(
            "Checkpoints that the volume of WAL forced",
            min(self.by_volume, self.requested) / total,
            "ratio",
            "requested checkpoints, and WAL bytes by max_wal_size",
            samples=self.timed + self.requested,
        )


def counters(database: Database) -> Counters:
    """The counters of every database of the server.

    Raises:
        NotPermitted: the role does not see them.
        NoData: the server counts nothing.
    """
    with looking(database) as connection:
        need_role(connection, "pg_read_all_stats", "the server's counters are hidden")
        if postgres.fetch_value(connection, "select current_setting('track_counts')") != "on":
            raise NoData(
                "the server counts nothing: track_counts is off",
                where=database.dsn.address,
                remedy="alter system set track_counts = on; select pg_reload_conf()",
            )
        rows = postgres.fetch(connection, _DATABASES)
    return Counters(tuple(Counted(*row) for row in rows))


def checkpoints(database: Database) -> Checkpoints:
    """The checkpoints of the server."""
    with looking(database) as connection:
        new = postgres.is_at_least(connection, 17)
        statement = _CHECKPOINTS_17 if new else _CHECKPOINTS
        timed, requested, seconds = postgres.fetch(connection, statement)[0]
        by_volume = _by_volume(connection, float(seconds))
    return Checkpoints(timed, requested, by_volume, float(seconds))


def _by_volume(connection: Connection, seconds: float) -> float:
    """Checkpoints that so much WAL can have forced since the counters began."""
    distance = float(postgres.fetch_value(connection, _DISTANCE))
    if not postgres.is_at_least(connection, 14):
        return float(postgres.fetch_value(connection, _WAL_13)) / distance
    written, since = postgres.fetch(connection, _WAL)[0]
    # The two counters may have been reset at different times.
    return float(written) * (seconds / max(float(since), 1.0)) / distance


_SCOPE: Final = sql.SQL(OF_THE_APPLICATION)
# A crash empties the counters, and since PostgreSQL 15 leaves the database's own stats_reset NULL:
# that of the background writer shows it, in all versions.
_SERVER: Final = """
select extract(epoch from clock_timestamp())::float8, current_database(),
       extract(epoch from pg_postmaster_start_time())::float8,
       extract(epoch from greatest(coalesce(d.stats_reset, b.stats_reset), b.stats_reset))::float8
from pg_stat_database d, pg_stat_bgwriter b where d.datname = current_database()"""


def server_of(connection: Connection) -> tuple[float, Server]:
    """The time of the server's clock, and which database it is."""
    at, database, started, since = postgres.fetch(connection, _SERVER)[0]
    return at, Server(
        system=system_of(connection),
        database=database,
        version=connection.info.server_version,
        started=started,
        counters_since=since,
    )


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
    """The counters as they are now; those of statements only where they can be read."""
    uncompiled(connection)
    at, server = server_of(connection)
    last = _LAST if postgres.is_at_least(connection, 16) else "null::float8"
    indexes = postgres.fetch(connection, _INDEXES.format(last=sql.SQL(last), scope=_SCOPE))
    tables = postgres.fetch(connection, _TABLES.format(scope=_SCOPE))
    counted = _statements(connection)
    most = list(counted.statements.values()) if counted else []
    most.sort(key=lambda s: -s.total_ms)
    return Snapshot(
        at=at,
        server=server,
        size=postgres.fetch_value(connection, _SIZE),
        tables={name: int(size) for name, size in tables},
        indexes=tuple(
            IndexUse(oid=oid, name=name, scans=scans, size=int(size), last_scan=used)
            for oid, name, scans, size, used in indexes
        ),
        statements={
            s.key: StatementUse(calls=s.calls, total_ms=s.total_ms) for s in most[:_MOST_STATEMENTS]
        },
        statements_since=counted.since if counted else None,
        evictions=counted.evictions if counted else None,
    )


def _statements(connection: Connection) -> statements.StatementCounters | None:
    try:
        return statements.read(connection)
    except (NoData, NotPermitted):
        return None  # database.slow-query-tracking says why
    except CouldNotMeasure as error:
        if "shared_preload_libraries" in error.message:
            return None
        raise
