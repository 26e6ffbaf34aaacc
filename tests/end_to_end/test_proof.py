"""The proof of every check: each fault turns exactly its checks red, and nothing else is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from readiness import catalogue
from readiness.prove import HEALTHY

RUNS = 5


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    folder = tmp_path_factory.mktemp("proof")
    page = folder / "proofs.html"
    run = subprocess.run(
        [sys.executable, "-m", "readiness", "prove", "--format", "json", "--html", page,
         "--healthy", str(RUNS), "-n", "1"],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )  # fmt: skip
    assert run.stdout, run.stderr
    assert Path(page).read_text().count("<tr>") > RUNS
    return {proof["fault"]: proof for proof in json.loads(run.stdout)}


@pytest.mark.parametrize("name", [fault.name for fault in catalogue.faults()])
def test_the_fault_turns_exactly_its_checks_red(
    proofs: dict[str, dict[str, object]], name: str
) -> None:
    assert proofs[name]["proven"], json.dumps(proofs[name], indent=1)


@pytest.mark.parametrize("turn", range(1, RUNS + 1))
def test_the_healthy_system_has_no_finding(proofs: dict[str, dict[str, object]], turn: int) -> None:
    proof = proofs[f"{HEALTHY}, run {turn} of {RUNS}"]
    assert proof["proven"], json.dumps(proof, indent=1)


def test_the_proof_covers_all_faults(proofs: dict[str, dict[str, object]]) -> None:
    assert len(proofs) == len(catalogue.faults()) + RUNS
