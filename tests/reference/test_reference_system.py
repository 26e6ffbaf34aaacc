"""The reference system starts, does what it says, and leaves nothing."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
import tomlkit

from readiness.config.loading import load
from readiness.config.models import Config
from readiness.lib import bundle, watchdog
from readiness.model.errors import ReferenceSystemError
from readiness.model.evidence import Outcome
from readiness.model.record import Verdict
from readiness.reference.system import STARTABLE, ReferenceSystem
from readiness.run import catalogue, marker
from readiness.run.progress import Silent
from readiness.run.safety import fingerprint
from readiness.run.supervisor import Options, run
from readiness.servers import programs
from tests.support.processes import eventually

pytestmark = pytest.mark.contract
IN_THE_README = {"api": "orders"}
"""The names that the README gives to parts of the reference system."""
NEEDS_TABLES = {"restore_level", "bad_release"}
"""Keys that ask for others, which the file of the README does not have."""


@pytest.fixture(scope="module")
def system() -> Iterator[ReferenceSystem]:
    with ReferenceSystem.start(provider="local") as started:
        yield started


@pytest.fixture
def client(system: ReferenceSystem) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=system.service_url, trust_env=False, timeout=10) as opened:
        yield opened


def config_of(system: ReferenceSystem) -> Config:
    return load(system.config_path, system.environ).config


def messages(system: ReferenceSystem, channel: str) -> list[dict[str, str]]:
    answer = httpx.get(f"{system.inbox_url}/messages", params={"channel": channel}, trust_env=False)
    found: list[dict[str, str]] = answer.json()
    return found


def arrived(system: ReferenceSystem, channel: str, word: str) -> bool:
    return any(word in f"{m['body']} {m.get('subject')}" for m in messages(system, channel))


def test_configuration_is_valid_and_contains_no_secret(system: ReferenceSystem) -> None:
    config = config_of(system).named()
    assert config.target.environment == "reference"
    assert {effect.value for effect in config.target.allow} == {
        "observe",
        "write",
        "load",
        "disrupt",
    }
    assert config.services["orders"].url == system.service_url
    assert {query.name for query in config.performance.queries} == {
        "orders-of-a-customer",
        "recent-orders",
    }
    assert config.signoffs is not None
    assert {signed.item for signed in config.signoff} == set(config.signoffs.required)
    text = system.config_path.read_text()
    passwords = [
        urlsplit(value).password or urlsplit(value).username or value
        for name, value in system.environ.items()
        if not name.endswith(("FOLDER", "VAULT", "BIN"))
    ]
    assert len(passwords) >= 12
    assert not [password for password in passwords if str(password) in text]


def test_every_configured_query_returns_rows(system: ReferenceSystem) -> None:
    for query in config_of(system).performance.queries:
        for values in query.params:
            with psycopg.connect(query.dsn.reveal()) as connection:
                assert connection.execute(query.sql.encode(), values or None).fetchall()


def test_configured_write_path_stores_and_cleans_up(
    system: ReferenceSystem, client: httpx.Client
) -> None:
    path = config_of(system).performance.ingest[0].write_path
    assert path is not None
    body = path.body.replace("{n}", "12345")
    with psycopg.connect(path.dsn.reveal(), autocommit=True) as connection:
        answer = client.request(path.method, path.path, content=body)
        assert answer.status_code == 201, answer.text
        assert len(answer.json()["order_ids"]) == path.rows_per_request
        count = connection.execute(path.count_sql.encode()).fetchone()
        assert count == (path.rows_per_request,)
        connection.execute(path.cleanup_sql.encode())
        assert connection.execute(path.count_sql.encode()).fetchone() == (0,)


def test_database_has_its_rows_indexes_and_marker(system: ReferenceSystem) -> None:
    with psycopg.connect(system.environ["REFERENCE_MONITOR_DSN"]) as connection:
        rows = connection.execute(
            "select (select count(*) from shop.customers) + (select count(*) from shop.products)"
            " + (select count(*) from shop.orders) + (select count(*) from shop.order_items)"
        ).fetchone()
        assert rows is not None
        assert 90_000 < rows[0] < 110_000
        unindexed = connection.execute(
            "select conname from pg_constraint c where contype = 'f' and not exists ("
            " select 1 from pg_index i where i.indrelid = c.conrelid"
            " and i.indkey[0] = c.conkey[1])"
        ).fetchall()
        assert unindexed == []
        marker = connection.execute("select environment from readiness_marker").fetchone()
        assert marker == ("reference",)


def test_health_reports_status_version_uptime_and_checks(client: httpx.Client) -> None:
    answer = client.get("/health")
    body = answer.json()
    assert (answer.status_code, body["status"], body["version"]) == (200, "ok", "1.5.0")
    assert body["uptime_s"] > 0
    assert body["checks"]["database"]["latency_ms"] > 0
    assert body["checks"]["memory"]["resident_bytes"] > 0
    assert body["checks"]["environment"] == {"status": "ok", "name": "reference", "missing": []}


def test_version_reports_the_environment(client: httpx.Client) -> None:
    assert client.get("/version").json() == {
        "version": "1.5.0",
        "commit": "c41e8ab",
        "environment": "reference",
    }


@pytest.mark.parametrize("number", ["0", "-1", "abc", "9" * 30, "²"])
def test_unknown_order_is_a_404_in_json(client: httpx.Client, number: str) -> None:
    answer = client.get(f"/api/orders/{number}")
    assert answer.status_code == 404
    assert answer.json() == {"error": "no such order"}


@pytest.mark.parametrize(
    "body",
    [
        "nonsense",
        "[]",
        '{"customer_id": 1}',
        '{"customer_id": 0, "product_id": 1}',
        '{"customer_id": 1, "product_id": 1, "surprise": 1}',
        '{"customer_id": 1, "product_id": 99999}',
        '{"customer_id": 99999, "product_id": 1}',
        '[{"customer_id": 1, "product_id": 1}, {"customer_id": 1, "product_id": 99999}]',
        "[" + ",".join(['{"customer_id": 1, "product_id": 1}'] * 1001) + "]",
    ],
)
def test_invalid_order_is_rejected_and_not_stored(
    system: ReferenceSystem, client: httpx.Client, body: str
) -> None:
    with psycopg.connect(system.environ["REFERENCE_APP_DSN"], autocommit=True) as connection:
        before = connection.execute("select count(*) from shop.orders").fetchone()
        answer = client.post("/api/orders", content=body)
        assert answer.status_code == 422
        assert set(answer.json()) == {"error"}
        assert connection.execute("select count(*) from shop.orders").fetchone() == before


def test_body_over_the_limit_is_rejected(client: httpx.Client) -> None:
    assert client.post("/api/orders", content=b"[" + b" " * (1 << 20)).status_code == 413


def test_orders_are_listed_and_filtered(client: httpx.Client) -> None:
    found = client.get("/api/orders", params={"limit": 5, "status": "paid"}).json()["orders"]
    assert [order["status"] for order in found] == ["paid"] * 5
    assert {order["currency"] for order in found} == {"EUR"}
    assert client.get("/api/orders", params={"limit": "0"}).status_code == 422
    assert client.get("/api/orders", params={"status": "lost"}).status_code == 422


@pytest.mark.parametrize(
    ("path", "header", "variable", "prefix"),
    [
        ("/admin/maintenance", "authorization", "REFERENCE_ADMIN_TOKEN", "Bearer "),
        ("/cron/expire-orders", "x-cron-secret", "REFERENCE_CRON_SECRET", ""),
    ],
)
def test_protected_paths_require_their_secret(
    system: ReferenceSystem,
    client: httpx.Client,
    path: str,
    header: str,
    variable: str,
    prefix: str,
) -> None:
    assert client.post(path).status_code == 401
    assert client.post(path, headers={header: f"{prefix}wrong"}).status_code == 401
    good = client.post(path, headers={header: prefix + system.environ[variable]})
    assert (good.status_code, sum(good.json().values())) == (200, 0)


def test_pool_statistics_require_the_admin_token(
    system: ReferenceSystem, client: httpx.Client
) -> None:
    assert client.get("/admin/stats").status_code == 401
    token = system.environ["REFERENCE_ADMIN_TOKEN"]
    good = client.get("/admin/stats", headers={"authorization": f"Bearer {token}"})
    assert good.json()["pool_size"] >= 1


def counter(client: httpx.Client, *labels: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    found = [
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("http_requests_total{") and all(label in line for label in labels)
    ]
    return sum(found)


def test_all_workers_count_together_by_route(client: httpx.Client) -> None:
    labels = ('route="/api/orders/{order_id}"', 'method="GET"', 'status="200"')
    before = counter(client, *labels)
    for number in range(1, 31):
        # A connection of its own for each, so that both workers get some.
        with httpx.Client(base_url=client.base_url, trust_env=False) as other:
            other.get(f"/api/orders/{number}")
    assert counter(client, *labels) - before == 30
    assert "/api/orders/1" not in client.get("/metrics").text


def test_absent_parts_have_a_reason(system: ReferenceSystem) -> None:
    assert system.provider == "local"
    assert not [reason for reason in system.absent.values() if not reason]


def as_in_the_readme(system: ReferenceSystem, folder: Path) -> Path:
    """Of the reference system's file only the tables that the first file in the README has."""
    blocks = re.findall(r"```toml\n(.*?)```", (bundle.root() / "README.md").read_text(), re.DOTALL)
    first = tomlkit.parse(blocks[0]).unwrap()
    whole = tomlkit.parse(system.config_path.read_text()).unwrap()

    def kept(own: dict[str, Any], readme: dict[str, Any]) -> dict[str, Any]:
        names = {IN_THE_README.get(name, name): table for name, table in readme.items()}
        return {
            key: kept(value, names[key]) if isinstance(value, dict) else value
            for key, value in own.items()
            if key not in NEEDS_TABLES and (not isinstance(value, dict | list) or key in names)
        }

    # What this machine lacks is excused in the reference system's own file.
    asked = {
        **kept(whole, first),
        "not_applicable": [*first["not_applicable"], *whole.get("not_applicable", [])],
    }
    path = folder / "readiness.toml"
    path.write_text(tomlkit.dumps(asked))
    return path


