"""The healthy reference system is READY where most of its parts cannot be had, and says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

from readiness.reference.parts import PARTS
from readiness.servers.programs import WITHOUT
from tests.parts import EVERY


def test_a_machine_without_most_parts_is_ready_and_reports_its_coverage(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "readiness", "run", "--reference", "--provider", "wheel",
         "--reports", tmp_path],
        env={**os.environ, WITHOUT: f"apt-get,postgres,{EVERY}"},
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    record = json.loads((tmp_path / "readiness.json").read_text())
    assert record["verdict"] == "READY"
    assert {check["outcome"] for check in record["checks"]} == {"pass", "not-applicable"}
    assert all(c["message"] for c in record["checks"] if c["outcome"] == "not-applicable")
    assert "WAL archive (" in record["target"]["note"]
    said = " ".join(run.stdout.split())
    first, last = said.split(" checks planned")
    assert "fleet (haproxy is disabled" in first
    assert "Reference system: " in last
    assert f" parts of {len(PARTS)}; without: " in last
