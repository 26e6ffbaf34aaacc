"""The server as a whole: rights of the role, settings, checksums, release, connections."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from readiness.areas.database.config import Database
from readiness.areas.database.probes.application import roles
from readiness.lib import postgres
from readiness.lib.postgres.session import NOT_OURS, looking, need_role, seeing_all_sessions
from readiness.lib.text import clean
from readiness.model.errors import NoData
from readiness.model.measurement import Measurement

# How long a release is supported, and how new its newest minor release must be, follows from what
# PostgreSQL promises (postgresql.org/support/versioning, /developer/roadmap): five years for each
# major release, until the second Thursday of November; minor releases on the second Thursday of
# February, May, August and November. Releases out of turn only make the true number larger.
_MONTHS: Final = (2, 5, 8, 11)
_THURSDAY: Final = 3
# On this day these were the newest minor releases.
_KNOWN_ON: Final = date(2025, 11, 13)
_KNOWN: Final = {13: 23, 14: 20, 15: 15, 16: 11, 17: 7, 18: 1}
_OFFSET: Final = 10_000
_BORN_AFTER_2000: Final = 2007  # major release 18 came in autumn 2025
_YEARS: Final = 5


@dataclass(frozen=True, slots=True, order=True)
class Release:
    """A release of PostgreSQL from 10 on."""

    major: int
    minor: int

    @classmethod
    def of(cls, number: int) -> "Release":
        """From `server_version_num`, such as 150004."""
        return cls(number // _OFFSET, number % _OFFSET)

    @classmethod
    def read(cls, text: str) -> "Release":
        """From `16.4` or `16`."""
        major, _, minor = text.partition(".")
        return cls(int(major), int(minor or 0))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


def supported_until(major: int) -> date:
    """The last day on which a major release is supported."""
    return _second_thursday(major + _BORN_AFTER_2000 + _YEARS, 11)


def newest_minor(major: int, today: date) -> int:
    """The newest minor release of a major one that is certainly out by that day."""
    start, first = _KNOWN_ON, _KNOWN.get(major)
    if first is None:
        # Its first minor release comes in the November after it.
        start, first = _second_thursday(major + _BORN_AFTER_2000, 11), 1
        if today < start:
            return 0
    last = min(today, supported_until(major))
    years = range(start.year, last.year + 1)
    days = (_second_thursday(year, month) for year in years for month in _MONTHS)
    return first + sum(start < day <= last for day in days)


def _second_thursday(year: int, month: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(_THURSDAY - first.weekday()) % 7 + 7)


PARTS_OF_PG_MONITOR: Final = ("pg_read_all_settings", "pg_read_all_stats", "pg_stat_scan_tables")
_RIGHTS: Final = """
select quote_ident(rolname), rolsuper,
       array(select r from unnest(%s::text[]) r where not pg_has_role(rolname, r, 'usage'))
from pg_roles where rolname = current_user"""
# Without a right on its schema, a sequence cannot even be named.
_SEQUENCES: Final = """
select format('%I.%I', n.nspname, c.relname),
       has_sequence_privilege(c.oid, 'select,usage') and has_schema_privilege(n.oid, 'usage')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'S' and c.relpersistence <> 't' and @OWN@
order by 1""".replace("@OWN@", NOT_OURS)
OLDEST: Final = 13
"""The first major release that the checks support."""
# Extensions that checks read, which the server has and this database lacks. Bloat is measured in
# large tables and indexes alone; the estimate of their size waits for no lock.
_EXTENSIONS: Final = """
select name from pg_available_extensions a
where installed_version is null
  and (name = 'amcheck' or name = 'pg_stat_statements' and exists (
           select from pg_settings s
           where s.name = 'shared_preload_libraries' and s.setting ~ a.name)
       or name = 'pgstattuple' and exists (
           select from pg_class c
           where c.oid >= 16384 and c.relkind in ('r', 'm', 't', 'i')
             and c.relpages * current_setting('block_size')::bigint >= %s))
order by 1"""
_RUNS_AMCHECK: Final = (
    "bt_index_check(regclass, boolean)",
    "verify_heapam(regclass, boolean, boolean, text, bigint, bigint)",
)
_AMCHECK: Final = """
select p.oid::regprocedure::text
from pg_proc p join pg_depend d on d.objid = p.oid and d.deptype = 'e'
     join pg_extension e on e.oid = d.refobjid
