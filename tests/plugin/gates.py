"""A gate in a folder of its own, run as a user would run it with plain pytest."""

import os

import pytest

from tests.plugin.harness import CONFIG, HEAD, Gate, Run


@pytest.fixture(params=["0", "2"], ids=["serial", "xdist"])
def workers(request: pytest.FixtureRequest) -> str:
    """Both ways to run: in one process, and with two workers."""
    return str(request.param)


@pytest.fixture
def gate(pytester: pytest.Pytester, workers: str, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Run checks: `gate(source, *arguments, config=..., conftest=...)`."""
    # These tests may run in a worker themselves; the gate inside must not think that it does.
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST")]:
        monkeypatch.delenv(name)

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
            *("--readiness", "-p", "no:locust", "-p", "no:hypothesispytest", "-n", workers),
            # All of these checks stand in one file, which two workers are to share here.
            *("--dist", "load"),
            *arguments,
            "checks",
            timeout=120,
        )
        return Run(int(result.ret), result.stdout.str() + result.stderr.str(), pytester.path)

    return run
