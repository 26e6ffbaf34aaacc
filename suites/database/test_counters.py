"""What has the server counted since it runs: deadlocks, cache misses, spills, checkpoints?"""

from readiness import Evidence, at_most, check
from readiness.areas.database.config import Database
from readiness.areas.database.grading import no_less_than, no_more_than
from readiness.areas.database.probes import counters


@check(
    "database.deadlocks",
    title="Transactions do not run into deadlocks",
    each="database",
    severity="minor",
    why="""Each deadlock is a transaction that the server ended with an error, and a user who saw
    it. They begin with load: two code paths that lock the same rows in another order.""",
    fix="""The server's log names both statements of each (deadlock detected). Let all code lock
    rows in one order, such as by key:
      select ... from t where id = any($1) order by id for update;
    and repeat a transaction that ends with SQLSTATE 40P01. The limit is `deadlocks_max_per_h` in
    [databases.NAME.limits].""",
)
def test_deadlocks(database: Database, evidence: Evidence) -> None:
    """Of all databases of the server, an hour; of a young counter, in its first hour."""
    found = counters.counters(database)
    evidence.record(found.age_s)
    evidence.judge(
        "deadlocks-per-h",
        found.deadlocks_per_h,
        at_most(database.limits.deadlocks_max_per_h),
        f"since the counters began: {found.worst_by('deadlocks')}",
    )


@check(
    "database.cache-hits",
    title="Most blocks are read from the cache",
    each="database",
    severity="minor",
    why="""A block that is not in the shared buffers costs a system call, and often a disk. A
    share that was 99 % and is 95 % means five times the reads: the working set has outgrown the
    memory, or a query began to read whole tables.""",
    fix="""See which tables are read, and which statements read them:
      select relname, heap_blks_read, heap_blks_hit from pg_statio_user_tables
      order by 2 desc limit 5;
      select shared_blks_read, calls, left(query, 80) from pg_stat_statements
      order by 1 desc limit 5;
    An index, or `shared_buffers` of a quarter of the memory (needs a restart). The limits are
    `cache_hit_warn_share` and `cache_hit_min_share` in [databases.NAME.limits].""",
)
def test_cache_hits(database: Database, evidence: Evidence) -> None:
    """The buffers are the server's: over all its databases, since the counters began."""
    found = counters.counters(database)
    share = found.cache_hit_share
    evidence.record(found.age_s)
    no_less_than(
        evidence,
        "share",
        share,
        warn=database.limits.cache_hit_warn_share,
        fail=database.limits.cache_hit_min_share,
        because=f"blocks that were not in it: {found.worst_by('reads')}",
    )


@check(
    "database.temp-files",
    title="Sorts and joins fit into memory",
    each="database",
    severity="minor",
    why="""What does not fit into `work_mem` is written to disk and read again: ten times slower,
    and it fills the disk that the database lies on. A single bad query can stop the server.""",
    fix="""See who does it, and give that role (not everybody) more memory, or the query an index:
      select temp_blks_written, calls, left(query, 80) from pg_stat_statements
      order by 1 desc limit 5;
      alter role REPORTS set work_mem = '64MB';
      alter system set temp_file_limit = '20GB'; alter system set log_temp_files = '10MB';
    The limits are `temp_warn_bytes_per_h` and `temp_max_bytes_per_h` in
    [databases.NAME.limits].""",
)
def test_temp_files(database: Database, evidence: Evidence) -> None:
    """Of all databases of the server, an hour; of a young counter, in its first hour."""
    found = counters.counters(database)
    evidence.record(found.age_s)
    no_more_than(
        evidence,
        "temp-bytes-per-h",
        found.temp_bytes_per_h,
        warn=database.limits.temp_warn_bytes_per_h,
        fail=database.limits.temp_max_bytes_per_h,
        because=f"bytes since the counters began: {found.worst_by('temp_bytes')}",
    )


@check(
    "database.checkpoints",
    title="Checkpoints come by the clock, and not because the WAL is full",
    each="database",
    severity="minor",
    why="""After each checkpoint, every page is written to the WAL in full once more. If the WAL
    forces them, one brings the next: the disk is busy with copies, and commits wait for it in
    waves.""",
    fix="""Give the WAL more room; that needs no restart, only disk:
      alter system set max_wal_size = '8GB'; select pg_reload_conf();
    See how often they come:  alter system set log_checkpoints = on;
    The limits are `checkpoints_forced_warn_share` and `checkpoints_forced_max_share` in
    [databases.NAME.limits].""",
)
def test_checkpoints(database: Database, evidence: Evidence) -> None:
    """A backup and a command request checkpoints, too: only as many count as WAL can explain."""
    found = counters.checkpoints(database)
    no_more_than(
        evidence,
        "forced-share",
        found.forced_share,
        warn=database.limits.checkpoints_forced_warn_share,
        fail=database.limits.checkpoints_forced_max_share,
        because=f"{found.requested} were requested and {found.timed} came by the clock within"
        f" {found.seconds / counters.HOUR_S:.1f} h",
    )