where e.extname = 'amcheck' and not has_function_privilege(p.oid, 'execute')
      and (p.proname = 'verify_heapam' or p.proname = 'bt_index_check' and p.pronargs = 2)
order by 1"""
# setting -> the value with which a crash or damage loses data
_UNSAFE: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "zero_damaged_pages": "on",
    "ignore_checksum_failure": "on",
    "autovacuum": "off",
    "track_counts": "off",
    "synchronous_commit": "off",
}
_SETTINGS: Final = "select name, setting from pg_settings where name = any(%s)"
_OVERRIDES: Final = """
select coalesce('the role ' || quote_ident(r.rolname), 'every role')
       || coalesce(' in ' || quote_ident(d.datname), ''), entry
from pg_db_role_setting s
left join pg_roles r on r.oid = s.setrole
left join pg_database d on d.oid = s.setdatabase
cross join unnest(s.setconfig) entry
where split_part(entry, '=', 1) = any(%s)
  and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))"""
_CHECKSUM_FAILURES: Final = """
select coalesce(datname, 'what all databases share'), checksum_failures,
       coalesce(to_char(checksum_last_failure at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), '?')
from pg_stat_database where checksum_failures > 0 order by 2 desc"""
_CONNECTIONS: Final = """
select count(*) filter (where backend_type = 'client backend'),
       count(*) filter (where backend_type = 'client backend' and datname = current_database()),
       current_setting('max_connections')::int
       - current_setting('superuser_reserved_connections')::int
       - coalesce(current_setting('reserved_connections', true)::int, 0),
       (select datconnlimit from pg_database where datname = current_database())
from pg_stat_activity"""
# A role with one connection keeps it, on purpose; with none, it is locked out on purpose. The
# server counts the sessions of a role in all databases.
_OF_ROLES: Final = """
select (select count(*) from pg_stat_activity a
        where a.usesysid = r.oid and a.backend_type = 'client backend'),
       r.rolconnlimit, quote_ident(r.rolname)
from pg_roles r
where r.rolcanlogin and not r.rolsuper and r.rolname <> current_user
  and (r.rolconnlimit > 1 or r.rolconnlimit >= 0 and r.oid = any(%s::oid[]))"""
_USERS: Final = """
select coalesce(usename, '?'), count(*) from pg_stat_activity
where backend_type = 'client backend' group by 1 order by 2 desc limit 3"""


@dataclass(frozen=True, slots=True)
class Rights:
    """What the monitoring role may do.

    Attributes:
        lacking: the parts of pg_monitor that it does not have.
        sequences: how many there are.
        hidden_sequences: those whose last value it may not read.
    """

    role: str
    superuser: bool
    lacking: tuple[str, ...]
    sequences: int
    hidden_sequences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting, and whether its value risks data.

    Attributes:
        unsafe: the value that it must not have.
        where: the role or database that it is set for; empty for all.
    """

    name: str
    value: str
    unsafe: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Checksums:
    """Whether pages have checksums, and how many failed since the counters began, and where."""

    enabled: bool
    failures: int
    where: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Connections:
    """How many connections clients use, and how many they may.

    Attributes:
        usable: for ordinary roles, without those reserved for superusers.
        scope: what the limit is on.
        users: the roles with most of them.
    """

    used: int
    usable: int
    scope: str
    users: str

    @property
    def share(self) -> Measurement:
        """The part that is in use."""
        return Measurement(
            f"Connections in use of {self.usable} ({self.scope})",
            self.used / self.usable if self.usable > 0 else 1.0,
            "ratio",
            "pg_stat_activity",
            samples=self.used,
        )


def rights(database: Database) -> Rights:
    """What the role of a database's `dsn` may do there."""
    with looking(database) as connection:
        parts = [list(PARTS_OF_PG_MONITOR)]
        role, superuser, lacking = postgres.fetch(connection, _RIGHTS, parts)[0]
        sequences = postgres.fetch(connection, _SEQUENCES)
    hidden = tuple(name for name, readable in sequences if not readable)
    return Rights(role, superuser, tuple(lacking), len(sequences), hidden)


