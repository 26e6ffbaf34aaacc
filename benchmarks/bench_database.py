"""What all observing checks of a database take where it has 2,000 tables and 10,000 indexes.

PYTHONPATH=. python benchmarks/bench_database.py [TABLES]
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import psycopg

from readiness.areas.database.probes import counters
from readiness.areas.database.reference import parts
from readiness.config.loading import load
from readiness.lib import postgres
from readiness.model.record import CheckResult
from readiness.model.secrets import Dsn
from readiness.run.progress import Silent
from readiness.run.supervisor import Options, run
from readiness.servers.postgres import SCRATCH, PrivatePostgres

DEMANDED_S: Final = 10.0
SNAPSHOT_S: Final = 2.0
INDEXES: Final = 5
_BATCH: Final = 100
_PASSWORD: Final = "correct horse battery"  # noqa: S105 - of a server that lives for a minute
_SETTINGS: Final = {
    **SCRATCH,
    "shared_preload_libraries": "pg_stat_statements",
    "max_locks_per_transaction": "1024",
}
_CONFIG: Final = """
[target]
name = "large"
[databases.large]
dsn = "${{DSN}}"
[databases.large.history]
path = '{path}'
"""


def main(tables: int = 2000) -> int:
    """0 if they take less than ten seconds together, and a snapshot less than two."""
    with (
        tempfile.TemporaryDirectory() as folder,
        PrivatePostgres.start(Path(folder) / "postgres", settings=_SETTINGS) as server,
    ):
        fill(server, tables)
        dsn = server.dsn(user="watcher", password=_PASSWORD)
        path = Path(folder) / "large.history"
        taken_s = remember(dsn, path)
        found = judged(Path(folder), dsn, _CONFIG.format(path=path), ("database",))
    for check in sorted(found, key=lambda one: -one.duration_s):
        print(f"{check.duration_s:8.2f} s  {check.outcome:5} {check.name}")
    total_s = sum(check.duration_s for check in found)
    print(f"{taken_s:8.2f} s  a snapshot, demanded {SNAPSHOT_S:g} s")
    print(
        f"{total_s:8.2f} s  {len(found)} checks of {tables} tables and {tables * INDEXES} indexes,"
        f" demanded {DEMANDED_S:g} s"
    )
    return 0 if total_s <= DEMANDED_S and taken_s <= SNAPSHOT_S else 1


def fill(server: PrivatePostgres, tables: int) -> None:
    """Make them, with some rows each, as a role that monitors will see them."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(f"create role watcher login password '{_PASSWORD}'".encode())
        connection.execute("grant pg_monitor to watcher")
        for extension in ("pg_stat_statements", "pgstattuple"):
            connection.execute(f"create extension {extension}".encode())
        for first in range(0, tables, _BATCH):
            made = (table(n) for n in range(first, min(first + _BATCH, tables)))
            connection.execute(";".join(made).encode())
        connection.execute("vacuum analyze")


def table(number: int) -> str:
    """One table that references the one before it, with four indexes beside its key."""
    parent = f"references t{number - 1}" if number % 10 else ""
    columns = f"a int primary key, b int {parent}, c text, d int, e timestamptz default now()"
    return f"""create table t{number} ({columns});
        insert into t{number} select n, n, 'x' || n, n from generate_series(1, 20) n;
        create index on t{number} (b); create index on t{number} (c);
        create index on t{number} (d); create index on t{number} (e)"""  # noqa: S608 - our names


def remember(dsn: str, path: Path) -> float:
    """Give it a history of forty days; gives the seconds that one snapshot takes."""
    began = time.monotonic()
    with postgres.connect(Dsn(dsn), timeout_s=60) as connection:
        counters.take(connection)
    taken_s = time.monotonic() - began
    parts.begin(path, *parts.taken(dsn))
    return taken_s


def judged(folder: Path, dsn: str, text: str, suites: tuple[str, ...]) -> list[CheckResult]:
    """All checks of the suites, one after the other."""
    config = folder / "readiness.toml"
    config.write_text(text)
    environ = {"DSN": dsn}
    loaded = load(config, os.environ | environ)
    options = Options(loaded, folder, suites=suites, workers="0", environ=environ)
    record = run(options, Silent()).record
    assert record
    return [check for check in record.checks if check.suite in suites and check.duration_s]


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
