"""Commands about the file alone: `plan`, `waivers`, `signoff`, `config check`, for programs."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from readiness.cli.main import main

SOON = (datetime.now(UTC) + timedelta(days=10)).date().isoformat()
FILE = f"""
[target]
name = "demo"
release = "1.2"
deployer = "bot"

[services.api]
url = "http://127.0.0.1:9"

[signoffs]
required = ["uat", "runbook"]

[[signoff]]
item = "uat"
person = "Ada"
evidence = "https://wiki.example.com/uat"
release = "1.2"
expires = {SOON}

[[not_applicable]]
what = "monitoring.scrape-jobs"
reason = "scraped by the platform"
owner = "Ada"
approver = "Grace"
review = {SOON}

[[observe_only]]
what = "signoff"
reason = "first weeks"
owner = "Ada"
until = 2020-01-01
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "readiness.toml").write_text(FILE)
    return tmp_path


def as_json(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(main, [*arguments, "--format", "json"], prog_name="readiness")
    assert result.exit_code == code, result.output
    return json.loads(result.output)


def test_a_plan_names_profile_checks_and_who_reports_the_environment() -> None:
    plan = as_json("plan")
    assert plan["profile"] == "core"
    assert plan["target"]["environment"] == "production"
    assert "[target.marker] is not configured" in plan["target"]["source"]
    checks = {(check["id"], check["subject"]): check for check in plan["checks"]}
    assert checks["monitoring.health-endpoints", "api"]["runs"]
    excused = checks["monitoring.scrape-jobs", ""]
    assert (excused["outcome"], excused["reason"]) == ("not-applicable", "scraped by the platform")
    assert not checks["backup.restores", ""]["required"]


def test_decisions_have_their_state_and_the_days_left() -> None:
    excused, observed = as_json("waivers")
    assert (excused["kind"], excused["valid"], excused["days_left"]) == ("not-applicable", True, 10)
    assert (observed["kind"], observed["valid"]) == ("observe-only", False)


def test_a_missing_signoff_fails_the_check_of_signoffs() -> None:
    uat, runbook = as_json("signoff", "--check", code=1)
    assert (uat["item"], uat["signed"]) == ("uat", True)
    assert not runbook["signed"]
    assert as_json("signoff") == [uat, runbook]


def test_mistakes_are_listed_for_programs(folder: Path) -> None:
    assert as_json("config", "check") == []
    (folder / "readiness.toml").write_text(FILE + "[gate]\nchek_timeout_s = 3\n")
    [mistake] = as_json("config", "check", code=2)
    assert "check_timeout_s" in mistake["message"]
    (folder / "readiness.toml").write_text(FILE.replace("scrape-jobs", "scrape-job"))
    [mistake] = as_json("config", "check", code=2)
    assert "Did you mean 'monitoring.scrape-jobs'?" in mistake["message"]
    (folder / "readiness.toml").write_text(FILE + "[gate]\nsuites = ['checks']\n")
    [mistake] = as_json("config", "check", code=2)
    assert mistake["message"] == "no folder 'checks' beside the file"
