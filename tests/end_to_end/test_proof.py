"""The proof of every check: a fault turns exactly its checks red, and nothing else is.

One fault for each check, and the checks of its own suite: `make prove` tries all faults, and all
checks while each of them lasts. A fault of a part that this machine does not have is not tried and
not proven: its test is skipped with the reason, unless READINESS_TEST_NEEDS_PART asks for the part.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from readiness import bundle, catalogue
from readiness.faults import one_for_each_check
from readiness.prove import HEALTHY

# Whole runs of a healthy system; `make ready` and the wheel's run are two more, on fresh ones.
RUNS = 1
FAULTS = one_for_each_check(catalogue.faults())


def _variable(part: str) -> str:
    return part.upper().replace(" ", "_")


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    folder = tmp_path_factory.mktemp("proof")
    page = folder / "proofs.html"
    run = subprocess.run(
        [sys.executable, "-m", "readiness", "prove", "--format", "json", "--html", page,
         "--healthy", str(RUNS), "-n", "3", "--quick"],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=4500,
        check=False,
    )  # fmt: skip
    assert run.stdout, run.stderr
    assert Path(page).read_text().count("<tr>") > RUNS
    return {proof["fault"]: proof for proof in json.loads(run.stdout)}


@pytest.mark.parametrize("name", [fault.name for fault in FAULTS])
def test_the_fault_turns_exactly_its_checks_red(
    proofs: dict[str, dict[str, object]], name: str
) -> None:
    needs = next(fault.needs for fault in FAULTS if fault.name == name)
    untried = proofs[name]["untried"]
    if untried and not os.environ.get(f"READINESS_TEST_NEEDS_{_variable(needs)}"):
        pytest.skip(f"not tried, and not proven: {untried}")
    assert proofs[name]["proven"], json.dumps(proofs[name], indent=1)


@pytest.mark.parametrize("turn", range(1, RUNS + 1))
def test_the_healthy_system_has_no_finding(proofs: dict[str, dict[str, object]], turn: int) -> None:
    proof = proofs[f"{HEALTHY}, run {turn} of {RUNS}"]
    assert proof["proven"], json.dumps(proof, indent=1)


def test_every_check_is_proven(proofs: dict[str, dict[str, object]]) -> None:
    assert len(proofs) == len(FAULTS) + RUNS
    assert {check for fault in FAULTS for check in fault.checks} == bundle.known_ids()
