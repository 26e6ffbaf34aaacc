"""What the probes are held against: real servers, private to the test session."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from readiness.lib.guardian import Guardian
from readiness.model.errors import ReadinessError
from readiness.model.secrets import Dsn
from readiness.servers import programs
from readiness.servers.binaries import Binaries, server_account
from readiness.servers.fleet.releases import NEW
from readiness.servers.fleet.starting import Fleet, make_store, start_fleet
from readiness.servers.postgres import PrivatePostgres
from readiness.servers.processes import free_port
from tests.matrix import SERVER
from tests.support.docker_engine import NEEDED, docker_engine
from tests.support.processes import eventually, needed, reachable

_numbers = count(1)
_CLIENTS = {"binaries"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a server and no client programs: tests/matrix.py runs it on each release."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        clients = names & _CLIENTS or item.get_closest_marker("clients")
        if "server" in names and not clients:
            item.add_marker("server")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    """A PostgreSQL server of our own."""
    folder = tmp_path_factory.mktemp("postgres")
    binaries = _server_of_the_matrix()
    settings = {"fsync": "off"}
    with PrivatePostgres.start(folder, binaries=binaries, settings=settings) as running:
        yield running


@pytest.fixture(scope="session")
def fleet_store(server: PrivatePostgres) -> str:
    """The DSN of a database for the notes of a fleet; one fleet after the other may use it."""
    return make_store(server)


@pytest.fixture(scope="module")
def fleet(fleet_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet of the reference system; whoever changes it puts it back."""
    folder = tmp_path_factory.mktemp("fleet") / "fleet"
    with Guardian() as guardian:
        started = start_fleet(fleet_store, NEW, folder, guardian)
        assert isinstance(started, Fleet), started
        try:
            yield started
        finally:
            started.daemon.stop()


def _server_of_the_matrix() -> Binaries | None:
    """The release that tests/matrix.py is at; it has no programs but the server's."""
    folder = os.environ.get(SERVER)
    if not folder:
        return None
    said = subprocess.run(
        [f"{folder}/postgres", "--version"], capture_output=True, text=True, check=True
    )
    return Binaries(Path(folder), said.stdout.split()[2], "local")


@pytest.fixture(scope="session")
def docker_host() -> Iterator[str]:
    """The address of a Docker engine of our own."""
    with ExitStack() as stack:
        try:
            address = stack.enter_context(docker_engine())
        except ReadinessError as error:
            if os.environ.get(NEEDED):
                pytest.fail(f"{NEEDED} is set, and no engine can be started: {error}")
            pytest.skip(f"no Docker engine can be started: {error.sentence}")
        yield address


@pytest.fixture
def dsn(server: PrivatePostgres) -> Dsn:
    """A new, empty database, as its superuser."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return Dsn(server.dsn(name))


Run = Callable[[str], None]


@pytest.fixture
def run(dsn: Dsn) -> Run:
    """Runs SQL statements in the database."""

    def run_sql(text: str) -> None:
        with psycopg.connect(dsn.reveal(), autocommit=True) as connection:
            connection.execute(text)

    return run_sql


@pytest.fixture
def role(server: PrivatePostgres, dsn: Dsn) -> Dsn:
    """The same database, as a role with a password and no rights at all."""
    name = f"role_{next(_numbers)}"
    with psycopg.connect(dsn.reveal(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("create role {} login password 'correct horse'").format(sql.Identifier(name))
        )
    database = dsn.address.rpartition("/")[2]
    return Dsn(server.dsn(database, user=name, password="correct horse"))


@pytest.fixture
def shop(dsn: Dsn, run: Run) -> Dsn:
    """A database with customers and orders, a foreign key, and unique keys."""
    run(
        """
        create schema shop;
        create table shop.customers (id int primary key, email text not null);
        create unique index on shop.customers (lower(email));
        create table shop.orders (
            id bigserial primary key,
            customer_id int not null references shop.customers,
            placed_at timestamptz not null default now(),
            amount numeric(10, 2) not null check (amount > 0),
            note text);
        create index on shop.orders (customer_id);
        insert into shop.customers select n, n || '@example.org' from generate_series(1, 20) n;
        insert into shop.orders (customer_id, amount, note)
            select 1 + n % 20, n, E'a \\t tab, a \\\\ and ü' from generate_series(1, 500) n;
        """
    )
    return dsn


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for backups."""
    made = tmp_path / "backups"
    made.mkdir()
    return made


@pytest.fixture
def pooler(server: PrivatePostgres, tmp_path: Path) -> Iterator[str]:
    """The address of a PgBouncer with one connection to the server, without its database.

    Clients share it, transaction by transaction.
    """
    program = needed(programs.PGBOUNCER)
    port = free_port()
    account = server_account()
    with reachable(tmp_path, account) as folder:
        ini = folder / "pgbouncer.ini"
        ini.write_text(
            f"[databases]\nshop = host=127.0.0.1 port={server.port} dbname=postgres user=postgres"
            f" password={server.password} pool_size=1\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\nadmin_users = any\n"
            "pool_mode = transaction\n"
        )
        ini.chmod(0o644)
        process = subprocess.Popen([program, "-q", ini], cwd="/", **account.popen)
        try:
            base = f"postgresql://any@127.0.0.1:{port}/"
            assert eventually(lambda: _connects(f"{base}pgbouncer"))
            yield base
        finally:
            process.terminate()
            process.wait(10)


def _connects(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
