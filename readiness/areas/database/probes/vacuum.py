"""Whether vacuum does its work, and what prevents it: wraparound, horizon, dead rows, statistics.

Schemas named `readiness_…` are left out: they are this tool's own, and gone in a moment.
"""

from dataclasses import dataclass
from typing import Final

from readiness.areas.database.config import Database
from readiness.lib import postgres
from readiness.lib.postgres.session import NOT_OURS, looking, seeing_all_sessions
from readiness.lib.text import clean, listed
from readiness.model.errors import NotPermitted

FEWEST_ROWS: Final = 1000
"""The planner needs no statistics of smaller tables."""

_AGES: Final = """
select datname, 'transactions', age(datfrozenxid),
       current_setting('autovacuum_freeze_max_age')::bigint from pg_database
union all
select datname, 'multixacts', mxid_age(datminmxid),
       current_setting('autovacuum_multixact_freeze_max_age')::bigint from pg_database"""
# Sessions of our own end at once; vacuum itself keeps no rows.
_HOLDERS: Final = """
select 'process ' || pid || ' ' || coalesce(nullif(application_name, ''), 'unnamed') || ' ('
       || coalesce(usename, '?') || ', ' || coalesce(state, '?') || ')',
       greatest(age(backend_xmin), age(backend_xid))
from pg_stat_activity
where coalesce(backend_xmin, backend_xid) is not null and pid <> pg_backend_pid()
  and backend_type not in ('walsender', 'autovacuum worker')
  and application_name not like 'readiness%'
union all
select 'replication slot ' || slot_name, greatest(age(xmin), age(catalog_xmin))
from pg_replication_slots where coalesce(xmin, catalog_xmin) is not null
union all
select 'prepared transaction ' || quote_literal(gid) || ' in ' || database, age(transaction)
from pg_prepared_xacts
union all
select 'feedback of the standby ' || application_name, age(backend_xmin)
from pg_stat_replication where backend_xmin is not null
order by 2 desc"""
_PREPARED: Final = """
select quote_literal(gid) || ' of ' || owner || ' in ' || database,
       extract(epoch from clock_timestamp() - prepared)::float8
from pg_prepared_xacts order by 2 desc"""
# An option of a table precedes the setting of the server; reltuples is -1 before the first
# vacuum, and 0 on PostgreSQL 13.
_DEAD: Final = """
with since as (
  select greatest(d.stats_reset, b.stats_reset) as at
  from pg_stat_database d cross join pg_stat_bgwriter b where d.datname = current_database()),
tables as (
  select format('%I.%I', n.nspname, c.relname) as name, s.n_dead_tup as dead,
         greatest(c.reltuples, 0) as rows, pg_table_size(c.oid) as bytes,
         coalesce((o->>'autovacuum_enabled')::boolean, true) as enabled,
         coalesce((o->>'autovacuum_vacuum_threshold')::float8,
                  current_setting('autovacuum_vacuum_threshold')::float8) as base,
         coalesce((o->>'autovacuum_vacuum_scale_factor')::float8,
                  current_setting('autovacuum_vacuum_scale_factor')::float8) as scale,
         nullif(coalesce((o->>'autovacuum_vacuum_max_threshold')::float8,
                current_setting('autovacuum_vacuum_max_threshold', true)::float8), -1) as most,
         extract(epoch from now() - coalesce(greatest(s.last_vacuum, s.last_autovacuum), since.at))
           / 3600 as hours
  from pg_stat_user_tables s
  join pg_class c on c.oid = s.relid
  join pg_namespace n on n.oid = c.relnamespace
  cross join since
  cross join lateral (
    select coalesce(jsonb_object_agg(option_name, option_value), '{}')
    from pg_options_to_table(c.reloptions)) t(o)
  where @OWN@ and c.relpersistence <> 't')
select name, dead, least(base + scale * rows, most)::float8, hours::float8, bytes, enabled
from tables order by dead desc""".replace("@OWN@", NOT_OURS)
# What pg_stats shows is the truth, where the role may see it; else when it was last analyzed. A
# chunk that TimescaleDB has compressed is an empty file, whose rows still count as live.
_STATISTICS: Final = """
with since as (
  select greatest(d.stats_reset, b.stats_reset) as at
  from pg_stat_database d cross join pg_stat_bgwriter b where d.datname = current_database()),
seen as (select schemaname, tablename from pg_stats group by 1, 2)
select format('%I.%I', n.nspname, c.relname),
       greatest(c.reltuples::bigint, s.n_live_tup) as rows,
       coalesce(s.n_mod_since_analyze, 0),
       seen.tablename is not null,
       has_any_column_privilege(c.oid, 'select') and not row_security_active(c.oid),
       greatest(s.last_analyze, s.last_autoanalyze) is not null,
       (extract(epoch from now()
        - coalesce(greatest(s.last_analyze, s.last_autoanalyze), since.at)) / 3600)::float8
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_stat_user_tables s on s.relid = c.oid
cross join since
left join seen on seen.schemaname = n.nspname and seen.tablename = c.relname
where c.relkind in ('r', 'm') and c.relpersistence <> 't'
  and @OWN@
  and not (n.nspname like '\\_timescaledb\\_%' and c.relpages = 0)
order by rows desc""".replace("@OWN@", NOT_OURS)


