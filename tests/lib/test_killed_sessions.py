"""Nothing is left of a run, or of a session of tests, whose processes are all killed at once."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from readiness.lib import watchdog
from tests.plugin.gates import CONFIG, HEAD
from tests.support.leftovers import MARK
from tests.support.processes import eventually, gone

pytestmark = pytest.mark.contract

_ROOT: Final = Path(__file__).parents[2]
_RUN: Final = "READINESS_TEST_KILLED"
# A server without a guardian of its own, and a program in a session of its own.
_SESSION: Final = """
import os, signal, subprocess
from pathlib import Path
from readiness.servers.postgres import PrivatePostgres

def test_waits(tmp_path):
    server = PrivatePostgres.start(tmp_path / "pg")
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    left = Path(os.environ["LEFT"])
    told = f"{server.process.pid} {other.pid}\\n{os.environ['TMPDIR']}"
    left.with_suffix(".new").write_text(told)
    left.with_suffix(".new").rename(left)
    signal.pause()
"""
_CHECK: Final = """
import os, signal, subprocess, tempfile
from pathlib import Path

@check("own.waits", title="t", why="w", fix="f")
def test_waits(evidence):
    folder = tempfile.mkdtemp(prefix="readiness-")
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    left = Path(os.environ["LEFT"])
    left.with_suffix(".new").write_text(f"{other.pid}\\n{folder}")
    left.with_suffix(".new").rename(left)
    signal.pause()
"""

Kill = Callable[[int], None]


def _the_group(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)


def _each_but_watchdogs(pid: int) -> None:
    """All at once: none of them sees another one go."""
    pids = [p for p in (pid, *watchdog.marked(_RUN, str(os.getpid()))) if not _is_watchdog(p)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for each in pids:
            os.kill(each, number)


def _is_watchdog(pid: int) -> bool:
    return watchdog.__file__.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


@pytest.fixture(params=[_the_group, _each_but_watchdogs], ids=["group", "each"])
def kill(request: pytest.FixtureRequest) -> Kill:
    """Two ways to kill a run and all that it started."""
    found: Kill = request.param
    return found


def _killed(command: list[str], folder: Path, kill: Kill) -> tuple[list[int], list[Path]]:
    """Start it, wait until it says what it would leave behind, and kill it."""
    left = folder / "left"
    ours = (MARK, watchdog.GUARD_VARIABLE, "TMPDIR")
    inherited = {
        k: v for k, v in os.environ.items() if k not in ours and not k.startswith("PYTEST_")
    }
    environ = {
        "PYTHONPATH": str(_ROOT),
        "LEFT": str(left),
        "PYTEST_DEBUG_TEMPROOT": str(folder),
        # It does not inherit our marks; this one finds what outlives it.
        _RUN: str(os.getpid()),
    }
    with subprocess.Popen(
        command,
        cwd=folder,
        env=inherited | environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            assert eventually(lambda: left.exists() or process.poll() is not None, 120)
            assert process.poll() is None, "it ended early"
        finally:
            kill(process.pid)
    pids, *folders = left.read_text().splitlines()
    return [int(pid) for pid in pids.split()], [Path(line) for line in folders]


def _nothing_is_left(pids: list[int], folders: list[Path]) -> bool:
    return (
        all(map(gone, pids))
        and not any(folder.exists() for folder in folders)
        and not watchdog.marked(_RUN, str(os.getpid()))
    )


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_killed_session_of_tests_leaves_nothing(tmp_path: Path, kill: Kill) -> None:
    test = tmp_path / "test_waits.py"
    test.write_text(_SESSION)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.support.leftovers",
        "-p",
        "no:cacheprovider",
    ]
    left = _killed([*command, "-n", "1", str(test)], tmp_path, kill)
    assert eventually(lambda: _nothing_is_left(*left)), left


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_killed_run_leaves_nothing(tmp_path: Path, kill: Kill) -> None:
    (tmp_path / "readiness.toml").write_text(f'{CONFIG}[gate]\nsuites = ["checks"]\n')
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/test_own.py").write_text(HEAD + _CHECK)
    command = [sys.executable, "-m", "readiness", "run", "--suite", "own", "-n", "2"]
    left = _killed(command, tmp_path, kill)
    assert eventually(lambda: _nothing_is_left(*left)), left


def test_a_session_that_leaves_something_fails_and_names_it(tmp_path: Path) -> None:
    test = tmp_path / "test_leaves.py"
    test.write_text(
        "import subprocess, tempfile\n"
        "def test_leaves():\n"
        "    subprocess.Popen(['sleep', '601'], start_new_session=True)\n"
        "    tempfile.mkdtemp(prefix='readiness-left-')\n"
    )
    inherited = {k: v for k, v in os.environ.items() if k != MARK and not k.startswith("PYTEST_")}
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.support.leftovers", "-p", "no:cacheprovider",
         str(test)],
        cwd=tmp_path,
        env=inherited | {"PYTHONPATH": str(_ROOT), "READINESS_TEST_LEAVING_S": "1"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED, ended.stdout
    assert "1 passed" in ended.stdout
    assert "LEFT BEHIND by this session: process" in ended.stdout
    assert "sleep 601" in ended.stdout
    assert "/readiness-left-" in ended.stdout
