"""Finds what a database has: missing privileges, hypertables, standbys."""

import re
from collections.abc import Iterator
from typing import Final

from readiness.areas.database.config import Database
from readiness.areas.database.probes import server
from readiness.config.base import NAME_PATTERN
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
from readiness.lib.postgres.session import looking

_TIMESCALE: Final = "select count(*) from pg_extension where extname = 'timescaledb'"
_HYPERTABLES: Final = """
select h.hypertable_schema || '.' || h.hypertable_name,
       (select extract(epoch from d.time_interval)::float8 / 3600
        from timescaledb_information.dimensions d
        where (d.hypertable_schema, d.hypertable_name) = (h.hypertable_schema, h.hypertable_name)
          and d.dimension_number = 1),
       h.compression_enabled
from timescaledb_information.hypertables h
where h.hypertable_schema !~ '^(readiness_|_timescaledb_)' order by 1"""
_STANDBYS: Final = "select application_name from pg_stat_replication order by 1"


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
        for (name,) in postgres.fetch(connection, _STANDBYS):
            yield Gap(
                f"how the standby {name} is reached",
                f"[databases.{sources.database}.standbys.{name}] with its dsn",
            )


def _hypertables(connection: Connection, table: tuple[str, ...]) -> Iterator[Finding]:
    if not postgres.fetch_value(connection, _TIMESCALE):
        return
    for name, hours, is_compressed in postgres.fetch(connection, _HYPERTABLES):
        key = name.rpartition(".")[2]
        if not re.match(NAME_PATTERN, key):
            continue
        expected: dict[str, Value] = {"table": name}
        if hours is not None:
            expected["chunk_interval_h"] = hours
        if not is_compressed:
            expected["compressed"] = False
        yield Line(table, key, expected, "timescaledb_information.hypertables")
