r"""COPY by our probe against `psql \copy`: the same rows, the same tables, taking turns.

PYTHONPATH=. python benchmarks/bench_ingest.py [ROWS] [ROUNDS]
"""

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

DEMANDED: Final = 0.9
SCHEMA: Final = """
    create table readings (
        at timestamptz not null default now(), device_id int not null, kind text not null,
        value float8 not null, quality int2 not null, note text);
    create index on readings (device_id, at);
    insert into readings select now() - n * interval '1 s', n % 100, 'temperature', n * 0.1, 1,
        'note ' || n from generate_series(1, 1000) n"""


def main(rows: int = 200_000, rounds: int = 7) -> int:
    """0 if the probe is as fast as is demanded of it."""
    with tempfile.TemporaryDirectory() as folder, PrivatePostgres.start(Path(folder)) as server:
        dsn = Dsn(server.dsn())
        with connect(dsn, timeout_s=120, total_s=1200) as connection:
            fetch(connection, SCHEMA)
            with scratch_copy(connection, dsn, "public.readings", triggers=False) as scratch:
                ours, psql = measure(connection, server, scratch, rows, rounds)
    ratio = statistics.median(ours) / statistics.median(psql)
    print(f"probe COPY   {statistics.median(ours):12,.0f} rows/s, median of {len(ours)}")
    print(f"psql \\copy   {statistics.median(psql):12,.0f} rows/s, median of {len(psql)}")
    print(f"ratio        {ratio:12.2f}, demanded {DEMANDED}")
    return 0 if ratio >= DEMANDED else 1


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
