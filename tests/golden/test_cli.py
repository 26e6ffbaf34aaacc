"""What the command line answers to mistakes: one clear message, exit code 2, no traceback.

`READINESS_GOLDEN=update` rewrites the expected texts.
"""

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from readiness.cli.main import main

EXPECTED = Path(__file__).parent / "cli_errors"
NO_FILE = {
    "nothing": [],
    "missing-config": ["run", "--config", "nope.toml"],
    "misspelt-command": ["rnu"],
    "misspelt-option": ["run", "--relport-only"],
    "misspelt-subcommand": ["config", "chekc"],
    "reference-and-config": ["run", "--reference", "--config", "x.toml"],
    "unknown-provider": ["run", "--reference", "--provider", "podman"],
    "unknown-check": ["explain", "backup.restoers"],
    "missing-record": ["report", "nope.json"],
    "nothing-to-show": ["show"],
    "missing-old-record": ["diff", "a.json", "b.json"],
    "unknown-fault": ["prove", "-k", "no such fault"],
    "workers": ["run", "-n", "many"],
    "unknown-format": ["list", "--format", "yaml"],
}
WITH_FILE = {
    "init-twice": ["init"],
    "unknown-effect": ["run", "--allow", "lod"],
    "not-allowed-in-file": ["run", "--allow", "disrupt", "--confirm", "x"],
    "missing-baseline": ["run", "--baseline", "nope.json"],
    "unknown-suite": ["run", "--suite", "monitorng"],
    "unknown-selection": ["run", "--select", "backup.frehs"],
    "signoff-without-person": ["signoff", "uat", "--evidence", "x"],
    "signoff-by-the-deployer": ["signoff", "uat", "--person", "Bot", "--evidence", "x"],
    "signoff-date": [
        *("signoff", "uat", "--person", "Ada", "--evidence", "x"),
        *("--expires", "tomorrow"),
    ],
}
RECORDS = {
    "not-json": "verdict: READY\n",
    "another-format": '{"format": "readiness/0"}',
    "a-list": "[]",
    "a-field-is-missing": '{"format": "readiness/1", "verdict": "READY"}',
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith(("READINESS_CONFIG", "PYTEST_XDIST"))]:
        monkeypatch.delenv(name)
    return tmp_path


def compare(name: str, arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments, prog_name="readiness")
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    # A slow machine says meanwhile that it is alive.
    output = re.sub(r"(?m)^\.\.\. .*\n", "", result.output)
    told = f"$ readiness {' '.join(arguments)}\n{output}"
    path = EXPECTED / f"{name}.txt"
    if os.environ.get("READINESS_GOLDEN") == "update":
        path.parent.mkdir(exist_ok=True)
        path.write_text(told, encoding="utf-8")
    assert told == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NO_FILE)
def test_a_mistake_without_a_file(name: str) -> None:
    compare(name, NO_FILE[name])


@pytest.mark.parametrize("name", WITH_FILE)
def test_a_mistake_with_a_file(name: str, folder: Path) -> None:
    (folder / "readiness.toml").write_text(
        '[target]\nname = "demo"\nrelease = "1"\ndeployer = "bot"\n'
    )
    compare(name, WITH_FILE[name])


def test_a_folder_that_was_deleted(folder: Path) -> None:
    folder.rmdir()
    compare("deleted-folder", ["doctor"])
    folder.mkdir()


def test_a_file_that_is_empty_judges_nothing(folder: Path) -> None:
    (folder / "readiness.toml").write_text("")
    compare("empty-file", ["run", "--config", "readiness.toml"])


def test_a_file_that_declares_nothing_judges_nothing(folder: Path) -> None:
    (folder / "readiness.toml").write_text('[target]\nname = "demo"\n')
    compare("nothing-declared", ["run", "--config", "readiness.toml"])
    assert not (folder / "reports").exists()


def test_a_check_that_is_not_in_the_record(folder: Path) -> None:
    from tests.support.records import small_record

    (folder / "record.json").write_text(small_record().to_json())
    compare("unknown-recorded-check", ["show", "record.json", "--check", "monitoring.target-up"])


DECISIONS = """
[target]
name = "demo"

[services.api]
url = "http://127.0.0.1:1"

[[not_applicable]]
what = "scalling"
reason = "one replica is enough"
owner = "Ada"
approver = "Grace"
review = 2099-01-01

[[observe_only]]
what = "monitorng.*"
reason = "first weeks"
owner = "Ada"
until = 2099-01-01

[[waiver]]
check = "monitoring.health-endpoint"
owner = "Ada"
approver = "Grace"
reason = "known"
expires = 2099-01-01

[[waiver]]
check = "monitoring.health-endpoints"
subject = "ap"
owner = "Ada"
approver = "Grace"
reason = "known"
expires = 2099-01-01
"""


def test_config_check_finds_decisions_on_what_does_not_exist(folder: Path) -> None:
    limit = "[gate]\nwaiver_max_days = 40000\nreview_max_days = 40000\n"
    (folder / "readiness.toml").write_text(limit + DECISIONS)
    command = ["config", "check", "--config", "readiness.toml"]
    compare("decisions", command)
    right = DECISIONS.replace("scalling", "scaling").replace('"ap"', '"api"')
    right = right.replace('health-endpoint"', 'health-endpoints"').replace(
        "monitorng", "monitoring"
    )
    (folder / "readiness.toml").write_text(limit + right)
    result = CliRunner().invoke(main, command, prog_name="readiness")
    assert (result.exit_code, result.output) == (0, "readiness.toml: no mistakes found\n")


@pytest.mark.parametrize("name", RECORDS)
def test_a_mistake_in_a_record(name: str, folder: Path) -> None:
    (folder / "record.json").write_text(RECORDS[name])
    compare(f"record-{name}", ["report", "record.json"])


def test_a_record_that_was_altered_is_refused(folder: Path) -> None:
    from tests.support.records import small_record

    text = small_record().to_json()
    for old, new in (('"outcome": "fail"', '"outcome": "pass"'), ("NOT READY", "READY")):
        assert old in text
        (folder / "record.json").write_text(text.replace(old, new))
        result = CliRunner().invoke(main, ["report", "record.json"])
        assert result.exit_code == 2
        assert "Traceback" not in result.output
