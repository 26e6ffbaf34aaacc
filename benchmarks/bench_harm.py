"""What the observing checks, and the commands beside them, take of a server with 3,000 tables.

They have 15,000 indexes, the server has its default settings, and all tables together need more
locks than it has. An application runs beside: one that touches 200 tables in a transaction, and
one that takes two thirds of all locks. Neither may see an error.

PYTHONPATH=. python benchmarks/bench_harm.py [TABLES]
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import psycopg

from readiness.areas.backup.manifest import write_backup
from readiness.lib.postgres.batches import Room
from readiness.model.record import RunRecord
from readiness.servers.postgres import PrivatePostgres
from tests.support import crowded_database as crowd

_ROOM: Final = Room(64, sessions=100, taken=0)
"""Of a server with default settings."""
_WORKERS: Final = 2
_GREEDY: Final = 1 / 4
"""Of the tables, what one transaction touches; each takes six locks: 4,500 of 6,400."""
_FEW: Final = 4
"""Sessions of ours at one time: one for each worker, and one more for what takes two."""
_LONGEST_S: Final = 30.0
_MEMORY: Final = 160 * 2**20
"""Of the server's process for one session: it remembers each relation that it looked at."""
_ENTRIES: Final = crowd.ENTRIES // 2
_TIMEOUT_S: Final = 1800
# Whatever else is declared makes more checks run.
_MORE: Final = f"""
create role app login password '{crowd.PASSWORD}';
grant usage on schema crowd to app;
create table crowd.notes (id bigint primary key, tenant text not null, body text);
insert into crowd.notes select n, 'tenant' || n % 3, 'text' from generate_series(1, 3000) n;
create table crowd.copies as select * from crowd.notes;
alter table crowd.copies add primary key (id);
alter table crowd.notes enable row level security;
create policy own on crowd.notes to app using (tenant = current_setting('app.tenant', true));
alter role {crowd.MONITOR} bypassrls;
grant execute on function bt_index_check(regclass, boolean) to {crowd.MONITOR};
grant execute on function verify_heapam(regclass, boolean, boolean, text, bigint, bigint)
  to {crowd.MONITOR};
grant select, insert, update, delete on crowd.notes to app;
create table public.schema_migrations (version text primary key);
insert into public.schema_migrations values ('0001');
grant select on public.schema_migrations to {crowd.MONITOR}"""  # noqa: S608 - our names
_CONFIG: Final = """
app_dsn = "${{APP}}"
row_security = ["crowd.notes"]
[databases.crowded.schema.rows."crowd.t1"]
[databases.crowded.schema.tenancy."crowd.notes"]
column = "tenant"
tenants = ["tenant0", "tenant1"]
setting = "app.tenant"
[databases.crowded.history]
path = '{folder}/crowded.history'
[databases.crowded.migrations]
tool = "sql"
folder = '{folder}/migrations'
[databases.crowded.transfers.notes]
strategy = "full-copy"
[databases.crowded.transfers.notes.tables."crowd.notes"]
to = "crowd.copies"
key = {{ id = "id" }}
columns = {{ body = "body" }}
"""


@dataclass(frozen=True, slots=True)
class Work:
    """Something of ours, and the share of the tables that the application beside it touches.

    Attributes:
        most: locks that our sessions may hold at one time, without those of `pg_dump`.
        dumps: it runs `pg_dump`, which needs a lock for each table.
    """

    name: str
    do: Callable[[], object]
    touched: float = crowd.MODEST
    most: int = _WORKERS * _ROOM.batch
    dumps: bool = False


def main(tables: int = 3000) -> int:
    """0 if nothing of it harms the application or takes more than it may."""
    with (
        tempfile.TemporaryDirectory() as name,
        PrivatePostgres.start(
            Path(name) / "postgres", settings=crowd.settings(_ROOM.each)
        ) as server,
    ):
        folder, began = Path(name), time.monotonic()
        crowd.fill(server, tables)
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(_MORE.encode())
            connection.execute("select pg_stat_statements_reset()")
        made_s = time.monotonic() - began
        print(f"{tables} tables and {tables * crowd.INDEXES} indexes, made in {made_s:.0f} s")
        print("work                            s  locks  sessions  longest  memory  entries")
        harmless = [_is_harmless(work, server, tables) for work in _all(server, folder)]
    return 0 if all(harmless) else 1


def _all(server: PrivatePostgres, folder: Path) -> list[Work]:
    config = folder / "readiness.toml"
    text = crowd.CONFIG.format(manifest=folder / "schema.json") + _CONFIG.format(folder=folder)
    config.write_text(text, encoding="utf-8")
    migrations = folder / "migrations"
    migrations.mkdir()
    (migrations / "0001_first.up.sql").write_text("create table public.first (id int);")
    (migrations / "0001_first.down.sql").write_text("drop table public.first;")
    environ = {
        "DSN": server.dsn(user=crowd.MONITOR, password=crowd.PASSWORD),
        "APP": server.dsn(user="app", password=crowd.PASSWORD),
    }
    command = partial(_command, folder=folder, environ=os.environ | environ)
    return [
        Work("readiness doctor", partial(command, ["doctor"])),
        Work("readiness schema save", partial(command, ["schema", "save", "crowded"])),
        Work("readiness snapshot", partial(command, ["snapshot"])),
        Work("all checks", partial(_checks, command, folder)),
        Work("all checks, few locks left", partial(_checks, command, folder), _GREEDY),
        Work("backup and its manifest", lambda: write_backup(server.dsn(), folder), dumps=True),
    ]


def _checks(command: Callable[[Sequence[str]], None], folder: Path) -> None:
    suites = ("--suite", "database", "--suite", "schema")
    command(["run", *suites, "-n", str(_WORKERS), "--report-only", "--reports", str(folder / "r")])
    record = RunRecord.model_validate_json((folder / "r" / "readiness.json").read_bytes())
    ran = [check for check in record.checks if check.duration_s]
    errors = [f"{check.name}: {check.message}" for check in ran if check.outcome == "error"]
    print(f"{len(ran)} checks, {sum(c.duration_s for c in ran):.0f} s together", *errors, sep="\n")


def _command(arguments: Sequence[str], *, folder: Path, environ: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "readiness", *arguments],
        cwd=folder, env=environ, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
    )  # fmt: skip
    if done.returncode:
        print(f"{arguments[0]} ended with {done.returncode}: {done.stderr[-500:]}")


def _is_harmless(work: Work, server: PrivatePostgres, tables: int) -> bool:
    """Do it beside an application, print what it took, and say whether that is little enough."""
    before, began = crowd.statements(server), time.monotonic()
    with crowd.application(server.dsn(), tables, work.touched) as beside:
        work.do()
    lasted_s, entries = time.monotonic() - began, crowd.statements(server) - before
    evicted = crowd.evictions(server)
    print(
        f"{work.name:28}{lasted_s:5.0f}{beside.together:7}{beside.sessions:10}"
        f"{beside.longest_s:7.1f} s{beside.memory / 2**20:6.0f} M{entries:9}\n"
        f"    {beside.transactions} transactions of the application, {len(beside.errors)} failed;"
        f" {evicted} evictions",
        flush=True,
    )
    return (
        not beside.errors
        and bool(beside.transactions)
        and not evicted
        and (work.dumps or 0 < beside.together <= work.most)
        and beside.sessions <= _FEW
        and (work.dumps or beside.longest_s <= _LONGEST_S)
        and beside.memory <= _MEMORY
        and entries <= _ENTRIES
    )


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
