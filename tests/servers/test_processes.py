"""A daemon whose owner is being stopped while it starts leaves no process."""

import sys
from pathlib import Path

import pytest

from readiness.lib.guardian import Guardian
from readiness.model.errors import ReadinessError
from readiness.servers.processes import Daemon


@pytest.mark.parametrize("missing", ["folder", "guardian"])
def test_a_start_that_cannot_be_registered_leaves_no_process(tmp_path: Path, missing: str) -> None:
    with Guardian() as guardian:
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        daemon = Daemon("late", lambda _: command, tmp_path, guardian)
        if missing == "folder":
            daemon.pid_file.mkdir()  # cannot be written, as in a folder that was just removed
        else:
            guardian.undo()
        with pytest.raises((OSError, ReadinessError)):
            daemon.start()
    assert daemon.process is not None
    assert daemon.process.returncode is not None
