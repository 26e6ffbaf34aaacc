"""The healthy reference system is READY where most of its parts cannot be had, and says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from readiness.model.errors import Unreachable
from readiness.reference.parts import PARTS
from readiness.servers.binaries import find_binaries
from readiness.servers.programs import WITHOUT
from tests.parts import EVERY, MONITORING, OTHERS


def judged(folder: Path, provider: str, without: str) -> tuple[str, dict[str, object]]:
    """What a whole run prints, and its record."""
    run = subprocess.run(
        [sys.executable, "-m", "readiness", "run", "--reference", "--provider", provider,
         "--reports", folder],
        env={**os.environ, WITHOUT: f"apt-get,{without}"},
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    record: dict[str, object] = json.loads((folder / "readiness.json").read_text())
    return run.stdout, record


@pytest.mark.parametrize(
    ("provider", "without"), [("wheel", f"postgres,{EVERY}"), ("local", OTHERS)]
)
def test_a_machine_without_most_parts_is_ready_and_reports_its_coverage(
    provider: str, without: str, tmp_path: Path
) -> None:
    if provider == "local":
        try:
            find_binaries("local")
        except Unreachable as problem:
            pytest.skip(problem.sentence)
    printed, record = judged(tmp_path, provider, f"{without},{MONITORING}")
    assert record["verdict"] == "READY"
    checks: list[dict[str, str]] = record["checks"]  # type: ignore[assignment]
    assert {check["outcome"] for check in checks} == {"pass", "not-applicable"}
    assert all(check["message"] for check in checks if check["outcome"] == "not-applicable")
    target: dict[str, str] = record["target"]  # type: ignore[assignment]
    assert "WAL archive (" in target["note"]
    said = " ".join(printed.split())
    first, last = said.split(" checks planned")
    assert "fleet (haproxy is disabled" in first
    assert "Reference system: " in last
    assert f" parts of {len(PARTS)}; without: " in last