def test_the_first_file_of_the_readme_becomes_ready(
    system: ReferenceSystem, tmp_path: Path
) -> None:
    loaded = load(as_in_the_readme(system, tmp_path), os.environ | system.environ)
    assert loaded.config.gate.profile == "core"
    seen = marker.environment(loaded.config)
    ended = run(
        Options(
            loaded, tmp_path / "reports", allow=("load", "disrupt"), workers="2",
            confirm=fingerprint(loaded.config, seen.environment), environ=system.environ,
        ),
        Silent(),
    )  # fmt: skip
    assert ended.record, ended.refusal
    assert ended.record.verdict is Verdict.READY, ended.record.reasons
    # On the first day nothing is known of the days before; it is a minor, and says what to do.
    missed = {check.id for check in ended.record.checks if check.outcome is Outcome.FAIL}
    assert missed <= {"database.counters"}
    covered = ended.record.coverage
    # It declares no [configuration] and no [security], and so needs none of their checks.
    undeclared = {"configuration", "security"}
    core = {
        entry.spec.id
        for entry in catalogue.entries()
        if entry.spec.core and entry.spec.suite not in undeclared
    }
    judged = {check.id for check in ended.record.checks if check.is_judged}
    excused = {c.id for c in ended.record.checks if c.outcome is Outcome.NOT_APPLICABLE}
    assert core <= judged | excused | {"signoff.manual-items"}
    assert covered.required == covered.judged + covered.excused > len(core)


