"""Whether vacuum does its work, and what prevents it: wraparound, horizon, dead rows, statistics.

Schemas named `readiness_…` are left out: they are this tool's own, and gone in a moment.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.database.config import Database
from readiness.areas.database.probes.application import is_on
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
# A TOAST table without options of its own has those of its table. reltuples is -1 before the first
# vacuum, and 0 on PostgreSQL 13.
_DEAD: Final = """
with since as (
  select greatest(d.stats_reset, b.stats_reset) as at
  from pg_stat_database d cross join pg_stat_bgwriter b where d.datname = current_database()),
named as (
  select c.oid, n.nspname, c.relname, false as toast, false as inherits, c.reloptions as options,
         c.reltuples
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'm') and c.relpersistence <> 't' and @OWN@ and @USER@
  union all
  select t.oid, n.nspname, c.relname, true, t.reloptions is null,
         coalesce(t.reloptions, c.reloptions), t.reltuples
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  join pg_class t on t.oid = c.reltoastrelid
  where c.relpersistence <> 't' and @OWN@ and @USER@)
select format('%I.%I', nspname, relname), toast, inherits, pg_stat_get_dead_tuples(oid),
       greatest(reltuples, 0)::float8,
       (extract(epoch from now()
        - coalesce(greatest(pg_stat_get_last_vacuum_time(oid),
                            pg_stat_get_last_autovacuum_time(oid)), since.at)) / 3600)::float8,
       case when pg_stat_get_dead_tuples(oid) > 0 then pg_table_size(oid) else 0 end,
       (select jsonb_object_agg(option_name, option_value) from pg_options_to_table(options)
        where option_name ~ '^(autovacuum_|vacuum_index_cleanup$)')
from named cross join since
order by 4 desc""".replace("@OWN@", NOT_OURS).replace(
    "@USER@", "n.nspname !~ '^(pg_catalog|pg_toast|information_schema)'"
)
_OF_SERVER: Final = "select name, setting from pg_settings where name ~ '^(auto)?vacuum_'"
# What pg_stats shows is the truth, where the role may see it; else when it was last analyzed. A
# chunk that TimescaleDB has compressed is an empty file, whose rows still count as live.
# Autovacuum never analyzes a partitioned table, nor a parent that holds no rows itself: what is
# known of all partitions together is marked as inherited, and only `analyze` collects it.
_STATISTICS: Final = """
with recursive since as (
  select greatest(d.stats_reset, b.stats_reset) as at
  from pg_stat_database d cross join pg_stat_bgwriter b where d.datname = current_database()),
seen as (select schemaname, tablename, bool_or(inherited) as whole from pg_stats group by 1, 2),
roots as (
  select c.oid from pg_class c
  where c.relkind in ('r', 'p') and c.relhassubclass and not c.relispartition
    and exists (select from pg_inherits h where h.inhparent = c.oid)
    and not exists (select from pg_inherits h join pg_class k on k.oid = h.inhrelid
                    join pg_namespace n on n.oid = k.relnamespace
                    where h.inhparent = c.oid and n.nspname ~ '^_timescaledb_')),
parts as (
  select oid as root, oid from roots
  union
  select parts.root, h.inhrelid from parts join pg_inherits h on h.inhparent = parts.oid),
sums as (
  select root, sum(greatest(l.reltuples::bigint, s.n_live_tup, 0)) as rows
  from parts join pg_class l on l.oid = parts.oid and l.relkind = 'r'
  left join pg_stat_user_tables s on s.relid = l.oid
  group by 1)
select format('%I.%I', n.nspname, c.relname),
       coalesce(sums.rows, greatest(c.reltuples::bigint, s.n_live_tup))::bigint as rows,
       case when sums.rows is null then coalesce(s.n_mod_since_analyze, 0)
            when c.relkind = 'p' and c.reltuples > 0 then greatest(sums.rows - c.reltuples, 0)
            else 0 end::bigint,
       coalesce(case when sums.rows is null then true else seen.whole end, false)
         and seen.tablename is not null,
       has_any_column_privilege(c.oid, 'select') and not row_security_active(c.oid),
       greatest(s.last_analyze, s.last_autoanalyze) is not null,
       (extract(epoch from now()
        - coalesce(greatest(s.last_analyze, s.last_autoanalyze), since.at)) / 3600)::float8
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_stat_user_tables s on s.relid = c.oid
left join sums on sums.root = c.oid
cross join since
left join seen on seen.schemaname = n.nspname and seen.tablename = c.relname
where (sums.rows is not null or s.relid is not null and c.relkind in ('r', 'm'))
  and c.relpersistence <> 't'
  and @OWN@
  and not (n.nspname like '\\_timescaledb\\_%' and c.relpages = 0)
order by rows desc nulls last""".replace("@OWN@", NOT_OURS)
# Beyond that, autovacuum is off in all but name: so many rows, and ten times as many as the table
# has; or so few pages that it may write in a second, of which the default allows 5,000.
_NEVER_ROWS: Final = 100_000_000
_NEVER_TIMES: Final = 10
_LEAST_PAGES_PER_S: Final = 25
_PAGE_COST: Final = 20
_DAY_S: Final = 86400
_UNLIMITED: Final = math.inf
_DEFAULTS: Final = {
    "autovacuum_vacuum_threshold": "50",
    "autovacuum_vacuum_scale_factor": "0.2",
    "autovacuum_analyze_threshold": "50",
    "autovacuum_analyze_scale_factor": "0.1",
    "autovacuum_vacuum_cost_delay": "2",
    "autovacuum_vacuum_cost_limit": "-1",
    "autovacuum_naptime": "60",
}
"""PostgreSQL's own."""
_RELOAD: Final = "select pg_reload_conf();"


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


