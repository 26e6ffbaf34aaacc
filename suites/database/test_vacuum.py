"""Vacuum: whether it can do its work and does, wraparound, and bloat."""

import shlex
from collections.abc import Sequence

from readiness import Evidence, Measurement, at_most, check
from readiness.areas.database.config import Bloat, Database, HealthLimits
from readiness.areas.database.grading import no_more_than, size
from readiness.areas.database.probes import bloat, vacuum
from readiness.areas.database.probes.vacuum import Age
from readiness.areas.database.snapshots import Bloated, BloatSnapshot
from readiness.lib import postgres
from readiness.lib.findings import none_of
from readiness.lib.text import listed, worst
from readiness.model.errors import NoData

# Autovacuum starts to freeze at its own limit: it is working on what is a little older.
_TIME_TO_FREEZE = 1.2
_STALE_SHARE = 0.2
# Bloat is read for up to twelve times `timeout_s`, however large the database is.
_PATIENCE = 12


@check(
    "database.vacuum",
    title="Vacuum and analyze keep up with every table",
    failure_title="Vacuum or analyze is held back, switched off or behind",
    each="database",
    severity="major",
    why="""Every scan reads the dead rows that vacuum cannot remove, and they fill the disk. Tables
    without statistics make the planner guess: on the first morning after a restore, queries take
    minutes instead of milliseconds.""",
    fix="""held-back, prepared-transactions: the message names what still needs dead rows:
    select pg_terminate_backend(PID);               -- a session
    rollback prepared 'GID';                        -- a prepared transaction; ask its owner first
    select pg_drop_replication_slot('NAME');        -- a slot without a consumer
A standby needs them: end its long query there, or set hot_standby_feedback = off.
autovacuum-off, vacuum-overdue:
    alter table TABLE reset (autovacuum_enabled, toast.autovacuum_enabled);
    vacuum (verbose, analyze) TABLE;
    alter system set autovacuum_vacuum_cost_limit = 2000; select pg_reload_conf();
no-statistics, stale-statistics: after a restore, all of them:
    analyze TABLE;      vacuumdb --all --analyze-in-stages
Autovacuum never analyzes a partitioned table itself: let a nightly job do it.""",
    judgements=(
        "held-back",
        "prepared-transactions",
        "autovacuum-off",
        "vacuum-overdue",
        "no-statistics",
        "stale-statistics",
    ),
)
def test_vacuum(database: Database, evidence: Evidence) -> None:
    """A table is overdue that autovacuum should have vacuumed, and not for `vacuum_overdue_h`.

    Autovacuum is as good as off where it begins at ten times the rows of a table and more than
    100 million, or may write fewer than 25 pages a second. Statistics are judged for tables of more
    than a thousand rows; they are stale when a fifth of the rows was written since.
    """
    with evidence.attempt():
        _judge_horizon(database, evidence)
    with evidence.attempt():
        _judge_dead_rows(database, evidence)
    with evidence.attempt():
        _judge_statistics(database, evidence)


def _judge_horizon(database: Database, evidence: Evidence) -> None:
    limits, found = database.limits, vacuum.horizon(database)
    measured = Measurement(
        "Transactions since the oldest one that vacuum must keep rows for",
        max((age for _, age in found.holders), default=0),
        "count",
        "pg_stat_activity, pg_replication_slots, pg_prepared_xacts, pg_stat_replication",
        samples=len(found.holders),
    )
    because = listed((f"{who}: {age}" for who, age in found.holders), between="; ")
    keys = ("horizon_warn_xids", "horizon_max_xids")
    no_more_than(evidence, "held-back", measured, limits, keys, because)
    evidence.judge(
        "prepared-transactions",
        Measurement(
            "Oldest prepared transaction",
            max((seconds for _, seconds in found.prepared), default=0.0),
            "s",
            "pg_prepared_xacts",
            samples=len(found.prepared),
        ),
        at_most(limits.prepared_max_s, limits.deciding("prepared_max_s")),
        listed(who for who, _ in found.prepared),
    )


