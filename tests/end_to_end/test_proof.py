"""The proof of the checks: three faults as a user's run sees them, others by the prover.

The three show that the prover, which forks its runs, sees what `readiness run` sees. Every check
is proven by `make prove-quick`, every fault by `make prove`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path

import pytest

from readiness.areas.registry import areas
from readiness.lib import bundle
from readiness.model.fault import Fault, one_for_each_judgement
from readiness.prove.prover import Proof, Prover
from readiness.prove.warm import shut_down
from readiness.reference.system import ReferenceSystem
from readiness.run import catalogue

FAULTS = {fault.name: fault for fault in catalogue.faults()}
# Each is caught by another kind of probe: of a file, of a metric, of the database.
BY_HAND = ["signoff_has_expired", "health_is_html", "monitoring_is_superuser"]
# Of each other area one that is broken, seen and restored in seconds.
SAMPLE = [
    "severity_is_misspelled",
    "roles_not_backed_up",
    "backup_missing",
    "admin_pages_are_open",
    "min_replicas_lowered",
    "grant_by_hand",
    "slow_view",
    "variable_empty",
    "archive_runs_latest",
    "render_without_health_path",
    "hsts_is_missing",
]
_BROKEN = {"fail", "error", "warn"}


@pytest.fixture(scope="module")
def system() -> Iterator[ReferenceSystem]:
    with ReferenceSystem.start() as started:
        yield started


def test_a_run_of_the_file_finds_exactly_what_the_faults_broke(
    system: ReferenceSystem, tmp_path: Path
) -> None:
    faults = [FAULTS[name] for name in BY_HAND]
    with ExitStack() as broken:
        for fault in faults:
            broken.enter_context(fault.apply(system))
        found = _run(system, faults, tmp_path)
    assert found == {check for fault in faults for check in fault.misses}


def _clean_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}


def _run(system: ReferenceSystem, faults: Sequence[Fault], reports: Path) -> set[str]:
    """The checks that do not pass, of the suites of faults; what loads or disrupts is not run."""
    suites = sorted({f"--suite={suite}" for fault in faults for suite in fault.suites})
    ended = subprocess.run(
        [sys.executable, "-m", "readiness", "run", "--config", str(system.config_path),
         "--reports", str(reports), "-n", "2", *suites],
        env=_clean_environment() | system.environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip
    assert "Traceback" not in ended.stderr, ended.stderr
    record = json.loads((reports / "readiness.json").read_text())
    assert record["incidents"] == []
    return {
        f"{check['id']}[{check['subject']}]"
        for check in record["checks"]
        if check["outcome"] in _BROKEN
    }


@pytest.fixture(scope="module")
def proofs(system: ReferenceSystem) -> dict[str, Proof]:
    """The prover's, on the same system: a second one would take as long as several faults."""
    prover = Prover(provider=None, systems=1, say=lambda _: None, quick=True)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ReferenceSystem, "start", lambda **_: nullcontext(system))
            tried = prover.prove([FAULTS[name] for name in SAMPLE], healthy=0)
            return {proof.fault: proof for proof in tried}
    finally:
        shut_down()


@pytest.mark.parametrize("name", SAMPLE)
def test_a_fault_of_each_area_makes_exactly_its_checks_fail(
    proofs: dict[str, Proof], name: str
) -> None:
    if proofs[name].untried:
        pytest.skip(f"not tried, and not proven: {proofs[name].untried}")
    assert proofs[name].proven, json.dumps(proofs[name].to_dict(), indent=1)


def test_the_healthy_system_has_no_finding_after_its_faults(proofs: dict[str, Proof]) -> None:
    """After those of the sample, and after those that were seen by a run before."""
    (last,) = (proof for name, proof in proofs.items() if name not in FAULTS)
    assert last.proven, json.dumps(last.to_dict(), indent=1)


def test_the_sample_has_a_fault_of_each_area() -> None:
    areas = {entry.spec.suite for entry in catalogue.entries()}
    assert {suite for name in BY_HAND + SAMPLE for suite in FAULTS[name].suites} == areas


def test_every_check_is_proven_by_the_quick_proof() -> None:
    quick = one_for_each_judgement(FAULTS.values())
    assert {check for fault in quick for check in fault.checks} == bundle.known_ids()


def test_no_secret_reaches_an_output(system: ReferenceSystem, tmp_path: Path) -> None:
    """The canary: whatever fails, no password of the target stands in any file.

    It is the last test: what watches the service takes a while to see that it is back.
    """
    # Alerts have no secret of their own, and take longest.
    suites = [f"--suite={area.name}" for area in areas() if area.name != "alerting"]
    with system.levers.stop_service(), system.levers.revoke("pg_monitor", of="shop_monitor"):
        run = subprocess.run(
            [sys.executable, "-m", "readiness", "run", "--config", str(system.config_path),
             "--reports", str(tmp_path / "r"), "-n", "2", *suites],
            cwd=tmp_path, env=_clean_environment() | system.environ, capture_output=True,
            text=True, timeout=900, check=False,
        )  # fmt: skip
    assert run.returncode in {1, 3}, run.stdout
    secrets = [
        value.partition("://")[2].partition("@")[0].rpartition(":")[2]
        for name, value in system.environ.items()
        if name.endswith("_DSN")
    ] + [value for name, value in system.environ.items() if not name.endswith(("_DSN", "_FOLDER"))]
    assert all(len(secret) > 8 for secret in secrets)
    assert len(secrets) >= 5
    texts = [run.stdout, run.stderr] + [
        path.read_text(errors="replace") for path in (tmp_path / "r").rglob("*") if path.is_file()
    ]
    assert len(texts) > 6
    for secret in secrets:
        assert not any(secret in text for text in texts)
