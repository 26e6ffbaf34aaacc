"""`readiness init` against real servers and folders: what it writes, and what it leaves alone.

READINESS_GOLDEN=update writes `found/` again.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from readiness.cli import init as command
from readiness.cli.main import main
from readiness.config.loading import load
from readiness.config.models import Config
from readiness.lib.guardian import Guardian
from readiness.lib.prometheus import Prometheus, exposition
from readiness.model.secrets import Dsn, Secret
from readiness.servers import programs
from readiness.servers.alertmanager import PrivateAlertmanager
from readiness.servers.postgres import PrivatePostgres
from tests.support.processes import eventually, needed
from tests.support.real_prometheus import rule, ruled
from tests.support.small_servers import Reply, SmallServer

FOUND = Path(__file__).parent / "found"
TOKENS = {"GITHUB_SHA": "c0ffee", "VERCEL_GIT_COMMIT_SHA": "c0ffee", "VERCEL_TOKEN": "vercel-token",
          "SUPABASE_ACCESS_TOKEN": "supabase-token", "SHOP_PASSWORD": "correct-horse"}  # fmt: skip
METRICS = Reply("# TYPE a gauge\na 1\n", content_type="text/plain; version=0.0.4")
HTML = Reply("<!doctype html><html><body>Welcome</body></html>", content_type="text/html")

GIT = '[remote "origin"]\n\turl = git@github.com:acme/shop.git\n'
WORKFLOW = """
on: [push]
jobs:
  test: {name: Tests, steps: []}
  build: {strategy: {matrix: {python: ["3.11"]}}, steps: []}
"""
COMPOSE = """
services:
  api: {build: ., environment: {DATABASE_URL: "postgresql://x@db/shop"}}
  db: {image: "postgres:16"}
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, image: "api:1"}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: api}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api}
  minReplicas: 3
  maxReplicas: 10
  metrics:
  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}
