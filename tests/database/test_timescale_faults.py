"""The faults of TimescaleDB, on one in WebAssembly: each makes exactly its judgements miss.

`readiness prove -k timescale` tries them on a reference system, where TimescaleDB is installed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from readiness.areas.database.reference import parts
from readiness.areas.database.reference.target import timescale as tables
from readiness.areas.database.reference.timescale import TimescaleLevers
from readiness.model.fault import faults_of
from readiness.prove.prover import Proof
from readiness.prove.runner import CheckRunner
from readiness.prove.warm import Warm, shut_down
from readiness.reference.levers import Levers
from readiness.reference.system import ReferenceSystem
from tests.support.timescale_server import MONITOR, TimescaleServer, run_jobs

pytestmark = pytest.mark.contract

CHECKS: Final = {"database.timescale", "database.hypertables"}
# What else reads tables and indexes: they have no finding about hypertables and chunks.
OTHERS: Final = {
    f"database.{slug}"
    for slug in ("bloat", "growth", "indexes", "invalid-indexes", "privileges", "vacuum")
} | {"database.sequence-exhaustion"}
TARGET: Final = """
[target]
name = "metrics"
allow_in_production = ["load", "disrupt"]
"""
# What it stops only the real one has: a background worker.
NOT_TRIED: Final = {"timescale_scheduler_is_stopped"}
FAULTS: Final = {
    fault.name: fault for fault in faults_of(import_module("suites.database.faults_timescale"))
}


class _WithoutWorkers(TimescaleLevers):
    """Levers on a server without a scheduler: they run its jobs, each once."""

    def _settle(self) -> None:
        run_jobs(self._dsn)

    def _run(self, procedure: str) -> None:  # noqa: ARG002 - all of them
        run_jobs(self._dsn)


class _Levers(Levers):
    """Those of a system that has nothing but a readiness.toml and the metrics."""

    def __init__(self, config: Path, server: TimescaleServer) -> None:
        self._parts: Any = SimpleNamespace(config=config)
        self._server = server

    @property
    def timescale(self) -> TimescaleLevers:
        return _WithoutWorkers(self._server.dsn())


@dataclass
class _System:
    """What faults and looks ask of a reference system."""

    folder: Path
    config_path: Path
    environ: dict[str, str]
    levers: Levers
    absent: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def system(timescale_server: TimescaleServer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("system")
    config = folder / "readiness.toml"
    config.write_text(TARGET + tables(folder / "history"))
    environ = {"REFERENCE_METRICS_DSN": timescale_server.dsn(user=MONITOR)}
    parts.begin(folder / "history", *parts.taken(environ["REFERENCE_METRICS_DSN"]))
    return _System(folder, config, environ, _Levers(config, timescale_server))


@pytest.fixture(scope="module")
def runner() -> Iterator[CheckRunner]:
    yield CheckRunner(Warm(), 1)
    shut_down()


def test_untried_faults_exist() -> None:
    assert set(FAULTS) > NOT_TRIED


def test_healthy_metrics_pass(runner: CheckRunner, system: ReferenceSystem) -> None:
    assert runner.run(system, CHECKS | OTHERS) == ({}, "")


@pytest.mark.parametrize("name", sorted(set(FAULTS) - NOT_TRIED))
def test_fault_makes_exactly_its_judgements_miss(
    runner: CheckRunner, system: ReferenceSystem, name: str
) -> None:
    """What it left would be seen in the next one, and of the last one at the end."""
    fault = FAULTS[name]
    with fault.apply(system):
        seen, error = runner.run(system, CHECKS)
    proof = Proof(name, fault.story, fault.misses, seen, error=error)
    assert proof.proven, proof.to_dict()


def test_metrics_pass_after_all_faults(runner: CheckRunner, system: ReferenceSystem) -> None:
    assert runner.run(system, CHECKS | OTHERS) == ({}, "")
