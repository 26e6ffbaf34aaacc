"""The checks after a deployment, on real servers."""

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.deployment.config import Deployment
from readiness.config.base.tables import Database
from readiness.config.models import Config
from readiness.lib.guardian import Guardian
from readiness.lib.migrations.scratch import Scratch, scratch
from readiness.model.errors import CouldNotMeasure, NoData, Unreachable
from readiness.model.evidence import Evidence, Outcome
from readiness.model.secrets import Dsn
from readiness.servers.postgres import SCRATCH, PrivatePostgres
from tests.support.monitored_service import misses, suite
from tests.support.small_servers import Reply, Route, SmallServer

pytestmark = pytest.mark.contract

CHECKS = "deployment.test_release"


def target(url: str = "http://127.0.0.1:1", dsn: Dsn | None = None, **tables: Any) -> Config:
    described = {"url": f"{url}/version", "release": "1.5.0", "previous": "1.4.0", **tables}
    databases = {"shop": {"dsn": dsn}} if dsn else {}
    made = {"target": {"name": "t"}, "deployment": Deployment.model_validate(described)}
    return Config.model_validate({**made, **({"databases": databases} if dsn else {})}).named()


def uniform(url: str, **tables: Any) -> Evidence:
    evidence = Evidence()
    deployment = target(url, **tables).deployment
    suite(CHECKS).test_version_uniform(deployment, evidence)
    return evidence


def replicas(*versions: str, status: int = 200) -> Route:
    """Each answer comes from the next one."""
    turn = count()

    def answer() -> Reply:
        number = next(turn) % len(versions)
        body = json.dumps({"version": versions[number]})
        return Reply(body, status, headers={"X-Replica": f"r{number}"})

    return answer


def test_all_replicas_run_the_release_and_each_is_asked_anew() -> None:
    with SmallServer({"/version": replicas(*["1.5.0"] * 3)}) as server:
        evidence = uniform(server.url, replicas=3, replica_header="X-Replica")
        assert server.connections == len(server.requests) == 9
    assert misses(evidence) == ""


def test_one_replica_that_stayed_behind_is_found() -> None:
    with SmallServer({"/version": replicas("1.5.0", "1.4.0", "1.5.0")}) as server:
        found = misses(uniform(server.url, replicas=3))
    assert "3 of 9 answers are not from 1.5.0" in found
    assert "3 of 1.4.0" in found


def test_a_replica_that_never_answers_is_found() -> None:
    with SmallServer({"/version": replicas("1.5.0", "1.5.0")}) as server:
        found = misses(uniform(server.url, replicas=3, replica_header="x-replica"))
        assert len(server.requests) == 90
    assert "Only 2 replicas answered 90 requests" in found


def test_requests_go_on_until_all_replicas_answered() -> None:
    """The first answers ten times before the second gets its turn."""
    turn = count(1)

    def answer() -> Reply:
        second = next(turn) > 10
        version = "1.4.0" if second else "1.5.0"
        return Reply(json.dumps({"version": version}), headers={"x-replica": f"r{second}"})

    with SmallServer({"/version": answer}) as server:
        found = misses(uniform(server.url, replicas=2, replica_header="x-replica"))
        assert len(server.requests) == 11
    assert "1 of 1.4.0" in found


@pytest.mark.parametrize(
    "reply",
    [
        Reply("", 503),
        Reply('{"version": "1.5.0"}', 500),
        Reply("no json"),
        Reply("[]"),
        Reply('{"release": "1.5.0"}'),
        Reply('{"version": 15}'),
        Reply('{"version": ""}'),
        Reply("[" * 30_000),
    ],
)
def test_answers_without_a_release_are_found(reply: Reply) -> None:
    with SmallServer({"/version": reply}) as server:
        assert "3 of 3 answers name no release" in misses(uniform(server.url))


def test_an_unreachable_service_is_an_error() -> None:
    with pytest.raises(Unreachable):
        uniform("http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("printed", "told"),
    [("1.5.0\\n1.5.0\\n", ""), ("1.5.0\\n1.4.0", "1 of 2 mail processes do not run 1.5.0")],
)
def test_every_worker_counts(printed: str, told: str) -> None:
    workers = {"mail": {"command": ["printf", printed]}}
    with SmallServer({"/version": replicas("1.5.0")}) as server:
        found = misses(uniform(server.url, workers=workers))
    assert (told in found) if told else (found == "")