@dataclass(frozen=True, slots=True)
class Age:
    """How far a database is from the wraparound of a counter.

    Attributes:
        counter: `transactions` or `multixacts`.
        age: how many were used since the oldest unfrozen one.
        freeze_at: the age at which autovacuum begins to freeze at the latest.
    """

    database: str
    counter: str
    age: int
    freeze_at: int


@dataclass(frozen=True, slots=True)
class Horizon:
    """What vacuum must keep rows for.

    Attributes:
        holders: what needs the rows, and since how many transactions; the oldest first.
        prepared: prepared transactions, and the seconds since; the oldest first.
    """

    holders: tuple[tuple[str, int], ...]
    prepared: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class DeadRows:
    """A table's dead rows.

    Attributes:
        dead: rows, as the server estimates them.
        trigger: rows at which autovacuum begins.
        hours: since the last vacuum, or since the counters began.
        size: of the table, in bytes.
        enabled: whether autovacuum is on for it.
    """

    table: str
    dead: int
    trigger: float
    hours: float
    size: int
    enabled: bool

    def is_overdue(self, hours: float) -> bool:
        """Whether autovacuum has been due, and the last vacuum is longer ago than that."""
        return self.dead > self.trigger and self.hours > hours

    def __str__(self) -> str:
        return (
            f"{self.table} ({self.dead} dead rows of {self.trigger:.0f}, {self.hours:.0f} h"
            f" without vacuum, {self.size / 1e6:.0f} MB)"
        )


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the planner knows of a table.

    Attributes:
        rows: an estimate.
        modified: rows written since the last analyze.
        known: whether it has statistics.
        hours: since the last analyze, or since the counters began.
    """

    table: str
    rows: int
    modified: int
    known: bool
    hours: float

    def is_stale(self, share: float, hours: float) -> bool:
        """Whether more than a share was written since the last analyze, longer ago than that."""
        return self.known and self.modified > share * self.rows and self.hours > hours

    def __str__(self) -> str:
        return f"{self.table} ({self.rows} rows, {self.modified} written since)"


def ages(database: Database) -> list[Age]:
    """The age of every database of the server, also of those that take no connections."""
    with looking(database) as connection:
        rows = postgres.fetch(connection, _AGES)
    return [Age(clean(name), *figures) for name, *figures in rows]


def horizon(database: Database) -> Horizon:
    """Everything that keeps vacuum from removing dead rows."""
    with seeing_all_sessions(database) as connection:
        holders = postgres.fetch(connection, _HOLDERS)
        prepared = postgres.fetch(connection, _PREPARED)
    return Horizon(
        tuple((clean(who), int(age or 0)) for who, age in holders),
        tuple((clean(who), float(seconds)) for who, seconds in prepared),
    )


def dead_rows(database: Database) -> list[DeadRows]:
    """Dead rows of every table, most first, and when autovacuum would remove them."""
    with looking(database) as connection:
        rows = postgres.fetch(connection, _DEAD)
    return [DeadRows(clean(name), *figures) for name, *figures in rows]


def statistics(database: Database) -> list[Statistics]:
    """What the planner knows of each table of more than a thousand rows, largest first.

    Raises:
        NotPermitted: for a table, neither its statistics nor an analyze can be seen.
    """
    with looking(database) as connection:
        rows = postgres.fetch(connection, _STATISTICS)
    found, hidden = [], []
    for name, live, modified, seen, visible, analyzed, hours in rows:
        if live < FEWEST_ROWS:
            continue
        if not visible and not analyzed:
            hidden.append(name)
        known = seen if visible else analyzed
        found.append(Statistics(clean(name), live, modified, known, hours))
    if hidden:
        raise NotPermitted(
            f"the statistics of {listed(hidden)} cannot be seen",
            where="pg_stats",
            remedy="grant select on these tables to the monitoring role, or pg_read_all_data from"
            " PostgreSQL 14 on; those with row security need a role with bypassrls",
        )
    return found
