"""The examples: each is a file that is understood and planned; that of FastAPI is run."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import promql_parser
import psycopg
import pytest
import yaml
from click.testing import CliRunner
from psycopg import sql

from readiness.areas.manifests.config import Manifests
from readiness.cli.main import main
from readiness.config.loading import load
from readiness.lib.guardian import Guardian
from readiness.lib.http import Session
from readiness.model.verdict import ExitCode
from readiness.run.safety import fingerprint
from readiness.servers import programs
from readiness.servers.postgres import PrivatePostgres
from readiness.servers.processes import Daemon
from readiness.servers.programs import AbsentError
from tests.support.manifest_checks import Judged
from tests.support.processes import needed, skip

ROOT: Final = Path(__file__).parents[2]
HERE: Final = ROOT / "docs/examples"
PASSWORD: Final = "correct-horse-battery"
# What `docker compose pause` does, to the server of the test.
DOCKER: Final = f"""#!{sys.executable}
import os, signal, sys
signals = {{"pause": signal.SIGSTOP, "unpause": signal.SIGCONT}}
os.kill(int(os.environ["POSTGRES"]), signals[sys.argv[2]])
"""


@contextmanager
def notes(folder: Path) -> Iterator[dict[str, str]]:
    """What compose.yaml runs, without a container; gives the variables of readiness.toml."""
    here = HERE / "fastapi"
    with ExitStack() as stack:
        command = yaml.safe_load((here / "compose.yaml").read_text())["services"]["db"]["command"]
        settings = dict(re.findall(r"-c (\w+)=(\S+)", command))
        server = stack.enter_context(PrivatePostgres.start(folder, settings=settings))
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("create database notes")
        with psycopg.connect(server.dsn("notes"), autocommit=True) as connection:
            connection.execute((here / "schema.sql").read_text())
            text = sql.SQL("alter role monitor password {}").format(PASSWORD)
            connection.execute(text)
        guardian = Guardian()
        stack.callback(guardian.undo)
        api = Daemon(
            "api",
            lambda port: [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port)],
            folder,
            guardian,
            "/health/ready",
            {"DATABASE_URL": server.dsn("notes")},
            works_in=here,
        ).start()
        stack.callback(api.stop)
        config = (here / "prometheus.yml").read_text().replace("api:8000", f"127.0.0.1:{api.port}")
        (folder / "prometheus.yml").write_text(config)
        prometheus = Daemon(
            "prometheus",
            lambda port: [
                needed(programs.PROMETHEUS),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            folder,
            guardian,
            "/-/ready",
        ).start()
        stack.callback(prometheus.stop)
        backups = folder / "backups"
        backups.mkdir()
        subprocess.run(
            [sys.executable, "-m", "readiness.areas.backup.manifest", "--dsn-env", "DSN",
             "--folder", backups],
            env=os.environ | {"DSN": server.dsn("notes")}, check=True, capture_output=True,
        )  # fmt: skip
        # As the end-to-end tests would have done: statements are judged that ran often enough.
        with Session(timeout_s=5) as users:
            assert {users.get(f"{api.url}/notes").status for _ in range(30)} == {200}
        shims = folder / "shims"
        shims.mkdir()
        (shims / "docker").write_text(DOCKER)
        (shims / "docker").chmod(0o755)
        yield {
            "API_URL": api.url,
            "PROMETHEUS_URL": prometheus.url,
            "DATABASE": f"127.0.0.1:{server.port}",
            "MONITOR_PASSWORD": PASSWORD,
            "BACKUPS": str(backups),
            "POSTGRES": str(server.process.pid),
            "PATH": f"{shims}:{os.environ['PATH']}",
        }


@pytest.mark.contract
@pytest.mark.skipif(
    not os.environ.get("READINESS_TEST_EXAMPLES"),
    reason="half a minute; `make test-examples` runs it",
)
def test_the_api_is_judged_ready(tmp_path: Path) -> None:
    if find_spec("fastapi") is None:
        skip(AbsentError("fastapi is not installed", remedy="make docs-site"))
    with notes(tmp_path) as variables:
        path = HERE / "fastapi/readiness.toml"
        seal = fingerprint(load(path, os.environ | variables).config, "staging")
        run = subprocess.run(
            [sys.executable, "-m", "readiness", "run", "--config", path, "--reports",
             tmp_path / "reports", "--allow", "disrupt", "--confirm", seal],
            cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip
    assert run.returncode == ExitCode.READY, run.stdout + run.stderr


# That of Kubernetes is run below.
EXAMPLES: Final = ("fastapi", "nextjs-supabase", "timescaledb")


def _variables(text: str) -> dict[str, str]:
    """A value for each variable, and for addresses of this machine one where nobody listens."""
    named = re.findall(r"\$\{(\w+)(?::-([^}]*))?\}", text)
    return {
        name: re.sub(r"localhost:\d+", "127.0.0.1:9", default) or f"correct-horse-{name}"
        for name, default in named
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_check_that_the_verdict_requires_is_configured(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a system that is well is READY, in the profile `core`."""
    path = HERE / name / "readiness.toml"
    for variable, value in _variables(path.read_text()).items():
        monkeypatch.setenv(variable, value)
    checked = CliRunner().invoke(main, ["config", "check", "--config", str(path)])
    assert (checked.exit_code, "no mistakes" in checked.output) == (0, True), checked.output
    asked = ["plan", "--config", str(path), "--format", "json"]
    planned = CliRunner().invoke(main, asked, catch_exceptions=False)
    assert planned.exit_code == 0, planned.output
    required = [one for one in json.loads(planned.output)["checks"] if one["required"]]
    assert len(required) > 10
    assert [one["id"] for one in required if "Not configured" in one["reason"]] == []


