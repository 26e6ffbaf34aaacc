"""Finds what a database has: missing privileges, hypertables, standbys."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from readiness.areas.database.config import Database
from readiness.areas.database.probes import server
from readiness.config.base import NAME_PATTERN, tables
from readiness.config.base.discovery import (
    GRANTS,
    GRANTS_ARE,
    Finding,
    Gap,
    Line,
    Script,
    Sources,
    Value,
)
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.session import looking, system_of
from readiness.model import conninfo
from readiness.model.errors import CouldNotMeasure
from readiness.model.secrets import Dsn

_TIMESCALE: Final = "select count(*) from pg_extension where extname = 'timescaledb'"
_HYPERTABLES: Final = """
select h.hypertable_schema || '.' || h.hypertable_name,
       (select extract(epoch from d.time_interval)::float8 / 3600
        from timescaledb_information.dimensions d
        where (d.hypertable_schema, d.hypertable_name) = (h.hypertable_schema, h.hypertable_name)
          and d.dimension_number = 1),
       h.compression_enabled,
       (select extract(epoch from (j.config->>'drop_after')::interval)::float8 / 86400
        from timescaledb_information.jobs j
        where (j.hypertable_schema, j.hypertable_name) = (h.hypertable_schema, h.hypertable_name)
          and j.proc_name = 'policy_retention' and j.config->>'drop_after' !~ '^[0-9]+$' limit 1)
from timescaledb_information.hypertables h
where h.hypertable_schema !~ '^(readiness_|_timescaledb_)' order by 1"""
# Without subscribers, and programs that copy WAL or the whole server.
_STANDBYS: Final = """
select r.application_name, coalesce(host(r.client_addr), '') from pg_stat_replication r
where r.application_name !~ '^(pg_receivewal|pg_basebackup|pgbackrest|barman)'
  and not exists (select from pg_replication_slots s
                  where s.active_pid = r.pid and s.slot_type = 'logical')
order by 1"""
_FOLLOWS: Final = """
select pg_is_in_recovery() and system_identifier::text = %s
       and coalesce(host(inet_server_addr()), '') in (%s, '')
from pg_control_system()"""
_IN_URI: Final = re.compile(r"(?<=://)([^@/]*@)?[^/?]*")
_ONLY_PRIMARY: Final = re.compile(r"target_session_attrs\s*=\s*'?[\w-]+'?&?\s*")
_PLACE: Final = re.compile(r"\b(host|hostaddr|port)\s*=\s*\S+\s*")


def database(sources: Sources) -> Iterator[Finding]:
    """The database at `dsn`: what its role lacks, its hypertables and standbys."""
    if sources.dsn is None:
        yield Gap("the database", "readiness init --dsn 'postgresql://ROLE:${PASSWORD}@HOST/NAME'")
        return
    table = ("databases", sources.database)
    yield Line(table, "dsn", sources.dsn_text, "--dsn")
    asked = Database(name=sources.database, dsn=sources.dsn, timeout_s=sources.timeout_s)
    if grants := server.grants(asked):
        text = "".join(f"{grant};\n" for grant in grants)
        yield Script(GRANTS, text, GRANTS_ARE)
    with looking(asked) as connection:
        yield from _hypertables(connection, (*table, "timescale", "hypertables"))
        yield from _standbys(connection, sources, asked)


def _hypertables(connection: Connection, table: tuple[str, ...]) -> Iterator[Finding]:
    if not postgres.fetch_value(connection, _TIMESCALE):
        return
    for name, hours, is_compressed, days in postgres.fetch(connection, _HYPERTABLES):
        key = name.rpartition(".")[2]
        if not re.match(NAME_PATTERN, key):
            continue
        expected: dict[str, Value] = {"table": name}
        if hours is not None:
            expected["chunk_interval_h"] = hours
        if not is_compressed:
            expected["compressed"] = False
        if days is not None:
            expected["keep_d"] = days
        yield Line(table, key, expected, "timescaledb_information.hypertables")


def _standbys(
    connection: Connection, sources: Sources, primary: tables.Database
) -> Iterator[Finding]:
    """Each standby where it answers: where the primary sees it, or at another host of `dsn`."""
    info = connection.info
    here = (info.host, str(info.port))
    system = system_of(connection)
    streaming = postgres.fetch(connection, _STANDBYS)
    shared = Counter(address for _, address in streaming)
    others = [place for place in conninfo.places(primary.dsn.words) if place != here]
    table = ("databases", sources.database, "standbys")
    for name, address in streaming:
        # Of two standbys at one address it is not known which is which.
        candidates = [(address, here[1]), *others] if address and shared[address] == 1 else []
        found = (
            one for one in candidates if one != here and _follows(primary, one, system, address)
        )
        place = next(found, None)
        if place and re.match(NAME_PATTERN, name):
            dsn = _at(sources.dsn_text, place)
            yield Line(table, name, {"dsn": dsn}, "pg_stat_replication, and it answers there")
        else:
            yield Gap(
                f"how the standby {name} is reached",
                f"[databases.{sources.database}.standbys.{name}] with its dsn",
            )


def _follows(primary: tables.Database, place: tuple[str, str], system: str, address: str) -> bool:
    """Whether the standby that the primary sees at an address answers at this host and port."""
    dsn = Dsn(_at(primary.dsn.reveal(), place))
    try:
        with looking(primary.model_copy(update={"dsn": dsn})) as connection:
            return bool(postgres.fetch_value(connection, _FOLLOWS, (system, address)))
    except CouldNotMeasure:
        return False


def _at(dsn: str, place: tuple[str, str]) -> str:
    """A connection string with another host and port."""
    host, port = place
    text = _ONLY_PRIMARY.sub("", dsn).rstrip("?& ")
    if "://" not in text:
        return f"host={host} port={port} {_PLACE.sub('', text)}".rstrip()
    bracketed = f"[{host}]" if ":" in host else host
    return _IN_URI.sub(lambda found: f"{found[1] or ''}{bracketed}:{port}", text, count=1)
