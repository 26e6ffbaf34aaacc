"""Each lever breaks one thing of the reference system, and puts back exactly what was."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from pydantic import ValidationError

from readiness.areas.backup.manifest import read_manifest
from readiness.areas.backup.reference.levers import newest
from readiness.areas.monitoring.probes import server
from readiness.config.loading import load
from readiness.lib import watchdog
from readiness.lib.files import sha256_of
from readiness.model.errors import ReferenceSystemError
from readiness.reference.drill import ADMIN_DSN, FOLDER
from readiness.reference.levers import Levers
from readiness.reference.system import ReferenceSystem
from readiness.servers.files import kept
from tests.support.processes import eventually

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def system() -> Iterator[ReferenceSystem]:
    with ReferenceSystem.start(provider="local", parts={"backup"}) as started:
        yield started


@pytest.fixture
def levers(system: ReferenceSystem) -> Levers:
    return system.levers


@pytest.fixture
def client(system: ReferenceSystem) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=system.service_url, trust_env=False, timeout=10) as opened:
        yield opened


def ready(client: httpx.Client) -> int:
    return client.get("/health/ready").status_code


def value(system: ReferenceSystem, sql: str, variable: str = "REFERENCE_OWNER_DSN") -> object:
    with psycopg.connect(system.environ[variable], connect_timeout=5) as connection:
        row = connection.execute(sql.encode()).fetchone()
        return row[0] if row else None


def test_configured_answer_comes_from_all_workers(levers: Levers, client: httpx.Client) -> None:
    def answers() -> set[tuple[int, str, str]]:
        found = set()
        for _ in range(20):
            with httpx.Client(base_url=client.base_url, trust_env=False) as other:
                answer = other.get("/version")
            found.add((answer.status_code, answer.headers["content-type"], answer.text[:6]))
        return found

    healthy = answers()
    with levers.behave(body={"/version": "<html>"}, content_type={"/version": "text/html"}):
        assert answers() == {(200, "text/html", "<html>")}
    with levers.behave(status={"/version": 500}):
        assert {status for status, _, _ in answers()} == {500}
    assert answers() == healthy == {(200, "application/json", '{"vers')}


def test_nested_faults_add_up_and_end_one_by_one(levers: Levers, client: httpx.Client) -> None:
    with levers.behave(status={"/version": 500}):
        with levers.behave(status={"/health": 418}, version="9.9.9"):
            assert client.get("/version").status_code == 500
            assert client.get("/health").status_code == 418
        assert client.get("/health").json()["version"] == "1.5.0"
        assert client.get("/version").status_code == 500
    assert client.get("/version").status_code == 200


def test_fault_ends_when_the_block_raises(levers: Levers, client: httpx.Client) -> None:
    with pytest.raises(ZeroDivisionError), levers.behave(status={"/version": 500}):
        raise ZeroDivisionError
    assert client.get("/version").status_code == 200


def test_unknown_switch_is_rejected(levers: Levers, client: httpx.Client) -> None:
    with pytest.raises(ValidationError), levers.behave(explode=True):
        pass
    assert client.get("/version").status_code == 200


def test_delayed_route_is_slow(levers: Levers, client: httpx.Client) -> None:
    with levers.behave(delay_ms={"/version": 300}):
        assert client.get("/version").elapsed.total_seconds() >= 0.3


def total(client: httpx.Client, label: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("http_requests_total{") and label in line
    )


def test_counters_freeze_or_ignore_errors(levers: Levers, client: httpx.Client) -> None:
    label = 'route="/api/orders/{order_id}"'
    before = total(client, label)
    with levers.behave(freeze_counters=True):
        client.get("/api/orders/1")
    assert total(client, label) == before
    with levers.behave(ignore_error_counter=True):
        client.get("/api/orders/0")
        client.get("/api/orders/1")
    assert total(client, label) == before + 1
    client.get("/api/orders/0")
    assert total(client, label) == before + 2


def test_metrics_get_duplicate_or_malformed_lines(levers: Levers, client: httpx.Client) -> None:
    def samples() -> list[str]:
        text = client.get("/metrics").text
        return [line.rpartition(" ")[0] for line in text.splitlines() if line[:1] != "#"]

    assert len(samples()) == len(set(samples()))
    with levers.behave(duplicate_series=True):
        spoiled = samples()
        assert len(spoiled) == len(set(spoiled)) + 1
    with levers.behave(malformed_metrics=True):
        assert "oops" in client.get("/metrics").text
    assert "oops" not in client.get("/metrics").text


def test_service_without_its_database_is_live_but_not_ready(
    levers: Levers, client: httpx.Client
) -> None:
    with levers.database_away():
        assert ready(client) == 503
        assert client.get("/health/live").status_code == 200
        assert client.get("/health").json()["checks"]["database"]["status"] == "fail"
        orders = client.get("/api/orders")
        assert (orders.status_code, list(orders.json())) == (503, ["error"])
        with levers.behave(ready_ignores_database=True, live_needs_database=True):
            assert ready(client) == 200
            assert client.get("/health/live").status_code == 503
    assert eventually(lambda: ready(client) == 200)


def drill(environ: dict[str, str], *arguments: str) -> int:
    return subprocess.run(
        [sys.executable, "-m", "readiness.reference.drill", *arguments],
        env={**os.environ, **environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.DEVNULL,
        timeout=30,
        check=False,
    ).returncode


def test_drill_command_closes_and_reopens_the_database(
    system: ReferenceSystem, client: httpx.Client
) -> None:
    try:
        assert drill(system.environ, "away") == 0
        assert ready(client) == 503
    finally:
        assert drill(system.environ, "back") == 0
    assert eventually(lambda: ready(client) == 200)


def test_drill_command_pauses_and_resumes_a_program(tmp_path: Path) -> None:
    environ = {FOLDER: str(tmp_path)}
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as program:
        try:
            (tmp_path / "sleeper.pid").write_text(str(program.pid))
            assert drill(environ, "pause", "sleeper") == 0
            assert eventually(lambda: watchdog._stat(program.pid)[:1] == ["T"])
            assert drill(environ, "resume", "sleeper") == 0
            assert eventually(lambda: watchdog._stat(program.pid)[:1] == ["S"])
        finally:
            program.kill()


@pytest.mark.parametrize(
    "arguments",
    [
        *([], ["sideways"], ["away"], ["pause"], ["pause", "x"]),
        *(["begin"], ["begin", "15000"], ["end"], ["crowd", "http://127.0.0.1:1"]),
    ],
)
def test_drill_command_rejects_wrong_arguments_and_missing_variables(arguments: list[str]) -> None:
    assert drill({ADMIN_DSN: "", FOLDER: ""}, *arguments) == 2


def test_database_server_stops_and_restarts(levers: Levers, client: httpx.Client) -> None:
    with levers.stop_database():
        assert ready(client) == 503
    assert eventually(lambda: ready(client) == 200)


def test_service_stops_or_hangs_and_recovers(system: ReferenceSystem, levers: Levers) -> None:
    def ask() -> int:
        url = f"{system.service_url}/health/live"
        return httpx.get(url, trust_env=False, timeout=1).status_code

    with levers.stop_service(), pytest.raises(httpx.ConnectError):
        ask()
    with levers.pause_service(), pytest.raises(httpx.TimeoutException):
        ask()
    assert eventually(lambda: ask() == 200)


def test_insert_is_slow_during_the_fault(system: ReferenceSystem, levers: Levers) -> None:
    insert = "insert into shop.products (sku, title, price_cents) values ('slow', 'x', 1)"

    def seconds() -> float:
        with psycopg.connect(system.environ["REFERENCE_APP_DSN"]) as connection:
            began = time.perf_counter()
            connection.execute(insert.encode())
            connection.rollback()
            return time.perf_counter() - began

    triggers = (
        "select count(*) from pg_trigger where tgrelid = 'shop.products'::regclass"
        " and not tgisinternal"
    )
    with levers.slow_insert("shop.products", 200):
        assert seconds() >= 0.2
    assert value(system, triggers) == 0


def test_view_is_slow_during_the_fault_with_the_same_rows(
    system: ReferenceSystem, levers: Levers
) -> None:
    definition = "select pg_get_viewdef('shop.recent_orders'::regclass)"
    count = "select count(*) from shop.recent_orders"
    before, rows = value(system, definition), value(system, count, "REFERENCE_APP_DSN")
    with levers.slow_view("shop.recent_orders", 200):
        began = time.perf_counter()
        assert value(system, count, "REFERENCE_APP_DSN") == rows
        assert time.perf_counter() - began >= 0.2
    assert value(system, definition) == before


def test_index_is_missing_during_the_fault(system: ReferenceSystem, levers: Levers) -> None:
    definition = (
        "select indexdef from pg_indexes where indexname = 'orders_customer_id_idx'"
        " and schemaname = 'shop'"
    )
    before = value(system, definition)
    assert before is not None
    with levers.drop_index("shop.orders_customer_id_idx"):
        assert value(system, definition) is None
    assert value(system, definition) == before


def test_privileges_are_missing_during_the_fault(system: ReferenceSystem, levers: Levers) -> None:
    allowed = "select has_table_privilege('shop_app', 'shop.orders', 'select')"
    member = "select pg_has_role('shop_monitor', 'pg_monitor', 'member')"
    with (
        levers.revoke("select", on="shop.orders", of="shop_app"),
        levers.revoke("pg_monitor", of="shop_monitor"),
    ):
        assert (value(system, allowed), value(system, member)) == (False, False)
    assert (value(system, allowed), value(system, member)) == (True, True)


def test_each_customer_is_a_series_during_the_fault(levers: Levers, client: httpx.Client) -> None:
    def series() -> int:
        return client.get("/metrics").text.count("orders_by_customer{")

    with levers.behave(series_by_customer=True):
        assert series() == 5000
    assert series() == 0


def test_share_of_the_monitoring_role_is_forgotten_after_the_fault(
    system: ReferenceSystem, levers: Levers
) -> None:
    database = load(system.config_path, system.environ).config.named().databases["shop"]
    before = server.times(database)
    with levers.busy_monitoring(share=0.1):
        assert server.times(database).share > 0.1
    assert server.times(database).own_s < before.own_s + 1


def test_environment_is_production_during_the_fault(
    system: ReferenceSystem, levers: Levers, client: httpx.Client
) -> None:
    marker = "select environment from public.readiness_marker"
    with levers.set_environment_marker("production"):
        assert value(system, marker) == "production"
        assert client.get("/version").json()["environment"] == "production"
    assert value(system, marker) == "reference"
    assert client.get("/version").json()["environment"] == "reference"


def test_configuration_is_restored_byte_for_byte(system: ReferenceSystem, levers: Levers) -> None:
    path = system.config_path
    before, modified = path.read_bytes(), path.stat().st_mtime_ns
    with levers.replace_in_config('name = "reference"', 'name = "other"'):
        assert b'name = "other"' in path.read_bytes()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, modified)
    with pytest.raises(ReferenceSystemError, match="not found"):
        levers.replace_in_config("no such text", "x").__enter__()


def test_program_that_is_not_running_cannot_be_stopped(levers: Levers) -> None:
    with pytest.raises(ReferenceSystemError, match="prometheus is not running"):
        levers.stop_program("prometheus")


def test_folder_is_restored_with_its_times(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"\x00old")
    os.utime(old, ns=(1_000, 2_000))
    with kept(tmp_path):
        old.unlink()
        new.touch()
    assert (old.read_bytes(), old.stat().st_mtime_ns) == (b"\x00old", 2_000)
    assert not new.exists()


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


def test_backups_are_restored_byte_for_byte(system: ReferenceSystem, levers: Levers) -> None:
    folder = system.folder / "backups"
    before = snapshot(folder)
    assert {Path(name).suffix for name in before} == {".dump", ".json"}
    for lever in (
        levers.age_backup(48),
        levers.truncate_backup(),
        levers.remove_backups(),
        levers.drop_rows_from_backup(),
        levers.dump_without_role(),
        levers.backups.shrunk(),
        levers.backups.without_old(),
        levers.backups.made_of("select setval('shop.orders_order_id_seq', 1)"),
    ):
        with lever:
            assert snapshot(folder) != before
        assert snapshot(folder) == before


def test_damaged_dump_has_a_matching_manifest(system: ReferenceSystem, levers: Levers) -> None:
    folder = system.folder / "backups"
    dump = newest(folder)
    manifest = dump.with_suffix(".manifest.json")
    healthy = read_manifest(manifest)
    with levers.drop_rows_from_backup():
        spoiled = read_manifest(manifest)
        assert spoiled.sha256 == sha256_of(dump) != healthy.sha256
        assert spoiled.tables == healthy.tables
    with levers.age_backup(48):
        assert (healthy.finished_at - read_manifest(manifest).finished_at).total_seconds() == 172800


def test_layers_copy_and_store_are_restored_byte_for_byte(
    system: ReferenceSystem, levers: Levers
) -> None:
    for name, lever in (
        ("layers", levers.backups.layer_missing("globals.sql")),
        ("layers", levers.backups.layer_cut_off("schema.sql")),
        ("offsite", levers.backups.copy_stopped()),
        ("offsite", levers.backups.copy_cut_off()),
        ("vault", levers.backups.vault_opened()),
    ):
        before = snapshot(system.folder / name)
        with lever:
            assert snapshot(system.folder / name) != before
        assert snapshot(system.folder / name) == before
