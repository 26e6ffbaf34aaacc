"""Runs a gate in a folder of its own, as a user would with plain pytest; gives what it left."""

import importlib
import json
import os
import pkgutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from readiness import report
from readiness.run import plugin

HEAD = """
import pytest
from readiness import Evidence, Measurement, at_most, check

def figure(value, unit="ms"):
    return Measurement("figure", value, unit, source="the test")
"""

CONFIG = """
[target]
name = "demo"
release = "1.0"
"""

PASS = """
@check("own.good", title="t", why="w", fix="f", severity="blocker")
def test_good(evidence):
    evidence.judge("value", figure(1), at_most(2))
"""
FAIL = """
@check("own.bad", title="t", why="w", fix="f", severity="blocker")
def test_bad(evidence):
    evidence.judge("value", figure(3), at_most(2), "too slow")
"""
MANY = """
@check("own.many", title="t", why="w", fix="f", severity="blocker")
@pytest.mark.parametrize("n", range(6))
def test_many(evidence, n):
    evidence.judge("value", figure(1), at_most(2))
"""


@dataclass(frozen=True)
class Run:
    """What a run left."""

    code: int
    text: str
    folder: Path

    @property
    def record(self) -> dict[str, Any]:
        return json.loads((self.folder / "reports/readiness.json").read_text())  # type: ignore[no-any-return]

    @property
    def has_record(self) -> bool:
        return (self.folder / "reports/readiness.json").exists()

    @property
    def verdict(self) -> str:
        return str(self.record["verdict"])

    @property
    def outcomes(self) -> dict[str, str]:
        return {
            f"{c['id']}[{c['subject']}]" if c["subject"] else c["id"]: c["outcome"]
            for c in self.record["checks"]
        }

    @property
    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.folder)): path.read_text(errors="replace")
            for path in (self.folder / "reports").rglob("*")
            if path.is_file()
        }


Gate = Callable[..., Run]
_LONGEST_S: Final = 120


# pytester forgets what a run in this process imports; what is here before, it leaves alone.
for _package in (plugin, report):
    for _module in pkgutil.iter_modules(_package.__path__, f"{_package.__name__}."):
        importlib.import_module(_module.name)


def not_applicable(checks: Mapping[str, str]) -> str:
    """The tables that exclude checks, by id, with the reason."""
    review = (datetime.now(UTC) + timedelta(days=30)).date()
    return "".join(
        f'[[not_applicable]]\nwhat = "{check}"\nreason = "{reason}"\nowner = "Ada"\n'
        f'approver = "Grace"\nreview = {review}\n'
        for check, reason in checks.items()
    )


BOTH: Final = pytest.mark.parametrize("workers", ["0", "2"], ids=["serial", "xdist"], indirect=True)
"""For what depends on how events reach the controller: their order, handover, the plan."""
XDIST: Final = pytest.mark.parametrize("workers", ["2"], indirect=True)


@contextmanager
def _no_longer() -> Iterator[None]:
    """Fail a run that waits for its workers for ever."""

    def too_long(*_: object) -> None:
        pytest.fail(f"the run took longer than {_LONGEST_S} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(_LONGEST_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def workers(request: pytest.FixtureRequest) -> str:
    """How many workers run the checks: none, in one process, unless a test is marked otherwise."""
    return str(getattr(request, "param", "0"))


@pytest.fixture
def gate(pytester: pytest.Pytester, workers: str, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Run checks: `gate(source, *arguments, config=..., conftest=..., workers=...)`.

    With `apart` it is run in a process of its own, which sees what the environment says.

    Otherwise it is run in this process: four fifths of its time would go to imports.
    """
    usual = ["--readiness", "-p", "no:locust", "-p", "no:hypothesispytest"]
    # All of these checks stand in one file, which two workers are to share here.
    usual += ["--dist", "load"]
    # These tests may run in a worker themselves; the gate inside must not think that it does.
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST")]:
        monkeypatch.delenv(name)

    def run(
        source: str,
        *arguments: str,
        config: str = CONFIG,
        conftest: str = "",
        head: str = HEAD,
        workers: str = workers,
        apart: bool = False,
    ) -> Run:
        (pytester.path / "readiness.toml").write_text(config)
        checks = pytester.path / "checks"
        checks.mkdir(exist_ok=True)
        (checks / "test_checks.py").write_text(head + source)
        if conftest:
            (checks / "conftest.py").write_text(conftest)
        asked = (*usual, "-n", workers, *arguments, "checks")
        if apart:
            result = pytester.runpytest_subprocess(*asked, timeout=_LONGEST_S)
        else:
            # Without workers, each check has a time limit of its own, by the same signal.
            with _no_longer() if workers != "0" else nullcontext():
                # A run that is refused ends as an interrupted one does.
                result = pytester.runpytest_inprocess(*asked, no_reraise_ctrlc=True)
        return Run(int(result.ret), result.stdout.str() + result.stderr.str(), pytester.path)

    return run