"""
# What lies in the folder, for each of the written files.
FOLDERS: Mapping[str, Mapping[str, str]] = {
    "fastapi": {
        ".env.example": "DATABASE_URL=\n",
        ".git/config": GIT,
        ".github/workflows/ci.yml": WORKFLOW,
        "Dockerfile": "FROM python:3.12\n",
        "alembic.ini": "[alembic]\nscript_location = %(here)s/migrations\n",
        "compose.yml": COMPOSE,
        "node_modules/x/compose.yml": "not ours",
    },
    "nextjs": {
        ".vercel/project.json": '{"projectId": "prj_1", "orgId": "team_1"}',
        "supabase/.temp/project-ref": "abcdefghij\n",
        "supabase/config.toml": 'project_id = "shop"\n',
        "vercel.json": "{}",
    },
    "kubernetes": {
        "k8s/api.yaml": DEPLOYMENT,
        "k8s/service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: api}\nspec: {}\n",
        "chart/Chart.yaml": "apiVersion: v2\nname: shop\n",
        "chart/templates/x.yaml": "apiVersion: v1\nkind: {{ .Kind }}\n",
    },
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "shop"
    made.mkdir()
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def service() -> Iterator[SmallServer]:
    """A service that tells its health in plain text, and where it runs."""
    routes = {
        "/healthz": Reply("OK", content_type="text/plain"),
        "/readyz": Reply("OK", content_type="text/plain"),
        "/metrics": METRICS,
        "/version": Reply(json.dumps({"version": "1.2.3", "environment": "staging"})),
        "/health": HTML,
    }
    with SmallServer(routes) as server:
        yield server


def init(*options: str) -> str:
    """Run it as in a pipeline; gives what it printed."""
    result = CliRunner().invoke(main, ["init", *options], prog_name="readiness")
    assert result.exit_code == 0, result.output
    return result.output


def written(environ: Mapping[str, str] = TOKENS) -> tuple[str, Config]:
    path = Path("readiness.toml")
    return path.read_text(), load(path, environ).config


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_and_a_service_are_described(
    name: str, folder: Path, service: SmallServer
) -> None:
    for file, text in FOLDERS[name].items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    init("--url", service.url)
    text, config = written()
    assert config.services["shop"].health == "/healthz"
    text = text.replace(service.url, "http://127.0.0.1:00000")
    golden = FOUND / f"{name}.toml"
    if os.environ.get("READINESS_GOLDEN") == "update":
        golden.write_text(text)
    assert text == golden.read_text()


def test_what_lies_behind_https_is_judged_as_a_site(folder: Path) -> None:
    assert "http" in init("--url", "https://127.0.0.1:1")
    assert written()[1].security.sites["shop"].url == "https://127.0.0.1:1"


def grants() -> list[str]:
    script = Path("readiness-grants.sql")
    return script.read_text().splitlines() if script.exists() else []


def missing() -> list[tuple[str, str]]:
    """What `readiness doctor` finds to be missing, and why."""
    found = json.loads(CliRunner().invoke(main, ["doctor", "--format", "json"]).output)
    return [(one["thing"], one["detail"]) for one in found if one["needed"] and not one["well"]]


def test_a_database_is_described_and_the_script_gives_what_its_role_lacks(
    folder: Path,
    shop: Dsn,
    role: Dsn,
    run: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run("alter table shop.customers enable row level security")
    output = init("--dsn", role.reveal())
    text, config = written()
    (database,) = config.databases.values()
    assert database.schema
    assert database.schema.objects == ["table shop.customers", "table shop.orders"]
    assert database.schema.row_security == ["shop.customers"]
    assert "correct horse" not in text + output
    assert "correct%20horse" not in text + output
    assert len(grants()) >= 4
    assert all(f"  {line}" in output for line in grants())

    monkeypatch.setenv("SHOP_PASSWORD", "correct%20horse")
    doctor = [name for name, _ in missing()]
    assert len(doctor) == 2
    script = CliRunner().invoke(main, ["doctor", "--sql"]).output.splitlines()
    assert [row for row in script if not row.startswith("--")] == grants()
    for statement in grants():
        run(statement)
    Path("readiness-grants.sql").unlink()
    init("again.toml", "--dsn", role.reveal())
    assert grants() == []
    assert missing() == []


def test_the_slowest_queries_become_baselines_if_they_find_rows_and_change_nothing(
    folder: Path, tmp_path: Path
) -> None:
    settings = {"fsync": "off", "shared_preload_libraries": "pg_stat_statements"}
    (tmp_path / "postgres").mkdir()
    with PrivatePostgres.start(tmp_path / "postgres", settings=settings) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(STATEMENTS)
            for _ in range(6):
                for text in QUERIES:
                    connection.execute(text)
        output = init("--dsn", server.dsn("postgres", user="monitor", password="correct-horse"))
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("select count(*) from orders").fetchone() == (3,)
    queries = written()[1].performance.queries
    assert [query.sql for query in queries] == ["select count(*) from orders"]
    assert "values for the query 'select note from orders where id = $1'" in output


STATEMENTS = """
create extension pg_stat_statements;
create table orders (id int primary key, note text);
insert into orders select n, 'x' from generate_series(1, 3) n;
create function clear() returns bigint language sql as
    'with gone as (delete from orders returning 1) select count(*) from gone';