def grants(database: Database) -> list[str]:
    """The SQL that gives the role of `dsn` what the checks need; none if nothing is missing."""
    found = rights(database)
    role = found.role
    schemas = sorted({name.partition(".")[0] for name in found.hidden_sequences})
    with looking(database) as connection:
        functions = [name for (name,) in postgres.fetch(connection, _AMCHECK)]
        # Only a role that sees the settings is told what is loaded.
        lacking = postgres.fetch(connection, _EXTENSIONS, [database.bloat.min_bytes])
        extensions = [name for (name,) in lacking]
        if "amcheck" in extensions:
            functions = [*_RUNS_AMCHECK[: 1 + postgres.is_at_least(connection, 14)]]
    return [
        *([f"grant pg_monitor to {role}"] if found.lacking else []),
        *(f"create extension {name}" for name in extensions),
        *(f"grant usage on schema {schema} to {role}" for schema in schemas),
        *(f"grant select on all sequences in schema {schema} to {role}" for schema in schemas),
        *(f"grant execute on function {name} to {role}" for name in functions),
    ]


def settings(database: Database) -> list[Setting]:
    """The settings that decide whether a crash loses data; for all, and for single roles.

    Raises:
        NoData: the server does not show one of them.
    """
    with looking(database) as connection:
        found: dict[str, str] = dict(postgres.fetch(connection, _SETTINGS, [list(_UNSAFE)]))
        overrides = postgres.fetch(connection, _OVERRIDES, [list(_UNSAFE)])
    missing = sorted(_UNSAFE.keys() - found.keys())
    if missing:
        raise NoData(f"the server does not show {', '.join(missing)}", where="pg_settings")
    own = [Setting(name, found[name], unsafe) for name, unsafe in _UNSAFE.items()]
    return own + [_override(clean(who), entry) for who, entry in overrides]


def _override(who: str, entry: str) -> Setting:
    name, _, value = entry.partition("=")
    words = {"on": "on", "true": "on", "yes": "on", "1": "on"}
    words |= {"off": "off", "false": "off", "no": "off", "0": "off"}
    return Setting(name, words.get(value.lower(), value), _UNSAFE[name], who)


def password_hashing(database: Database) -> Measurement:
    """How the server hashes a password that is set from now on: `scram-sha-256` or `md5`."""
    with looking(database) as connection:
        found = postgres.fetch_value(connection, "select current_setting('password_encryption')")
    return Measurement("password_encryption", str(found), "text", "pg_settings")


def checksums(database: Database) -> Checksums:
    """Checksums of the pages, and failures so far.

    Raises:
        NotPermitted: the role does not see the counters.
    """
    with looking(database) as connection:
        need_role(connection, "pg_read_all_stats", "the server's counters are hidden")
        enabled = postgres.fetch_value(connection, "select current_setting('data_checksums')")
        failed = postgres.fetch(connection, _CHECKSUM_FAILURES)
    return Checksums(
        enabled == "on",
        sum(count for _, count, _ in failed),
        tuple(f"{clean(name)}: {count}, last at {last} UTC" for name, count, last in failed),
    )


def release(database: Database) -> Release:
    """The release of the server that answers."""
    with looking(database) as connection:
        return Release.of(connection.info.server_version)


def connections(database: Database) -> Connections:
    """Connections in use, by the limit of the server, the database or a role: the nearest one.

    Raises:
        NotPermitted: the role does not see other roles' sessions.
    """
    with seeing_all_sessions(database) as connection:
        used, here, usable, limit = postgres.fetch(connection, _CONNECTIONS)[0]
        users = ", ".join(f"{clean(u)} {n}" for u, n in postgres.fetch(connection, _USERS))
        certain = [role.oid for role in roles(connection, database) if role.certain]
        limited = postgres.fetch(connection, _OF_ROLES, [certain])
    found = [Connections(used, usable, "the server", users)]
    if limit >= 0:
        found.append(Connections(here, limit, "the database's connection limit", users))
    found += [
        Connections(count, most, f"the connection limit of the role {clean(name)}", users)
        for count, most, name in limited
    ]
    return max(found, key=lambda c: float(c.share.value))