@pytest.mark.parametrize("command", [["true"], ["false"], ["/no/such/tool"], ["printf", " \\n"]])
def test_a_worker_that_prints_no_release_is_an_error(command: list[str]) -> None:
    with SmallServer({"/version": replicas("1.5.0")}) as server:
        evidence = uniform(server.url, workers={"mail": {"command": command}})
    with pytest.raises(CouldNotMeasure):
        evidence.conclude()


def artifact(store: Path, *have: str, **settings: Any) -> str:
    for name in have:
        (store / name).touch()
    described = {"command": ["ls", f"{store}/{{release}}"], **settings}
    evidence = Evidence()
    suite(CHECKS).test_rollback_artifact(target(artifact=described).deployment, evidence)
    return misses(evidence)


def test_an_available_artifact_passes(tmp_path: Path) -> None:
    assert artifact(tmp_path, "1.4.0") == ""
    assert artifact(tmp_path, prints="/{release}$") == ""


def test_a_removed_artifact_is_found(tmp_path: Path) -> None:
    assert "The artifact of 1.4.0 was not found" in artifact(tmp_path, "1.5.0")


def test_a_command_that_finds_nothing_is_not_trusted(tmp_path: Path) -> None:
    with pytest.raises(CouldNotMeasure, match=r"neither 1\.4\.0 nor 1\.5\.0"):
        artifact(tmp_path)


@pytest.mark.parametrize("command", [["echo", "{release}"], ["true", "{release}"]])
def test_a_command_that_finds_everything_is_not_trusted(tmp_path: Path, command: list[str]) -> None:
    with pytest.raises(CouldNotMeasure, match="its yes means nothing"):
        artifact(tmp_path, command=command)


def test_the_output_must_match_prints(tmp_path: Path) -> None:
    """A tool that lists what it has ends with 0 in any case."""
    (tmp_path / "1x4.0").touch()
    settings = {"command": ["sh", "-c", f"ls {tmp_path}; : {{release}}"], "prints": "^{release}$"}
    assert "The artifact of 1.4.0 was not found" in artifact(tmp_path, "1.5.0", **settings)
    assert artifact(tmp_path, "1.4.0", **settings) == ""


def report(path: Path, url: str, **changes: Any) -> str:
    ended = datetime.now(UTC)
    content = {
        "release": "1.5.0",
        "previous": "1.4.0",
        "by": "somebody",
        "started_at": (ended - timedelta(minutes=2)).isoformat(),
        "finished_at": ended.isoformat(),
        "result": "success",
        "backup": "a.dump",
        "steps": [{"name": "all", "duration_s": 120}],
        **changes,
    }
    content = {key: value for key, value in content.items() if value is not ...}
    path.write_text(json.dumps(content))
    return judged_report(path, url)


def judged_report(path: Path, url: str) -> str:
    """What a report is warned of: it never decides."""
    evidence = uniform(url, report={"path": str(path)})
    assert evidence.conclude() is (Outcome.WARN if evidence.warnings else Outcome.PASS)
    return "; ".join(evidence.warnings)


LATER = (datetime.now(UTC) + timedelta(days=1)).isoformat()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ""),
        ({"ticket": "CHG-7"}, ""),
        ({"backup": ...}, "backup: Field required"),
        ({"backup": " "}, "backup: "),
        ({"by": None}, "by: "),
        ({"steps": []}, "steps: "),
        ({"steps": [{"name": "all", "duration_s": -1}]}, "steps.0.duration_s: "),
        ({"result": "ok"}, "result: "),
        ({"finished_at": "2026-11-22T10:00:00"}, "finished_at: "),
        ({"finished_at": LATER}, "is in the future"),
        ({"finished_at": "2020-01-01T00:00:00Z"}, "finished_at is before started_at"),
        ({"release": "1.5.1"}, "says that 1.5.1 serves, and the answers are from 1.5.0"),
        ({"result": "failed"}, "says that 1.4.0 serves, and the answers are from 1.5.0"),
        ({"result": "rolled-back", "release": "1.6.0", "previous": "1.5.0"}, ""),
    ],
)
def test_a_report_is_complete_and_names_what_serves(
    tmp_path: Path, changes: Any, told: str
) -> None:
    with SmallServer({"/version": replicas("1.5.0")}) as server:
        found = report(tmp_path / "report.json", server.url, **changes)
    assert (told in found) if told else (found == "")


