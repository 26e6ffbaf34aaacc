"""A gate in a folder of its own, run as a user would run it with plain pytest."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["pytester"]

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


@pytest.fixture(params=["0", "2"], ids=["serial", "xdist"])
def workers(request: pytest.FixtureRequest) -> str:
    """Both ways to run: in one process, and with two workers."""
    return str(request.param)


@pytest.fixture
def gate(pytester: pytest.Pytester, workers: str) -> Gate:
    """Run checks: `gate(source, *arguments, config=..., conftest=...)`."""

    def run(
        source: str, *arguments: str, config: str = CONFIG, conftest: str = "", head: str = HEAD
    ) -> Run:
        (pytester.path / "readiness.toml").write_text(config)
        checks = pytester.path / "checks"
        checks.mkdir(exist_ok=True)
        (checks / "test_checks.py").write_text(head + source)
        if conftest:
            (checks / "conftest.py").write_text(conftest)
        result = pytester.runpytest_subprocess(
            "--readiness", "-p", "no:locust", "-n", workers, *arguments, "checks", timeout=120
        )
        return Run(int(result.ret), result.stdout.str() + result.stderr.str(), pytester.path)

    return run
