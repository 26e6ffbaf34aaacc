"""A gate in a folder of its own, run as a user would run it with plain pytest."""

import importlib
import os
import pkgutil

import pytest

from readiness import report
from readiness.run import plugin
from tests.plugin.harness import CONFIG, HEAD, Gate, Run

# pytester forgets what a run in this process imports; what is here before, it leaves alone.
for _package in (plugin, report):
    for _module in pkgutil.iter_modules(_package.__path__, f"{_package.__name__}."):
        importlib.import_module(_module.name)


@pytest.fixture(params=["0", "2"], ids=["serial", "xdist"])
def workers(request: pytest.FixtureRequest) -> str:
    """Both ways to run: in one process, and with two workers."""
    return str(request.param)


@pytest.fixture
def gate(pytester: pytest.Pytester, workers: str, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Run checks: `gate(source, *arguments, config=..., conftest=..., workers=...)`.

    With `apart` it is run in a process of its own, which sees what the environment says.

    Without workers it is run in this process: four fifths of its time would go to imports.
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
        if workers == "0" and not apart:
            # A run that is refused ends as an interrupted one does.
            result = pytester.runpytest_inprocess(*asked, no_reraise_ctrlc=True)
        else:
            result = pytester.runpytest_subprocess(*asked, timeout=120)
        return Run(int(result.ret), result.stdout.str() + result.stderr.str(), pytester.path)

    return run
