r"""Our probe against PostgreSQL's own programs: the same rows, the same tables, taking turns.

PYTHONPATH=. python benchmarks/bench_ingest.py [ROWS] [ROUNDS]

COPY against `psql \copy`, and rows that commit each against `pgbench`, one client and prepared
statements; of those there are a hundredth as many.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from psycopg import sql

from readiness.areas.performance import ingest
from readiness.areas.performance.table_shape import ScratchTable, scratch_copy
from readiness.lib.postgres import Connection, connect, fetch
from readiness.model.secrets import Dsn
from readiness.servers.postgres import PrivatePostgres

DEMANDED: Final = 0.95
DEMANDED_SINGLE: Final = 0.9
VALUES: Final = "now(), 7, 'temperature', 0.5, 1, 'note'"
SCHEMA: Final = """
    create table readings (
        at timestamptz not null default now(), device_id int not null, kind text not null,
        value float8 not null, quality int2 not null, note text);
    create index on readings (device_id, at);
    insert into readings select now() - n * interval '1 s', n % 100, 'temperature', n * 0.1, 1,
        'note ' || n from generate_series(1, 1000) n"""


def main(rows: int = 200_000, rounds: int = 7) -> int:
    """0 if the probe is as fast as is demanded of it."""
    print(f"load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder, PrivatePostgres.start(Path(folder)) as server:
        dsn = Dsn(server.dsn())
        with connect(dsn, timeout_s=120, total_s=1200) as connection:
            fetch(connection, SCHEMA)
            with scratch_copy(connection, dsn, "public.readings", triggers=False) as scratch:
                copied = measure(connection, server, scratch, rows, rounds)
                single = measure_single(connection, server, scratch, max(100, rows // 100), rounds)
    return 0 if all((judge("COPY", "psql \\copy", DEMANDED, *copied),
                     judge("rows", "pgbench", DEMANDED_SINGLE, *single))) else 1  # fmt: skip


def judge(what: str, peer: str, demanded: float, ours: list[float], theirs: list[float]) -> bool:
    """Print the medians; whether their ratio is as demanded."""
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"probe {what:11} {statistics.median(ours):12,.0f} rows/s, median of {len(ours)}")
    print(f"{peer:17} {statistics.median(theirs):12,.0f} rows/s, median of {len(theirs)}")
    print(f"ratio             {ratio:12.2f}, demanded {demanded}")
    return ratio >= demanded


def measure_single(
    connection: Connection, server: PrivatePostgres, scratch: ScratchTable, rows: int, rounds: int
) -> tuple[list[float], list[float]]:
    ours, pgbench = [], []
    for number in range(rounds + 1):
        empty(connection, scratch)
        sample = ingest.insert_singly(connection, scratch, rows, number * rows)
        empty(connection, scratch)
        rate = by_pgbench(server, connection, scratch, rows)
        if number:  # the first round warms both
            ours.append(sample.stored / sample.seconds)
            pgbench.append(rate)
    return ours, pgbench


def by_pgbench(
    server: PrivatePostgres, connection: Connection, scratch: ScratchTable, rows: int
) -> float:
    """Rows a second, without the time to connect, as pgbench says."""
    columns = ", ".join(scratch.columns)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(f"insert into {scratch.name.as_string(connection)} ({columns})")
        script.write(f" values ({VALUES});\n")
        script.flush()
        ended = subprocess.run(
            [
                str(server.binaries.program("pgbench")), "-n", "-c", "1", "-M", "prepared",
                "-t", str(rows), "-f", script.name, server.dsn(),
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        )  # fmt: skip
    line = next(line for line in ended.stdout.splitlines() if line.startswith("tps = "))
    return float(line.split()[2])


def measure(
    connection: Connection, server: PrivatePostgres, scratch: ScratchTable, rows: int, rounds: int
) -> tuple[list[float], list[float]]:
    ours, psql = [], []
    with tempfile.NamedTemporaryFile(suffix=".copy") as file:
        for number in range(rounds + 1):
            first = number * rows
            empty(connection, scratch)
            sample = ingest.copy_rows(connection, scratch, rows, first)
            file.seek(0)
            file.truncate()
            for block in ingest.encoded(connection, scratch.rows_statement(rows, first)):
                file.write(block)
            file.flush()
            empty(connection, scratch)
            seconds = by_psql(server, connection, scratch, file.name)
            if number:  # the first round warms both
                ours.append(sample.stored / sample.seconds)
                psql.append(rows / seconds)
    return ours, psql


def empty(connection: Connection, scratch: ScratchTable) -> None:
    fetch(connection, sql.SQL("truncate {}").format(scratch.name))
    fetch(connection, "checkpoint")


def by_psql(
    server: PrivatePostgres, connection: Connection, scratch: ScratchTable, file: str
) -> float:
    """How long psql itself says that the copy took, in seconds."""
    copy = scratch.copy_statement().as_string(connection).replace("from stdin", f"from '{file}'")
    ended = subprocess.run(
        [
            str(server.binaries.program("psql")),
            *("-X", "-v", "ON_ERROR_STOP=1", "-d", server.dsn()),
            *("-c", "\\timing on", "-c", f"\\{copy}"),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    line = next(line for line in ended.stdout.splitlines() if line.startswith("Time:"))
    return float(line.split()[1]) / 1000


if __name__ == "__main__":
    started = time.monotonic()
    status = main(*map(int, sys.argv[1:]))
    print(f"took         {time.monotonic() - started:12.0f} s")
    sys.exit(status)