class Throttle:
    """How autovacuum is set for a table: by options of its own, else by the server."""

    def __init__(self, server: Mapping[str, str], options: Mapping[str, str]) -> None:
        self.options = options
        self._all = {**server, **options}

    @property
    def enabled(self) -> bool:
        """Whether it is on."""
        return is_on(self._all.get("autovacuum_enabled", "on"))

    def trigger(self, work: str, rows: float) -> float:
        """At how many dead or written rows `vacuum` or `analyze` begins, of so many rows."""
        begins = self._number(f"autovacuum_{work}_threshold")
        begins += self._number(f"autovacuum_{work}_scale_factor") * rows
        return min(begins, self._number(f"autovacuum_{work}_max_threshold"))

    @property
    def pages_per_s(self) -> float:
        """How many pages it may write in a second."""
        delay_ms = self._number("autovacuum_vacuum_cost_delay", "vacuum_cost_delay")
        limit = self._number("autovacuum_vacuum_cost_limit", "vacuum_cost_limit", least=1)
        return limit / _PAGE_COST / delay_ms * 1000 if delay_ms else _UNLIMITED

    def disguises(self, rows: float, dead: int, *, works: Sequence[str]) -> dict[str, str]:
        """What keeps it from a table as if it were off, each with what sets that; mostly nothing.

        A new partition is small, and may have a threshold for the rows to come: a high one alone
        is no fault, until more rows are dead than alive.
        """
        found = {}
        for work in works:
            begins = self.trigger(work, rows)
            many = rows >= FEWEST_ROWS and (
                self._number(f"autovacuum_{work}_scale_factor") >= _NEVER_TIMES
                or (work == "vacuum" and dead >= rows)
            )
            if begins >= _NEVER_TIMES * rows and (begins >= _NEVER_ROWS or many):
                says = f"{work} begins at {begins:,.0f} rows"
                found[says] = f"autovacuum_{work}_threshold, autovacuum_{work}_scale_factor"
        cleanup = self.options.get("vacuum_index_cleanup", "auto")
        if cleanup != "auto" and not is_on(cleanup):
            found["vacuum removes no dead row from its indexes"] = "vacuum_index_cleanup"
        if self.pages_per_s < _LEAST_PAGES_PER_S:
            says = f"vacuum may write {self.pages_per_s:.2g} pages a second"
            found[says] = "autovacuum_vacuum_cost_delay, autovacuum_vacuum_cost_limit"
        if self._number("autovacuum_naptime") > _DAY_S:
            found["it looks for work less than once a day"] = "autovacuum_naptime"
        return found

    def _number(self, *names: str, least: float = 0) -> float:
        """The first of these settings that is not switched off; infinite if all are."""
        values = (float(self._all.get(name, "-1")) for name in names)
        return next((value for value in values if value >= least), _UNLIMITED)


@dataclass(frozen=True, slots=True)
class DeadRows:
    """The dead rows of a table, or of its TOAST table, which holds the long values.

    Attributes:
        inherits: whether it is a TOAST table with the options of its table.
        dead: rows, as the server estimates them.
        rows: all of them, at the last vacuum.
        hours: since the last vacuum, or since the counters began.
        size: of a table with dead rows, in bytes.
        throttle: how autovacuum is set for it.
    """

    table: str
    toast: bool
    inherits: bool
    dead: int
    rows: float
    hours: float
    size: int
    throttle: Throttle

    @property
    def trigger(self) -> float:
        """Dead rows at which autovacuum begins."""
        return self.throttle.trigger("vacuum", self.rows)

    def is_overdue(self, hours: float) -> bool:
        """Whether autovacuum has been due, and the last vacuum is longer ago than that."""
        return self.dead > self.trigger and self.hours > hours

    @property
    def off(self) -> str:
        """What keeps autovacuum from the table, and the SQL that ends it; empty if nothing does.

        A TOAST table is named for options of its own alone: else its table is.
        """
        if self.inherits:
            return ""
        if not self.throttle.enabled:
            return f"{self._name}: {self._reset(('autovacuum_enabled',))}"
        works = ("vacuum",) if self.toast else ("vacuum", "analyze")
        found = self.throttle.disguises(self.rows, self.dead, works=works)
        names = [name for some in found.values() for name in some.split(", ")]
        if not found:
            return ""
        if not self.throttle.options.keys() & set(names):
            statements = [f"alter system set {name} = {_DEFAULTS[name]};" for name in names]
            return f"{self._name}, {'; '.join(found)}: {' '.join(statements)} {_RELOAD}"
        return f"{self._name}, {'; '.join(found)}: {self._reset(names)}"

    def _reset(self, names: Sequence[str]) -> str:
        prefix = "toast." if self.toast else ""
        return f"alter table {self.table} reset ({', '.join(prefix + name for name in names)});"

    @property
    def _name(self) -> str:
        return f"the TOAST table of {self.table}" if self.toast else self.table

    def __str__(self) -> str:
        return (
            f"{self._name} ({self.dead} dead rows of {self.trigger:.0f}, {self.hours:.0f} h"
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
        server: dict[str, str] = dict(postgres.fetch(connection, _OF_SERVER))
        rows = postgres.fetch(connection, _DEAD)
    return [
        DeadRows(
            clean(name), toast, inherits, dead, live, hours, size, Throttle(server, options or {})
        )
        for name, toast, inherits, dead, live, hours, size, options in rows
    ]


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