@pytest.mark.fast
def test_prometheus_scrapes_every_job(system: ReferenceSystem) -> None:
    prometheus = config_of(system).prometheus
    if prometheus is None:
        pytest.skip(system.absent["prometheus"])

    def up() -> dict[str, str]:
        answer = httpx.get(f"{prometheus.url}/api/v1/query?query=up", trust_env=False).json()
        return {s["metric"]["job"]: s["value"][1] for s in answer["data"]["result"]}

    expected = dict.fromkeys(
        ["orders", "prometheus", "postgres", "node", "blackbox", "canary"], "1"
    )
    assert eventually(lambda: up() == expected), up()
    rules = httpx.get(f"{prometheus.url}/api/v1/rules", trust_env=False).json()["data"]["groups"]
    assert {rule["name"] for group in rules for rule in group["rules"]} >= {
        "ServiceDown",
        "HighErrorRate",
        "SlowQueries",
        "DatabaseConnectionFailure",
        "MemoryHigh",
        "MemoryCritical",
        "ErrorsInAnHour",
        "Watchdog",
    }


def test_critical_alert_arrives_on_every_channel(system: ReferenceSystem) -> None:
    alertmanager = config_of(system).alertmanager
    if alertmanager is None:
        pytest.skip(system.absent["alertmanager"])
    alert = {"labels": {"alertname": "Canary7431", "severity": "critical"}}
    httpx.post(f"{alertmanager.urls[0]}/api/v2/alerts", json=[alert], trust_env=False)
    for channel in ("email", "slack", "sms", "pagerduty"):
        assert eventually(partial(arrived, system, channel, "Canary7431")), channel