@pytest.mark.parametrize(("text", "told"), [(None, "does not exist"), ("{", "line 1"),
                                            ('{"by": 1, "by": 2}', "duplicate key")])  # fmt: skip
def test_an_unreadable_report_is_a_warning(tmp_path: Path, text: str | None, told: str) -> None:
    path = tmp_path / "report.json"
    if text is not None:
        path.write_text(text)
    with SmallServer({"/version": replicas("1.5.0")}) as server:
        assert told in judged_report(path, server.url)


# The release before, in a few lines: it lists its orders by the columns that it knows.
OLD = """
import sys, http.server, psycopg
dsn, port, release, query = sys.argv[1:]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            if self.path != '/health/ready' and query:
                with psycopg.connect(dsn) as connection:
                    connection.execute(query)
            status = 200
        except psycopg.Error:
            status = 500
        self.send_response(status)
        self.send_header('content-length', '0')
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(('127.0.0.1', int(port)), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A scratch server, empty."""
    with PrivatePostgres.start(tmp_path_factory.mktemp("scratch"), settings=SCRATCH) as running:
        yield Dsn(running.dsn())


@pytest.fixture
def tried(shop: Dsn, spare: Dsn) -> Callable[..., str]:
    """Tries the release before on the schema of the shop."""

    def scratch_beside(database: Database) -> AbstractContextManager[Scratch]:
        return scratch(spare, database.dsn)

    def judged(start: list[str], **settings: Any) -> str:
        described = {"database": "shop", "start": start, "smoke": ["/orders"], **settings}
        made = target(dsn=shop, compatibility=described)
        evidence = Evidence()
        with Guardian() as guardian:
            suite(CHECKS).test_previous_on_new_schema(
                made.deployment, made, scratch_beside, guardian, evidence
            )
        return misses(evidence)

    return judged


def old(query: str) -> list[str]:
    return [sys.executable, "-c", OLD, "{dsn}", "{port}", "{release}", query]


def test_previous_release_that_works_on_the_schema_passes(tried: Callable[..., str]) -> None:
    assert tried(old("select note from shop.orders")) == ""


def test_previous_release_that_reads_a_dropped_column_is_found(
    tried: Callable[..., str], run: Callable[[str], None]
) -> None:
    run("alter table shop.orders drop column note")
    found = tried(old("select note from shop.orders"))
    assert "1 of 1 paths of 1.4.0 fail on the new schema" in found
    assert "/orders answered 500" in found


def test_previous_release_that_refuses_to_start_is_found(tried: Callable[..., str]) -> None:
    refuses = [sys.executable, "-c", "import sys; sys.exit('unknown migration 0006')"]
    found = tried([*refuses, "{dsn}", "{port}"])
    assert "1.4.0 did not get ready on the new schema" in found
    assert "it ended with 1: unknown migration 0006" in found


def test_previous_release_that_never_gets_ready_is_found(tried: Callable[..., str]) -> None:
    assert "not ready within 0.5 s" in tried(["sleep", "60"], ready_within_s=0.5)


def test_previous_release_that_uses_another_database_is_an_error(tried: Callable[..., str]) -> None:
    with pytest.raises(CouldNotMeasure, match="never used the scratch database"):
        tried(old(""))


def test_previous_release_that_cannot_be_started_is_an_error(tried: Callable[..., str]) -> None:
    with pytest.raises(CouldNotMeasure, match="cannot be started"):
        tried(["/no/such/release"])


def test_a_role_that_may_not_read_the_schema_is_an_error(
    tried: Callable[..., str], role: Dsn
) -> None:
    with pytest.raises(CouldNotMeasure, match="the schema cannot be copied"):
        tried(old(""), dsn=role)


def test_a_missing_table_is_an_error() -> None:
    with pytest.raises(NoData):
        suite(CHECKS).test_rollback_artifact(target().deployment, Evidence())