def _judge_dead_rows(database: Database, evidence: Evidence) -> None:
    tables, hours = vacuum.dead_rows(database), database.limits.vacuum_overdue_h
    off = [table.off for table in tables if table.off]
    among = sum(not table.toast for table in tables)
    name = "tables with autovacuum off, or as good as off"
    none_of(evidence, "autovacuum-off", name, off, among, "reloptions, pg_settings")
    overdue = [str(table) for table in tables if table.is_overdue(hours)]
    name, source = f"tables overdue for vacuum for {hours:g} h", "n_dead_tup of pg_stat_user_tables"
    none_of(evidence, "vacuum-overdue", name, overdue, among, source)


def _judge_statistics(database: Database, evidence: Evidence) -> None:
    tables, hours = vacuum.statistics(database), database.limits.vacuum_overdue_h
    unknown = [f"{table}: analyze {table.table};" for table in tables if not table.known]
    name = "tables without planner statistics"
    none_of(evidence, "no-statistics", name, unknown, len(tables), "pg_stats")
    stale = [str(table) for table in tables if table.is_stale(_STALE_SHARE, hours)]
    name = f"tables overdue for analyze for {hours:g} h"
    source = "n_mod_since_analyze of pg_stat_user_tables"
    none_of(evidence, "stale-statistics", name, stale, len(tables), source, warn_only=True)


