"""Workers of pytest-xdist on other machines, as the page says; namespaces stand for machines."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from readiness.model.verdict import ExitCode
from tests.support.monitored_service import GATED, MonitoredService
from tests.support.namespaces import NETWORK, namespaces

pytestmark = pytest.mark.contract

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs/how-to/scale-out.md").read_text(encoding="utf-8")
# What sshd does with the command of a client: one string, for a shell.
_SSH: Final = '#!/bin/sh\nhost=$1; shift\nexec ip netns exec "$host" sh -c "$*"\n'


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_workers_on_other_machines_judge_the_target(tmp_path: Path) -> None:
    on, command = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[-2:]
    (tmp_path / "bin").mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / "suites").symlink_to(ROOT / "suites")
    _program(tmp_path / "on", on)
    _program(tmp_path / "bin/ssh", _SSH)
    _program(tmp_path / ".venv/bin/python", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    only = "--readiness-select=monitoring.health-endpoints"
    with namespaces("gate-2", "gate-3") as here, MonitoredService(host=here) as service:
        (tmp_path / "readiness.toml").write_text(GATED.format(url=service.url))
        done = subprocess.run(
            ["sh", "-c", f"{command.strip()} {only}"],
            cwd=tmp_path, env=os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
    record = json.loads((tmp_path / "reports/readiness.json").read_text())
    outcomes = {check["id"]: check["outcome"] for check in record["checks"]}
    # The rest was not selected: a partial run is never READY.
    assert done.returncode == ExitCode.INCOMPLETE, done.stdout + done.stderr
    assert outcomes["monitoring.health-endpoints"] == "pass"
    assert service.clients
    assert service.clients <= {f"{NETWORK}.2", f"{NETWORK}.3"}
