"""What the levers on the database act on: it, its standby and the PgBouncer in front of it.

Also the past that it is given, as a database without use gives no figures. Its customers are
invented: they run statements directly, as the role of the service, as a session that ends hands
over its counters at once. The history is real snapshots of its database, dated back: hourly for a
day, daily for forty days before that. How they are taken, stored and judged is not invented.
"""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

import psycopg
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from readiness.areas.database.config import Bloat
from readiness.areas.database.probes import bloat, counters
from readiness.areas.database.snapshots import BloatSnapshot, Snapshot, Store
from readiness.lib import postgres
from readiness.lib.guardian import Guardian
from readiness.model.errors import ReadinessError, ReferenceSystemError
from readiness.model.secrets import Dsn
from readiness.servers import programs
from readiness.servers.binaries import reachable_folder, server_account
from readiness.servers.files import write_whole
from readiness.servers.postgres import PrivatePostgres, PrivateStandby, loopback_dsn
from readiness.servers.processes import free_port
from readiness.servers.programs import WITHOUT, refused
from readiness.servers.shop import NAME, Server, Shop

POOL_SIZE: Final = 2
"""Connections that a pool may have to the server."""

_START_TIMEOUT_S: Final = 20.0
_STOP_TIMEOUT_S: Final = 10.0
_PORT_ATTEMPTS: Final = 3
_INI: Final = """\
[databases]
{name} = host=127.0.0.1 port={server_port} dbname={name} pool_size={size}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {users}
stats_users = {monitor}
admin_users = {owner}
pool_mode = transaction
max_client_conn = 100
server_login_retry = 1
ignore_startup_parameters = extra_float_digits
"""