def test_the_kubernetes_service_is_judged_ready_by_its_manifests(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "readiness", "run", "--config", HERE / "kubernetes/readiness.toml",
         "--reports", tmp_path / "reports", "-n", "0"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == ExitCode.READY, run.stdout + run.stderr
    record = json.loads((tmp_path / "reports/readiness.json").read_text())
    outcomes = {check["id"]: check["outcome"] for check in record["checks"]}
    assert outcomes["scaling.autoscaler-policy"] == outcomes["manifests.probes"] == "pass"


def test_the_plant_is_monitored_as_its_file_says(monkeypatch: pytest.MonkeyPatch) -> None:
    here = HERE / "timescaledb"
    text = (here / "readiness.toml").read_text()
    monkeypatch.chdir(here)
    config = load(here / "readiness.toml", _variables(text)).config
    scraped = yaml.safe_load((here / "prometheus.yml").read_text())["scrape_configs"]
    intervals = {one["job_name"]: one["scrape_interval"] for one in scraped}
    assert config.prometheus
    assert config.alerting
    declared = {job.name: f"{job.interval_s:g}s" for job in config.prometheus.jobs.values()}
    assert declared == intervals == {"api": "30s", "node": "60s", "plc": "300s", "postgres": "30s"}
    panels = json.loads((here / "dashboard.json").read_text())["panels"]
    assert len(panels) == 11
    rules = yaml.safe_load((here / "rules.yml").read_text())["groups"][0]["rules"]
    for expression in [panel["targets"][0]["expr"] for panel in panels] + [
        r["expr"] for r in rules
    ]:
        promql_parser.parse(expression)
    loaded = {rule["alert"]: rule["labels"]["severity"] for rule in rules}
    wanted = {name: rule.severity for name, rule in config.alerting.rules.items()}
    assert wanted.items() <= loaded.items()
    timescale = config.databases["plant"].timescale
    assert timescale
    assert {one.compression_min_ratio for one in timescale.hypertables.values()} == {0.7}
    made = (here / "migrations/1_readings.up.sql").read_text()
    for table in timescale.hypertables.values():
        assert f"create_hypertable('{table.table}'" in made


def test_our_own_checks_find_nothing_in_the_compose_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", PASSWORD)
    judged = Judged(Manifests(compose=str(HERE / "fastapi/compose.yaml")))
    assert (judged.misses, judged.texts) == ({}, {})
