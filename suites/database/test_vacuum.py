"""Can vacuum do its work, and does it?"""

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.database.config import Database
from readiness.areas.database.config_health import HealthLimits
from readiness.areas.database.grading import no_more_than
from readiness.areas.database.probes import vacuum
from readiness.areas.database.probes.vacuum import Age, count_of
from readiness.lib.text import listed

# Autovacuum begins to freeze at its own limit: what is a little older, it works on.
_TIME_TO_FREEZE = 1.2
_STALE_SHARE = 0.2


@check(
    "database.wraparound",
    title="No database is near the end of its transaction numbers",
    each="database",
    severity="blocker",
    why="""There are four thousand million transaction numbers, and half of them are behind.
    Three million before the end the server takes no more writes, and only hours of vacuum bring
    it back. It comes slowly, and is seen months before: nobody has to run into it.""",
    fix="""Find what holds vacuum back (database.xmin-horizon), end it, and freeze:
      select oid::regclass, age(relfrozenxid), pg_size_pretty(pg_table_size(oid))
      from pg_class where relkind in ('r', 'm', 't') order by 2 desc limit 10;
      vacuum (freeze, verbose) TABLE;
    A database that takes no connections ages as well: alter database NAME allow_connections true.
    The limit is `wraparound_max_age` in [databases.NAME.limits].""",
)
def test_wraparound(database: Database, evidence: Evidence) -> None:
    """All databases of the server: the oldest one stops all."""
    found = vacuum.ages(database)
    for counter in ("transactions", "multixacts"):
        worst = max((age for age in found if age.counter == counter), key=lambda age: age.age)
        _judge_age(worst, database.limits, len(found) // 2, evidence)


def _judge_age(worst: Age, limits: HealthLimits, databases: int, evidence: Evidence) -> None:
    no_more_than(
        evidence,
        "since-oldest-unfrozen-one",
        Measurement(
            f"{worst.counter} since the oldest unfrozen one",
            worst.age,
            "count",
            "pg_database",
            samples=databases,
        ),
        warn=min(_TIME_TO_FREEZE * worst.freeze_at, limits.wraparound_max_age),
        fail=limits.wraparound_max_age,
        because=f"in the database {worst.database}; autovacuum should have frozen them at"
        f" {worst.freeze_at}",
    )


@check(
    "database.xmin-horizon",
    title="Nothing keeps vacuum from removing dead rows",
    each="database",
    severity="major",
    why="""Vacuum may not remove a row that somebody could still look at. A transaction that was
    prepared and forgotten, a replication slot without a consumer, a standby with a long query:
    each of them holds back vacuum in every table, also after a restart of everything.""",
    fix="""The message names the oldest. As it is one of these:
      a session:               select pg_terminate_backend(PID);
      a prepared transaction:  rollback prepared 'GID';   (ask its transaction manager first)
      a slot:                  select pg_drop_replication_slot('NAME');
      a standby:               end its query, or hot_standby_feedback = off there
    The limits are `horizon_warn_xids`, `horizon_max_xids` and `prepared_max_s` in
    [databases.NAME.limits].""",
)
def test_xmin_horizon(database: Database, evidence: Evidence) -> None:
    """Sessions, slots, prepared transactions, standbys: whoever is oldest decides."""
    found = vacuum.horizon(database)
    no_more_than(
        evidence,
        "transactions-since-oldest-rows",
        Measurement(
            "transactions since the oldest that rows are kept for",
            max((age for _, age in found.holders), default=0),
            "count",
            "pg_stat_activity, pg_replication_slots, pg_prepared_xacts, pg_stat_replication",
            samples=len(found.holders),
        ),
        warn=database.limits.horizon_warn_xids,
        fail=database.limits.horizon_max_xids,
        because=listed((f"{who}: {age}" for who, age in found.holders), between="; "),
    )
    evidence.judge(
        "oldest-prepared-transaction",
        Measurement(
            "oldest prepared transaction",
            max((seconds for _, seconds in found.prepared), default=0.0),
            "s",
            "pg_prepared_xacts",
            samples=len(found.prepared),
        ),
        at_most(database.limits.prepared_max_s),
        f"it is forgotten: {listed(who for who, _ in found.prepared)}",
    )


@check(
    "database.autovacuum-keeps-up",
    title="Autovacuum keeps up with dead rows, and may work on every table",
    each="database",
    severity="major",
    why="""Dead rows are read by every scan and fill the disk. Autovacuum is switched off for a
    table during a big import, and forgotten; or its workers are too slow for what is written.""",
    fix="""For each table that the message names:
      alter table TABLE reset (autovacuum_enabled);
      vacuum (verbose, analyze) TABLE;
    Too slow everywhere: let it work more,
      alter system set autovacuum_vacuum_cost_limit = 2000; select pg_reload_conf();
    Held back: see database.xmin-horizon. The limit is `vacuum_overdue_h` in
    [databases.NAME.limits].""",
)
def test_autovacuum_keeps_up(database: Database, evidence: Evidence) -> None:
    """What passed the point at which autovacuum begins, a day ago and more."""
    tables = vacuum.dead_rows(database)
    off = [table.table for table in tables if not table.enabled]
    evidence.judge(
        "count",
        count_of("tables that autovacuum may not touch", len(off), len(tables), "reloptions"),
        equal_to(0),
        f"alter table {off[0] if off else 'TABLE'} reset (autovacuum_enabled): {listed(off)}",
    )
    overdue = [table for table in tables if table.is_overdue(database.limits.vacuum_overdue_h)]
    evidence.judge(
        "count",
        count_of("tables whose vacuum is overdue", len(overdue), len(tables), "n_dead_tup"),
        equal_to(0),
        listed(map(str, overdue), between="; "),
    )


@check(
    "database.planner-statistics",
    title="The planner knows every table of some size",
    each="database",
    severity="major",
    why="""After a restore or an upgrade the planner knows nothing, and guesses: the first
    morning's queries take minutes instead of milliseconds. Nothing says so, and the backup was
    good.""",
    fix="""Analyze the tables that the message names, or all of them after a restore:
      analyze TABLE;
      vacuumdb --all --analyze-in-stages
    If they become stale again: alter table TABLE set (autovacuum_analyze_scale_factor = 0.02);
    The limit is `vacuum_overdue_h` in [databases.NAME.limits].""",
)
def test_planner_statistics(database: Database, evidence: Evidence) -> None:
    """Tables of more than a thousand rows; stale is what changed by a fifth, a day ago."""
    tables = vacuum.statistics(database)
    unknown = [str(table) for table in tables if not table.known]
    evidence.judge(
        "count",
        count_of("tables without statistics", len(unknown), len(tables), "pg_stats"),
        equal_to(0),
        f"analyze them: {listed(unknown)}",
    )
    hours = database.limits.vacuum_overdue_h
    stale = [str(table) for table in tables if table.is_stale(_STALE_SHARE, hours)]
    evidence.judge(
        "count",
        count_of("tables with old statistics", len(stale), len(tables), "n_mod_since_analyze"),
        equal_to(0),
        f"analyze them: {listed(stale)}",
        warn_only=True,
    )