@check(
    "database.wraparound",
    title="Transaction ID wraparound is far away",
    failure_title="Transaction IDs are near wraparound",
    each="database",
    severity="blocker",
    core=True,
    why="""Three million transaction IDs before the end, the server takes no more writes, and only
    hours of vacuum bring it back. It can be seen months ahead.""",
    fix="""Remove what keeps vacuum away (database.vacuum names it), then freeze the oldest tables:
    select oid::regclass, age(relfrozenxid), pg_size_pretty(pg_table_size(oid))
    from pg_class where relkind in ('r', 'm', 't') order by 2 desc limit 10;
    vacuum (freeze, verbose) TABLE;
A database that takes no connections ages as well: alter database NAME allow_connections true;""",
    judgements=("transactions", "multixacts"),
)
def test_wraparound(database: Database, evidence: Evidence) -> None:
    """All databases of the server: the oldest one stops all of them."""
    found = vacuum.ages(database)
    for counter in ("transactions", "multixacts"):
        oldest = max((age for age in found if age.counter == counter), key=lambda age: age.age)
        _judge_age(oldest, database.limits, len(found) // 2, evidence)


def _judge_age(oldest: Age, limits: HealthLimits, databases: int, evidence: Evidence) -> None:
    measured = Measurement(
        f"Oldest unfrozen {oldest.counter.removesuffix('s')} ID, age",
        oldest.age,
        "count",
        "pg_database",
        samples=databases,
    )
    because = f"in the database {oldest.database}"
    fail = at_most(limits.wraparound_max_age, limits.deciding("wraparound_max_age"))
    freezes = _TIME_TO_FREEZE * oldest.freeze_at
    if not fail.holds(oldest.age) or freezes >= limits.wraparound_max_age:
        evidence.judge(oldest.counter, measured, fail, because)
        return
    because += f", where autovacuum should have frozen it at {oldest.freeze_at:,}"
    evidence.judge(oldest.counter, measured, at_most(freezes), because, warn_only=True)


@check(
    "database.bloat",
    title="Large tables and indexes are not bloated",
    failure_title="Large tables or indexes are mostly dead or empty space",
    each="database",
    severity="major",
    why="""Reads then go through empty pages, the cache holds them, and the disk fills with them.
    Tables bloat where a long transaction, a forgotten slot or a switched-off autovacuum keeps
    vacuum away; indexes, after large deletes and under queues.""",
    fix="""tables: remove what keeps vacuum away (database.vacuum), then rewrite it without a lock:
    apt-get install postgresql-VERSION-repack
    psql -c 'create extension pg_repack' DATABASE
    pg_repack --table SCHEMA.TABLE DATABASE
or while nobody may read or write it:
    vacuum (full, analyze) SCHEMA.TABLE;
A plain vacuum gives nothing back: it makes room for new rows, and the table stays as large.
indexes: rebuild one without locking the table:
    reindex index concurrently SCHEMA.INDEX;""",
    judgements=("tables", "indexes"),
)
def test_bloat(database: Database, evidence: Evidence) -> None:
    """Measured by pgstattuple; a table that is dense by the planner's statistics need not be read.

    B-trees count by the density of their leaves and by empty pages. A bloated index is a warning:
    it can be rebuilt online.
    """
    with postgres.connect(
        database.dsn, timeout_s=database.timeout_s, total_s=_PATIENCE * database.timeout_s
    ) as connection:
        with evidence.attempt():
            _judge_tables(bloat.tables(connection, database.bloat), database.bloat, evidence)
        with evidence.attempt():
            _judge_indexes(bloat.indexes(connection, database.bloat), database.bloat, evidence)


def _judge_tables(found: BloatSnapshot, limits: Bloat, evidence: Evidence) -> None:
    levels = (
        (limits.monitor_share, "monitor"),
        (limits.warning_share, "warning"),
        (limits.critical_share, "critical"),
    )
    measured = _largest_share(found, "table", evidence)
    because = _by_level(found, levels)
    keys = ("monitor_share", "critical_share")
    critical = [one for one in found.objects if one.share > limits.critical_share]
    no_more_than(
        evidence, "tables", measured, limits, keys, because,
        commands=[_rewritten(one, found.server.database) for one in bloat.worst_first(critical)],
    )  # fmt: skip
    _refuse_unread(found, "tables")


def _rewritten(table: Bloated, base: str) -> str:
    return shlex.join(["pg_repack", "--table", table.name.removesuffix(bloat.TOAST), base])


def _judge_indexes(found: BloatSnapshot, limits: Bloat, evidence: Evidence) -> None:
    levels = ((limits.index_warning_share, "warning"), (limits.index_critical_share, "critical"))
    limit = at_most(limits.index_warning_share, limits.deciding("index_warning_share"))
    share = _largest_share(found, "index", evidence)
    evidence.judge("indexes", share, limit, _by_level(found, levels), warn_only=True)
    _refuse_unread(found, "indexes")


def _largest_share(found: BloatSnapshot, kind: str, evidence: Evidence) -> Measurement:
    objects = list(bloat.worst_first(found.objects))
    wasted = sum(one.wasted for one in objects)
    evidence.record(Measurement(f"Wasted in large {kind} files", wasted, "bytes", "pgstattuple"))
    estimated = sum(not one.exact for one in objects)
    return Measurement(
        f"Largest wasted share of a large {kind}",
        objects[0].share if objects else 0.0,
        "ratio",
        f"pgstattuple of {len(objects)} large ones among {found.looked_at}"
        + (f", {estimated} of them dense by the planner's statistics" if estimated else ""),
        found.looked_at,
    )


def _by_level(found: BloatSnapshot, levels: Sequence[tuple[float, str]]) -> str:
    """All above the first level, each with its own level, the worst first."""
    above = [one for one in bloat.worst_first(found.objects) if one.share > levels[0][0]]
    return worst(_described(one, levels) for one in above)


def _described(one: Bloated, levels: Sequence[tuple[float, str]]) -> str:
    level = [name for least, name in levels if one.share > least][-1]
    return f"{level}: {one.name}, {one.share:.0%} of {size(one.size)} wasted"


def _refuse_unread(found: BloatSnapshot, kind: str) -> None:
    """Raise NoData for what was not read; after the judgement, so that a miss stands."""
    if found.left_out:
        raise NoData(
            f"{len(found.left_out)} large {kind} could not be read within the limits, and no"
            f" statistics show that they are dense: {worst(found.left_out)}",
            where=found.server.database,
            remedy="raise read_max_bytes in [databases.NAME.bloat], or timeout_s; or let the role"
            " see the planner's statistics, which excuse what is dense: grant pg_read_all_data"
            " (PostgreSQL 14), or select on the tables",
        )
