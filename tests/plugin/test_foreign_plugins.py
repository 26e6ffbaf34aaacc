"""Plugins of the user's environment: an installed one that runs failed tests again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin.gates import CONFIG, HEAD, XDIST, Gate

# As pytest-rerunfailures and flaky do it: only the report of the last try is seen.
PLUGIN = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if any(report.failed for report in reports):
        item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
"""
SECOND_TRY = """
import pathlib
@check("own.second-try", title="t", why="w", fix="f", severity="blocker")
def test_second_try(evidence):
    mark = pathlib.Path(__file__).with_name("mark")
    tries = mark.read_text() if mark.exists() else ""
    mark.write_text(tries + "x")
    evidence.judge("value", figure(3 if not tries else 1), at_most(2))
"""


@pytest.fixture
def rerunner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution with an entry point, as pip would leave it."""
    site = tmp_path / "site"
    folder = site / "pytest_again-1.0.dist-info"
    folder.mkdir(parents=True)
    (site / "pytest_again.py").write_text(PLUGIN)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: pytest-again\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[pytest11]\nagain = pytest_again\n")
    inherited = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(site), inherited])))


@XDIST
@pytest.mark.usefixtures("rerunner")
def test_a_run_loads_no_plugin_that_runs_a_check_again(tmp_path: Path, workers: str) -> None:
    (tmp_path / "readiness.toml").write_text(f'{CONFIG}[gate]\nsuites = ["checks"]\n')
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/test_own.py").write_text(HEAD + SECOND_TRY)
    command = [sys.executable, "-m", "readiness", "run", "-n", workers]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    record = json.loads((tmp_path / "reports/readiness.json").read_text())
    outcomes = {c["id"]: c["outcome"] for c in record["checks"]}
    assert outcomes["own.second-try"] == "fail"
    assert (tmp_path / "checks/mark").read_text() == "x"
    assert (ended.returncode, record["verdict"]) == (1, "NOT READY")
    assert record["run"]["plugins"] == []


@pytest.mark.usefixtures("rerunner")
def test_plain_pytest_names_the_plugin_and_is_incomplete(gate: Gate) -> None:
    run = gate(SECOND_TRY, apart=True)
    assert run.outcomes == {"own.second-try[demo]": "pass"}
    assert (run.code, run.verdict) == (3, "INCOMPLETE")
    assert "pytest-again 1.0" in run.record["run"]["plugins"]
    assert "plugin pytest_again can change an outcome" in " ".join(run.record["reasons"])


def test_plugins_that_change_no_outcome_are_allowed(gate: Gate) -> None:
    run = gate(SECOND_TRY.replace("3 if", "1 if"), "-p", "pytester", apart=True)
    assert (run.code, run.verdict) == (0, "READY"), run.text