def test_watchdog_alert_arrives(system: ReferenceSystem) -> None:
    if system.absent.keys() & {"prometheus", "alertmanager"}:
        pytest.skip("needs Prometheus and Alertmanager")
    assert eventually(lambda: bool(messages(system, "watchdog")))


def test_two_systems_run_side_by_side_with_different_releases(system: ReferenceSystem) -> None:
    with ReferenceSystem.start(provider="local", parts=(), version="1.4.0") as other:
        assert other.folder != system.folder
        with httpx.Client(base_url=other.service_url, trust_env=False) as old:
            assert old.get("/version").json()["version"] == "1.4.0"
            listed = old.get("/api/orders", params={"status": "paid", "limit": 1}).json()
            assert (listed["orders"][0]["status"], "currency" in listed["orders"][0]) == (
                "new",
                False,
            )
            config = config_of(other)
            assert (config.prometheus, config.target.release) == (None, "1.4.0")
        with other.levers.stop_service():
            assert httpx.get(f"{system.service_url}/health", trust_env=False).status_code == 200
        folder = other.folder
    other.stop()
    assert not folder.exists()
    assert watchdog.guarded(other._guardian._id) == []


def test_wheel_provides_postgres() -> None:
    with ReferenceSystem.start(provider="wheel", parts=()) as other:
        assert other.provider == "wheel"
        answer = httpx.get(f"{other.service_url}/health/ready", trust_env=False)
        assert answer.status_code == 200


def test_absent_programs_are_reported_and_the_rest_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(program: programs.Program) -> str:
        raise programs.AbsentError("is not here", remedy=program.remedy)

    monkeypatch.setattr(programs, "get", absent)
    with ReferenceSystem.start(provider="local", parts={"monitoring"}) as bare:
        assert bare.absent.keys() >= {
            "prometheus",
            "alertmanager",
            "postgres_exporter",
            "node_exporter",
        }
        assert "apt-get install prometheus" in bare.absent["prometheus"]
        assert config_of(bare).prometheus is None
        answer = httpx.get(f"{bare.service_url}/health/ready", trust_env=False)
        assert answer.status_code == 200


def test_unwanted_parts_do_not_run_and_are_reported() -> None:
    with ReferenceSystem.start(provider="local", parts={"pooler"}) as small:
        assert small.absent.keys() >= STARTABLE - {"pooler", "monitoring"}
        assert "pooler" not in small.absent or "not installed" in small.absent["pooler"]
        config = config_of(small)
        assert (config.prometheus, config.backup) == (None, {})
        answer = httpx.get(f"{small.service_url}/health/ready", trust_env=False)
        assert answer.status_code == 200


def test_unknown_provider_part_or_release_is_rejected() -> None:
    with pytest.raises(ReferenceSystemError, match="unknown part 'balcony'"):
        ReferenceSystem.start(parts={"balcony"})
    with pytest.raises(ReferenceSystemError, match="unknown provider 'podman'"):
        ReferenceSystem.start(provider="podman")
    with pytest.raises(ReferenceSystemError, match=r"unknown release '9\.9'"):
        ReferenceSystem.start(version="9.9")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another account may pass through; pytest keeps its own to itself."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


OWNER = """
import sys, time
from readiness.lib.guardian import Guardian
from readiness.reference import system
class Told(Guardian):
    def __init__(self):
        super().__init__()
        print(self._id, flush=True)
system.Guardian = Told
def progress(message):
    print(message, flush=True)
try:
    with system.ReferenceSystem.start(
        provider="local", progress=progress,
        parts=system.STARTABLE - (set() if sys.argv[1] == "all" else {"monitoring"}),
    ) as started:
        print("started", started.folder, flush=True)
        time.sleep(120)
except KeyboardInterrupt:
    sys.exit(130)
"""


# All of it is killed once: whoever interrupts or kills it, the same guardian does the rest.
@pytest.mark.parametrize("when", ["starting PostgreSQL", "filling", "started"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_owner_leaves_no_process_and_no_folder(
    open_folder: Path, when: str, number: signal.Signals
) -> None:
    parts = "all" if (when, number) == ("started", signal.SIGKILL) else "unmonitored"
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, parts],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TMPDIR": str(open_folder),
        },
    )
    assert owner.stdout is not None
    with owner.stdout as lines:
        guard = lines.readline().strip()
        for line in lines:
            if when in line:
                break
        owner.send_signal(number)
        status = owner.wait(60)
    assert status == (130 if number is signal.SIGINT else -number)
    assert eventually(lambda: watchdog.guarded(guard) == [] and not list(open_folder.iterdir()))
