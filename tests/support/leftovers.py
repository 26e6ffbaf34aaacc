"""A session of tests leaves nothing: what its own guardian ends if it is killed, else a failure.

The controller marks its environment, which all that it starts inherits, and gives the session a
temporary folder of its own. So only what is of this session is found, whoever else tests here.
"""

import os
import secrets
import tempfile
from pathlib import Path
from typing import Final

import pytest

from readiness.lib import watchdog
from readiness.lib.guardian import Guardian
from readiness.servers.files import memory_folder
from tests.support.processes import eventually

MARK: Final = "READINESS_TEST_SESSION"
_OURS: Final = ("readiness-", "rdy-", "order-service-")
_LEAVING_S: Final = float(os.environ.get("READINESS_TEST_LEAVING_S", "20"))


def pytest_configure(config: pytest.Config) -> None:
    """Begin the guard of the session; workers of xdist inherit it."""
    if hasattr(config, "workerinput") or MARK in os.environ:
        return
    config.pluginmanager.register(_Session(config), "leftovers of the session")


class _Session:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._id = secrets.token_hex(8)
        self._guardian = Guardian()
        memory = None if "TMPDIR" in os.environ else memory_folder()
        # Short, for the paths of sockets; readable, for servers of other accounts.
        self._folder = Path(tempfile.mkdtemp(prefix="rt-", dir=memory))
        self._folder.chmod(0o1777)
        # On a disk, folders of failed tests stay where pytest keeps the last three of them.
        kept = self._folder if memory else tempfile.gettempdir()
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(kept))
        self._guardian.remove(self._folder)
        os.environ |= {MARK: self._id, "TMPDIR": str(self._folder), **self._guardian.environ}
        tempfile.tempdir = None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the session if anything is left once its workers have ended."""
        if eventually(lambda: not self._left(), _LEAVING_S):
            return
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter:
            reporter.ensure_newline()
            for thing in self._left():
                reporter.write_line(f"LEFT BEHIND by this session: {thing}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self) -> None:
        """End what is left."""
        self._guardian.undo()

    def _left(self) -> list[str]:
        processes = [
            f"process {pid}: {command}"
            for pid in watchdog.marked(MARK, self._id)
            if (command := _command(pid))
        ]
        folders = [str(path) for path in self._folder.iterdir() if path.name.startswith(_OURS)]
        return sorted(processes) + sorted(folders)


def _command(pid: int) -> str:
    """The command line of a process; empty of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""
