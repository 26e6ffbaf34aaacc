"""The start order of a compose file, with compose's own defaults for missing keys."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.deployment.config import Order
from readiness.areas.deployment.probes.start_order import (
    StartOrder,
    read_order,
    start_order,
    written_by_compose,
)
from readiness.lib.compose_file import UnreadableError
from readiness.model.errors import CouldNotMeasure, ReadinessError
from tests.support.advice import shown
from tests.support.drilled_target import programs

CHECK = {"test": ["CMD-SHELL", "pg_isready"]}


def order(**services: Any) -> StartOrder:
    return start_order({"services": services})


def waits(condition: str | None = "service_healthy", **database: Any) -> StartOrder:
    how = {} if condition is None else {"condition": condition}
    return order(app={"depends_on": {"db": how}}, db={"image": "postgres", **database})


def test_waiting_for_a_health_check_passes() -> None:
    found = waits(healthcheck=CHECK)
    assert [found.loose, found.unchecked, found.unknown, found.cycle] == [[], [], [], []]
    assert [str(one) for one in found.dependencies] == ["app → db"]


def test_a_job_that_ends_needs_no_health_check() -> None:
    found = waits("service_completed_successfully")
    assert [found.loose, found.unchecked] == [[], []]


def test_missing_conditions_are_composes_default() -> None:
    told = ["app waits for db: service_started (depends_on)"]
    assert waits(None, healthcheck=CHECK).loose == told
    assert waits("service_started", healthcheck=CHECK).loose == told
    assert order(app={"depends_on": ["db"]}, db={"healthcheck": CHECK}).loose == told
    assert order(app={"depends_on": {"db": None}}, db=None).loose == told


@pytest.mark.parametrize(
    "healthcheck",
    [
        None,
        {},
        {"interval": "10s"},
        {"disable": True, "test": ["CMD", "pg_isready"]},
        {"test": ["NONE"]},
        {"test": "curl -f http://localhost/ || true"},
        {"test": ["CMD", "sh", "-c", "exit 0"]},
        {"test": ["CMD-SHELL", "pg_isready || exit 0"]},
        {"test": ["CMD", "echo", "ok"]},
        {"test": ["CMD-SHELL", "curl http://localhost/; exit 0"]},
        {"test": "NONE"},
        {"test": ["CMD-SHELL", "exit 0"]},
        {"test": ["CMD", "true"]},
        {"test": "true"},
        {"test": ["CMD"]},
        {"test": ["pg_isready", "-U", "app"]},  # compose refuses it
        {"test": ["CMD-SHELL", "pg_isready | cat"]},
        {"test": ""},
    ],
)
def test_health_check_that_cannot_fail_does_not_count(healthcheck: Any) -> None:
    assert waits(healthcheck=healthcheck).unchecked == ["db"]


def test_what_the_fix_shows_makes_a_service_wait_for_a_healthy_one() -> None:
    app = {"depends_on": {"database": {"condition": "service_started"}}}
    loose = order(app=app, database={"image": "postgres"})
    assert (len(loose.loose), loose.unchecked) == (1, [])
    app, database = (shown("deployment.start-order", k) for k in ("depends_on: {", "healthcheck:"))
    fixed = order(app=app, database=database)
    assert (fixed.loose, fixed.unchecked) == ([], [])
    assert fixed.patience_s["database"] == 300


@pytest.mark.parametrize(
    "test",
    [
        "pg_isready",
        ["CMD", "curl", "-f", "x"],
        "exit 1 || exit 0",
        ["CMD-SHELL", "pg_isready", "|| true"],  # the shell reads the first alone
    ],
)
def test_a_health_check_that_can_fail_counts(test: Any) -> None:
    assert waits(healthcheck={"test": test}).unchecked == []


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ({}, 90),  # 3 tries, each 30 s after the one before: the engine's own
        ({"interval": "0s", "retries": 0}, 90),
        ({"interval": "10s", "retries": 30}, 300),
        ({"interval": "1m30s", "retries": "2", "start_period": "1h"}, 3780),
        ({"interval": "500ms", "retries": 4, "start_period": "0"}, 2),
        ({"interval": "1.5s", "retries": 2}, 3),
    ],
)
def test_patience_follows_from_the_health_check(words: Any, seconds: float) -> None:
    found = waits(healthcheck={**CHECK, **words})
    assert found.patience_s["db"] == pytest.approx(seconds)


@pytest.mark.parametrize("restart", ["always", "unless-stopped"])
def test_the_end_of_what_is_always_restarted_never_comes(restart: str) -> None:
    found = waits("service_completed_successfully", restart=restart)
    assert found.loose == [f"app waits for the end of db, which has `restart: {restart}`"]
    assert waits("service_completed_successfully", restart="on-failure").loose == []
    deploy = {"restart_policy": {"condition": "any"}}
    assert waits("service_completed_successfully", deploy=deploy).loose
    assert waits("service_completed_successfully", deploy=deploy, restart="no").loose == []


def test_a_dependency_that_is_not_required_may_be_in_another_file() -> None:
    how = {"condition": "service_healthy", "required": False}
    found = order(app={"depends_on": {"db": how}}, web={"depends_on": {"app": {}}})
    assert (found.unknown, found.unchecked) == ([], [])
    assert order(app={"depends_on": {"db": {}}}).unknown == ["app → db"]


@pytest.mark.parametrize(
    ("mine", "active", "unknown"),
    [
        (None, [], ["app → db (only in profile dev)"]),
        (None, ["dev"], []),
        (["dev"], [], []),
        (["dev", "test"], [], ["app → db (only in profile dev)"]),
    ],
)
def test_compose_refuses_a_dependency_of_another_profile(
    mine: list[str] | None, active: list[str], unknown: list[str]
) -> None:
    how = {"db": {"condition": "service_healthy"}}
    app = {"depends_on": how} | ({"profiles": mine} if mine else {})
    services = {"app": app, "db": {"healthcheck": CHECK, "profiles": ["dev"]}}
    assert start_order({"services": services}, active).unknown == unknown


def test_profiles_of_the_env_file_are_on(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(
        json.dumps(
            {"services": {
                "app": {"depends_on": {"db": {"condition": "service_healthy"}}},
                "db": {"healthcheck": CHECK, "profiles": ["dev"]},
            }}
        )
    )  # fmt: skip
    assert read_order(Order(compose=str(file))).unknown
    (tmp_path / ".env").write_text("TAG=1\nCOMPOSE_PROFILES=dev,local\n")
    assert read_order(Order(compose=str(file))).unknown == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"links": ["db:database"]}, "links"),
        ({"volumes_from": ["db:ro", "container:x"]}, "volumes_from"),
        ({"volumes_from": ["service:db:rw", "container:x:rw"]}, "volumes_from"),
        ({"network_mode": "service:db"}, "network_mode"),
    ],
)
def test_other_keys_that_make_a_service_wait(words: Any, said: str) -> None:
    found = order(app=words, db={"healthcheck": CHECK})
    assert found.loose == [f"app waits for db: service_started ({said})"]
    explicit = {"depends_on": {"db": {"condition": "service_healthy"}}}
    assert not order(app={**words, **explicit}, db={"healthcheck": CHECK}).loose


def test_cycles_and_unknown_services_are_found() -> None:
    found = order(a={"depends_on": ["b"]}, b={"depends_on": ["c"]}, c={"depends_on": ["a"]})
    assert set(found.cycle) == {"a", "b", "c"}
    assert order(a={"depends_on": ["a"]}).cycle == ["a", "a"]
    assert order(a={"depends_on": ["ghost"]}).unknown == ["a → ghost"]


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"services": []},
        {"image": "x"},
        {"services": {"a": {}}, "include": ["other.yml"]},
        {"services": {"a": {"extends": {"service": "b"}}}},
        {"services": {"a": "b"}},
        {"services": {"a": {"depends_on": "b"}}},
        {"services": {"a": {"healthcheck": {"test": "x", "interval": "often"}}}},
        {"services": {"a": {"healthcheck": {"test": "x", "interval": "10"}}}},
        {"services": {"a": {"healthcheck": {"test": "x", "retries": True}}}},
        {"services": {"a": {"healthcheck": {"test": "x", "retries": "many"}}}},
    ],
)
def test_an_incomplete_file_is_an_error(document: Any) -> None:
    with pytest.raises(UnreadableError):
        start_order(document)


@pytest.fixture
def _compose() -> None:
    try:
        programs()
    except ReadinessError as error:
        pytest.skip(error.sentence)


def put(program: Path, script: str) -> None:
    program.write_text(f"#!{sys.executable}\n{script}\n")
    program.chmod(0o755)


def written(tmp_path: Path, services: dict[str, Any], **others: Any) -> Path:
    path = tmp_path / "compose.yml"
    document = {"services": {name: {"image": "x", **said} for name, said in services.items()}}
    path.write_text(json.dumps(document | others))
    return path


@pytest.mark.contract
@pytest.mark.usefixtures("_compose")
@pytest.mark.parametrize(
    "services",
    [
        {"a": {"depends_on": ["b"]}, "b": {}},
        {"a": {"depends_on": {"b": {"condition": "service_healthy"}}}, "b": {"healthcheck": CHECK}},
        {"a": {"depends_on": {"b": {"condition": "service_completed_successfully"}}}, "b": {}},
        {"a": {"network_mode": "service:b"}, "b": {"ipc": "shareable"}},
        {"a": {"links": ["b:database"], "pid": "service:b"}, "b": {}},
        {"a": {"volumes_from": ["b:ro", "c", "container:d"]}, "b": {}, "c": {}},
        {"a": {"depends_on": ["b"], "profiles": ["tools"]}, "b": {"profiles": ["tools"]}},
        *(
            {"a": {"depends_on": ["b"]}, "b": {"healthcheck": {**CHECK, **words}}}
            for words in (
                {"interval": "0s", "retries": 0},
                {"interval": "10s", "retries": 30},
                {"interval": "1m30s", "retries": 2, "start_period": "1h"},
                {"interval": "500ms", "start_period": "0s"},
                {"disable": True},
                {"test": ["NONE"]},
                {"test": "true"},
            )
        ),
    ],
)
def test_the_order_is_the_one_that_compose_makes_of_the_file(
    tmp_path: Path, services: dict[str, Any]
) -> None:
    path = written(tmp_path, services)
    document = json.loads(path.read_text())
    ours = start_order(document)
    theirs = written_by_compose([path])

    assert theirs is not None
    assert set(map(str, theirs.dependencies)) == set(map(str, ours.dependencies))
    assert {*theirs.loose} == {*ours.loose}
    assert (theirs.services, theirs.patience_s, theirs.unchecked) == (
        ours.services, ours.patience_s, ours.unchecked
    )  # fmt: skip


@pytest.mark.contract
@pytest.mark.usefixtures("_compose")
def test_compose_completes_a_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIES", raising=False)
    base = {"healthcheck": {**CHECK, "interval": "10s", "retries": "${TRIES:-30}"}}
    (tmp_path / "base.yml").write_text(json.dumps({"services": {"base": base}}))
    healthy = {"db": {"condition": "service_healthy"}}
    extended = {"extends": {"file": "base.yml", "service": "base"}}
    path = written(tmp_path, {"app": {"depends_on": healthy}, "db": extended})

    found = read_order(Order(compose=str(path)))

    assert [found.loose, found.unchecked] == [[], []]
    assert found.patience_s["db"] == 300


@pytest.mark.parametrize(
    ("printed", "status"),
    [
        ("services: {app: {depends_on: [db]}, db: {}}", 1),
        ("services: {app: {depends_on: [db]}}", 0),
        ("services: {app: {extends: {service: db}}, db: {}}", 0),
        ("services: [", 0),
    ],
    ids=["fails", "leaves out a service", "is no whole", "is no YAML"],
)
def test_incomplete_answer_of_compose_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, status: int
) -> None:
    for name in ("docker", "docker-compose"):
        put(tmp_path / name, f"print({printed!r})\nraise SystemExit({status})")
    monkeypatch.setenv("PATH", str(tmp_path))
    path = written(tmp_path, {"app": {"depends_on": ["db"]}, "db": {}}, include=["other.yml"])

    with pytest.raises(CouldNotMeasure, match="it includes other files") as caught:
        read_order(Order(compose=str(path)))
    assert "docker compose config > FILE" in caught.value.remedy


def test_first_compose_that_answers_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(
        tmp_path / "docker",
        "import sys\nassert sys.argv[1] == 'compose'\n"
        "print('services: {app: {depends_on: {db: {condition: service_started}}}, db: {}}')",
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    path = written(tmp_path, {"app": {}}, include=["other.yml"])

    assert read_order(Order(compose=str(path))).loose == [
        "app waits for db: service_started (depends_on)"
    ]