@dataclass(slots=True)
class Pooler:
    """A running PgBouncer, with the roles of the shop."""

    port: int
    shop: Shop
    process: subprocess.Popen[bytes]

    @property
    def console(self) -> str:
        """The console, as the monitoring role."""
        return self._dsn(self.shop.monitor, "pgbouncer")

    @property
    def admin(self) -> str:
        """The console, as a role that may pause databases."""
        return self._dsn(self.shop.owner, "pgbouncer")

    @property
    def client(self) -> str:
        """The shop's database through the pooler, as the owner of its schema."""
        return self._dsn(self.shop.owner, NAME)

    def stop(self) -> None:
        """End it. Harmless when it has ended already."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(_STOP_TIMEOUT_S)

    def _dsn(self, like: str, database: str) -> str:
        parts = urlsplit(like)
        return loopback_dsn(self.port, database, parts.username or "", parts.password or "")


def start_pooler(shop: Shop, folder: Path, guardian: Guardian) -> tuple[Pooler | None, str]:
    """Start PgBouncer in front of the shop; else the reason why there is none.

    Raises:
        ReferenceSystemError: it is installed, and does not start.
    """
    try:
        program = programs.get(programs.PGBOUNCER)
    except programs.AbsentError as problem:
        return None, problem.sentence
    home = reachable_folder(folder, server_account())
    if home != folder.resolve():
        guardian.remove(home)
    for _ in range(_PORT_ATTEMPTS):
        port = free_port()
        process = _spawn(program, _configure(shop, home, port), guardian)
        pooler = Pooler(port, shop, process)
        if _answers(pooler):
            return pooler, ""
    raise ReferenceSystemError("pgbouncer ended at once", where=str(home / "pgbouncer.log"))


def _configure(shop: Shop, folder: Path, port: int) -> Path:
    """Write its configuration, which only the account that it runs as can read."""
    account = server_account()
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    roles = {url.username: url.password for url in map(urlsplit, (shop.monitor, shop.owner))}
    users, ini = folder / "users.txt", folder / "pgbouncer.ini"
    values = {
        "name": NAME,
        "port": port,
        "server_port": urlsplit(shop.owner).port,
        "size": POOL_SIZE,
        "users": users,
        "monitor": urlsplit(shop.monitor).username,
        "owner": urlsplit(shop.owner).username,
    }
    for path, text in (
        (users, "".join(f'"{name}" "{password}"\n' for name, password in roles.items())),
        (ini, _INI.format(**values)),
    ):
        path.touch()
        account.own(path)
        path.write_text(text, encoding="utf-8")
    return ini


def _spawn(program: str, ini: Path, guardian: Guardian) -> subprocess.Popen[bytes]:
    with (ini.parent / "pgbouncer.log").open("ab") as log:
        process = subprocess.Popen(
            [program, "--quiet", ini],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **guardian.environ},
            start_new_session=True,
            **server_account().popen,
        )
    guardian.kill(process.pid)
    return process


def _answers(pooler: Pooler) -> bool:
    """Wait until it answers; False if it ended, as it does when its port is taken."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and pooler.process.poll() is None:
        try:
            psycopg.connect(pooler.console, connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return True
    return False


STANDBY: Final = "replica"
_SLOT: Final = "readiness_replica"


def start_standby(
    server: Server, shop: Shop, folder: Path, guardian: Guardian
) -> tuple[PrivateStandby | None, str]:
    """Start a standby, where the provider supports one; else the reason why there is none."""
    if not isinstance(server, PrivatePostgres):
        return None, "the reference system has a standby only of a server on this machine"
    if refused("pg_basebackup"):
        return None, f"pg_basebackup must not be used: ${WITHOUT} names it"
    try:
        server.binaries.program("pg_basebackup")
        dsn = f"{shop.replica}?application_name={STANDBY}"
        standby = PrivateStandby.follow(server, folder, dsn=dsn, slot=_SLOT, guardian=guardian)
    except ReadinessError as problem:
        return None, problem.sentence
    return standby, ""


@dataclass(frozen=True, slots=True)
class DatabaseParts:
    """The server, its standby and pooler, and how to reach the shop's database.

    `config` is the system's readiness.toml, `history` the file of the database's snapshots.
    """

    server: Server
    standby: PrivateStandby | None
    pooler: Pooler | None
    shop: Shop
    config: Path
    history: Path


FILE: Final = "statements.prom"
_VISITS: Final = 60
# Each of the shop's plain indexes is used by one of them.
_DONE: Final[Mapping[str, str]] = {
    "orders-of-a-customer": """select order_id, status, total_cents from shop.orders
        where customer_id = %(n)s order by created_at desc limit 10""",
    "orders-of-these-hours": """select order_id, status, total_cents from shop.orders
        where created_at > now() - interval '1 hour' * %(n)s order by created_at desc limit 10""",
    "new-orders": """select order_id from shop.orders
        where status = 'new' order by order_id desc limit %(n)s""",
    "gifts": """select order_id from shop.orders
        where note is not null and note like 'gift %%' limit %(n)s""",
    "items-of-an-order": "select product_id, quantity from shop.order_items where order_id = %(n)s",
    "sold-of-a-product": "select sum(quantity) from shop.order_items where product_id = %(n)s",
}
REPORT: Final[Mapping[str, str]] = {
    "monthly-report": """select count(*) as monthly_report,
        pg_sleep(case when %(n)s::int %% 10 = 0 then 0.7 else 0 end) from shop.products limit 1"""
}
"""A statement that is quick nine times of ten, and takes 0.7 s the tenth."""


def visit(dsn: str, timings: Path, more: Mapping[str, str] | None = None) -> None:
    """Let some customers look at what they ordered, and the shop at what it sold.

    Args:
        dsn: the database, as the role of the service.
        timings: the file for the durations of the statements, in Prometheus's text format; the
            service serves it with its metrics.
        more: statements that run beside the usual ones, by name; with `n` from 1 to 60.
    """
    registry = CollectorRegistry()
    taken = Histogram(
        "db_statement_duration_seconds",
        "Time that a statement took.",
        ["statement"],
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
        registry=registry,
    )
    with psycopg.connect(dsn, autocommit=True) as connection:
        # The tables are small: the planner would read them whole, as it does not in a real shop.
        connection.execute("set enable_seqscan = off")
        for name, statement in {**_DONE, **(more or {})}.items():
            for number in range(1, _VISITS + 1):
                began = perf_counter()
                connection.execute(statement.encode(), {"n": number}, prepare=False)
                taken.labels(name).observe(perf_counter() - began)
    write_whole(timings, generate_latest(registry))


KEEP_DAYS: Final = 400
DAYS: Final = 40
_HOUR_S: Final = 3600.0
_DAY_S: Final = 86400.0
_TIMEOUT_S: Final = 20.0
# The last one of the invented past, before the server really started.
_BEFORE_START_S: Final = 60.0


def taken(dsn: str) -> tuple[Snapshot, BloatSnapshot | None]:
    """Real snapshots of the database as it is now; the second where bloat can be measured."""
    with postgres.connect(Dsn(dsn), timeout_s=_TIMEOUT_S) as connection:
        usage = counters.take(connection)
        if not bloat.can_measure(connection):
            return usage, None
        return usage, bloat.take(connection, Bloat())


def begin(path: Path, usage: Snapshot, bloated: BloatSnapshot | None) -> None:
    """Write a history of forty days that ends now."""
    now = [bloated] if bloated else []
    Store(path).append(*_dated_back(usage), usage, *now, keep_days=KEEP_DAYS)


def _dated_back(usage: Snapshot) -> Iterator[Snapshot]:
    ends = usage.server.started - _BEFORE_START_S
    hours = [ends - number * _HOUR_S for number in range(25)]
    days = [ends - number * _DAY_S for number in range(2, DAYS + 1)]
    began = ends - (DAYS + 1) * _DAY_S
    server = usage.server.model_copy(update={"started": began, "counters_since": began})
    since = {"statements_since": began} if usage.statements_since is not None else {}
    for at in sorted(days + hours):
        yield usage.model_copy(update={"at": at, "server": server, **since})
