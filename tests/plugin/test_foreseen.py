"""What is planned from the catalogue is what a collection would have planned."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from readiness.lib import bundle
from readiness.run import catalogue_file, gate
from readiness.run.plugin import foreseen
from tests.plugin.events import planned
from tests.plugin.gates import not_applicable

CONFIG = """
[target]
name = "small"
release = "1.0"

[services.api]
url = "http://127.0.0.1:1"
timeout_s = 0.5

[signoffs]
required = ["uat", "security"]
"""
EXCLUDED = not_applicable(
    {"scaling": "one replica is enough", "monitoring.metrics-truth": "nothing is counted"}
)
SIGNER = (
    CONFIG.replace('release = "1.0"', 'release = "1.0"\ndeployer = "somebody"')
    + '[gate]\nprofile = "full"\n'
    + EXCLUDED
)
# With `-k`, every module is imported, because only pytest knows the names that it matches.
COLLECTING = "not no_such_name_at_all"


def judged(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """The checks of a run of the shipped suites, without what differs from run to run."""
    (folder / "readiness.toml").write_text(SIGNER)
    command = [sys.executable, "-m", "pytest", str(bundle.suites()), "-p", "no:cacheprovider"]
    command += ["-c", str(gate.INI)]
    command += ["--rootdir", str(bundle.root()), "--confcutdir", str(bundle.root())]
    ended = subprocess.run(
        [*command, *arguments, "--readiness-record-only"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    path = folder / "reports/readiness.json"
    assert path.exists(), ended.stdout + ended.stderr
    record = json.loads(path.read_text())
    assert [i for i in record["incidents"] if i["kind"] != "dry-run"] == []
    for check in record["checks"]:
        del check["started"], check["duration_s"], check["measurements"]
        if check["outcome"] in {"error", "fail"}:
            del check["message"], check["causes"]  # name a page that is asked for at random
    checks: list[dict[str, Any]] = record["checks"]
    return checks


def test_a_run_is_the_same_as_one_that_collects_everything(tmp_path: Path) -> None:
    foreseen = judged(tmp_path, "-n", "2")
    collected = judged(tmp_path, "-n", "0", "-k", COLLECTING)
    assert foreseen == collected
    assert {check["id"] for check in foreseen} == bundle.known_ids()
    assert {check["outcome"] for check in foreseen} >= {"not-run", "not-applicable", "error"}


def test_a_plan_is_the_same_as_one_that_collects_everything(tmp_path: Path) -> None:
    foreseen = judged(tmp_path, "--collect-only")
    assert foreseen == judged(tmp_path, "--collect-only", "-k", COLLECTING)


@pytest.mark.parametrize(
    ("files", "checks", "expected"),
    [(9, 40, 4), (4, 40, 4), (3, 40, 3), (1, 40, 0), (9, 19, 0), (9, None, 4)],
)
def test_workers_follow_the_files_that_wait(
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
    files: int,
    checks: int | None,
    expected: int,
) -> None:
    plan = None if checks is None else [planned(f"f{n % files}.py::c{n}") for n in range(checks)]
    monkeypatch.setattr(foreseen, "_known_plan", lambda *_: plan)
    no_state: Any = None
    assert foreseen.workers(pytestconfig, no_state, 4) == expected


def test_a_module_whose_checks_cannot_run_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "readiness.toml").write_text(CONFIG.partition("[signoffs]")[0])
    script = (
        "import sys, pytest\n"
        "code = pytest.main(sys.argv[1:])\n"
        "libraries = ('psycopg', 're2')\n"
        "names = {name for name in sys.modules if 'backup' in name or name.startswith(libraries)}\n"
        "own = ('.config', 'areas.backup')\n"
        "names = {name for name in names if not name.endswith(own)}\n"
        "sys.exit(f'{code} {sorted(names)}')\n"
    )
    command = [sys.executable, "-c", script, "-n0", str(bundle.suites())]
    command += ["-c", str(gate.INI)]
    command += ["--rootdir", str(bundle.root()), "--confcutdir", str(bundle.root())]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stderr.strip().splitlines()[-1] == "3 []", ended.stdout


def test_an_edited_module_is_not_planned_from_the_catalogue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    edited = "backup/test_fresh.py"
    true = catalogue_file.hashes

    def one_is_edited(paths: list[Path]) -> dict[str, str]:
        return {name: "x" if name == edited else told for name, told in true(paths).items()}

    monkeypatch.setattr(catalogue_file, "hashes", one_is_edited)
    catalogue_file.unchanged.cache_clear()
    try:
        known = {one.module for one in catalogue_file.unchanged()}
        assert edited not in known
        assert "backup/test_storage.py" in known
        assert [path.name for path in catalogue_file.edited(catalogue_file.check_files())] == [
            "test_fresh.py"
        ]
    finally:
        catalogue_file.unchanged.cache_clear()