create role monitor login password 'correct-horse';
grant pg_monitor, pg_read_all_data to monitor"""
QUERIES = (
    "select count(*) from orders",
    "select note from orders where id = 2",
    "select id from orders where note is null",  # finds no row
    "begin",
    "select clear() from orders",
    "rollback",
)


def test_a_password_that_is_a_word_of_the_file_does_not_spoil_it(folder: Path) -> None:
    init("--dsn", "postgresql://shop:shop@127.0.0.1:1/shop")
    text, config = written({"SHOP_PASSWORD": "shop"})
    assert "postgresql://shop:${SHOP_PASSWORD}@127.0.0.1:1/shop" in text
    assert config.databases["shop"].dsn.words["password"] == "shop"


ALERTMANAGER = {
    "route": {
        "receiver": "slack",
        "routes": [{"matchers": ['severity="critical"'], "receiver": "oncall"}],
    },
    "receivers": [
        {"name": "slack", "slack_configs": [{"api_url": "http://127.0.0.1:9/", "channel": "#x"}]},
        {"name": "oncall", "webhook_configs": [{"url": "http://127.0.0.1:9/"}]},
    ],
}
RULES = (
    rule("Down", 'up{job="app"} == 0', labels={"severity": "critical"}),
    rule("Slow", "a > 0.5"),
    rule("Fails", "increase(a[5m]) > 3 and a < 9"),
    rule("Watchdog", "vector(1)", labels={"severity": "none"}),
)


def test_monitoring_is_described_with_the_severities_and_receivers_that_exist(
    folder: Path, tmp_path: Path
) -> None:
    """The metrics are on a port of their own, and Alertmanager is found through Prometheus."""
    needed(programs.ALERTMANAGER)
    (tmp_path / "am").mkdir()
    with (
        Guardian() as guardian,
        PrivateAlertmanager.start(tmp_path / "am", json.dumps(ALERTMANAGER), guardian) as notifier,
        SmallServer({"/metrics": METRICS}) as exporter,
        SmallServer({"/health": Reply('{"status": "ok", "version": "1"}')}) as app,
        ruled(tmp_path, place(exporter.url), [place(notifier.url)]) as watching,
    ):
        watching.load(*RULES)
        with Prometheus(watching.settings) as client:
            assert eventually(lambda: len(client.targets()) == 2 and bool(client.alertmanagers()))
        output = init("--url", app.url, "--prometheus", watching.settings.url)
        config = written()[1]
        assert config.services["shop"].metrics_url == f"{exporter.url}/metrics"
        assert config.services["shop"].health_fields == ["status", "version"]
        assert config.prometheus
        jobs = [(job.name, job.interval_s) for job in config.prometheus.jobs.values()]
        assert jobs == [("app", 1)]
        assert config.alertmanager
        assert config.alertmanager.urls == [notifier.url]
        alerting = config.alerting
        assert alerting
        assert {k: v.channels for k, v in alerting.severities.items()} == {
            "critical": [["oncall-webhook"]],
            "warning": [["slack"]],
        }
        # Alertmanager waits 30 s by default, which the default budget would miss.
        assert {one.budget_s for one in alerting.severities.values()} == {45}
        assert "group_wait 30s" in Path("readiness.toml").read_text()
        assert alerting.channels["oncall-webhook"].receivers == ["oncall"]
        assert alerting.dead_man
        assert (alerting.dead_man.alert, alerting.dead_man.channel) == ("Watchdog", "slack")
        assert {(r.name, r.severity, r.above, r.equals) for r in alerting.rules.values()} == {
            ("Down", "critical", None, 0),
            ("Slow", "warning", 0.5, None),
        }
        assert missing() == []
        assert "thresholds of 1 more alert rule: Fails" in output
        assert "readiness_probe" in Path("alertmanager-route.yml").read_text()


def place(url: str) -> str:
    return url.removeprefix("http://")


def test_of_several_scraped_addresses_the_job_with_the_name_of_the_service_is_its_metrics(
    folder: Path, tmp_path: Path
) -> None:
    with (
        SmallServer({"/metrics": METRICS}) as exporter,
        SmallServer({"/metrics": METRICS}) as other,
        SmallServer({"/server/health": Reply('{"status": "ok"}')}) as app,
        ruled(tmp_path, place(other.url), shop=place(exporter.url)) as watching,
    ):
        with Prometheus(watching.settings) as client:
            assert eventually(lambda: len(client.targets()) == 3)
        init("--url", app.url, "--prometheus", watching.settings.url)
        shop = written()[1].services["shop"]
        assert (shop.metrics_url, shop.health) == (f"{exporter.url}/metrics", "/server/health")


def test_a_token_of_the_service_is_not_sent_to_another_port(service: SmallServer) -> None:
    with SmallServer({"/metrics": METRICS}) as exporter:
        settings = {"name": "shop", "url": service.url, "bearer": Secret("a-secret-token")}
        own = Config.model_fields["services"].annotation.__args__[1].model_validate(settings)  # type: ignore[union-attr]
        for one in (own, own.model_copy(update={"metrics": f"{exporter.url}/metrics"})):
            assert exposition.scrape(one).samples
        assert service.requests[-1][2]["authorization"] == "Bearer a-secret-token"
        assert "authorization" not in exporter.requests[-1][2]


def test_sources_that_do_not_answer_are_named_and_the_rest_is_written(
    folder: Path, service: SmallServer
) -> None:
    (folder / "backups").mkdir()
    (folder / "backups" / "shop.dump").write_text("x")
    (folder / "Dockerfile").write_text("FROM python:3.12\n")
    (folder / "broken.yaml").write_text("apiVersion: v1\nkind: [\n")
    service.routes = {}
    service.otherwise = HTML
    output = init(
        *("--url", service.url, "--dsn", "postgresql://m@127.0.0.1:1/shop"),
        *("--prometheus", "http://127.0.0.1:1", "--alertmanager", service.url),
        *("--backups", "backups"),
    )
    config = written()[1]
    assert config.backup["shop"].pattern == "*.dump"
    assert config.prometheus
    assert config.prometheus.url == "http://127.0.0.1:1"
    gaps = re.findall(r"^  (\S.*)", output, re.MULTILINE)
    assert config.manifests
    assert config.manifests.dockerfiles == ["Dockerfile"]
    for what in (
        "a health page; ",
        "metrics; ",
        str(folder / "broken.yaml"),
        "127.0.0.1:1/shop: ",
        "http://127.0.0.1:1: ",
    ):
        assert len([gap for gap in gaps if gap.startswith(what)]) == 1, output
    assert "/api/v2/status" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--url", "shop.example.com"], "--url: is not an address of http or https"),
        (["--prometheus", "http://u:secret-word@p"], "--prometheus: has a user or password"),
        (["--dsn", "postgresql:/x"], "--dsn: is not a connection string"),
        (["--dsn", "postgresql://u:${UNSET_HERE}@h/d"], "UNSET_HERE is not set"),
        (["nowhere/readiness.toml"], "cannot be written"),
    ],
)
def test_a_mistake_is_one_message_and_nothing_is_written(
    options: list[str], told: str, folder: Path
) -> None:
    result = CliRunner().invoke(main, ["init", *options])
    assert result.exit_code == 2
    assert told in result.output
    assert "secret-word" not in result.output
    assert "Traceback" not in result.output
    assert list(folder.iterdir()) == []


def test_what_exists_is_left_alone(folder: Path, service: SmallServer) -> None:
    Path("readiness.toml").write_text("mine")
    result = CliRunner().invoke(main, ["init", "--url", service.url])
    assert result.exit_code == 2
    assert "exists already" in result.output
    assert Path("readiness.toml").read_text() == "mine"
    assert service.requests == []


def test_on_a_terminal_it_asks_for_five_sources_at_most(
    folder: Path, service: SmallServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_is_terminal", lambda: True)
    runner = CliRunner()
    result = runner.invoke(main, ["init"], input=f"{service.url}\n\n\n\n\n")
    assert result.exit_code == 0, result.output
    assert written()[1].services["shop"].url == service.url
    asked = runner.invoke(main, ["init", "b.toml", "--url", service.url], input="\n\n\n\n")
    assert asked.exit_code == 0, asked.output
    assert "Address of the service" not in asked.output
    assert runner.invoke(main, ["init", "c.toml", "--yes"], input="").exit_code == 0
