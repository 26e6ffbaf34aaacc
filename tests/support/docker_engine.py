"""A Docker engine of our own, which touches nothing of the machine's and leaves nothing.

It lives in namespaces of its own: its processes, its mounts and its /run end with it. Only the
bridge and the control groups are the machine's; the guardian removes them.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from readiness.lib.guardian import Guardian
from readiness.model.errors import ReadinessError, Unreachable
from readiness.servers.docker import knock

NEEDED: Final = "READINESS_TEST_NEEDS_DOCKER"
"""With this variable, a machine without an engine is a failure."""
_CGROUPS: Final = Path("/sys/fs/cgroup")
_START_TIMEOUT_S: Final = 60


@contextmanager
def docker_engine() -> Iterator[str]:
    """Run an engine; gives its address, as for DOCKER_HOST.

    Raises:
        ReadinessError: none can be started here.
    """
    _need_means()
    guardian = Guardian()
    process = None
    try:
        folder = Path(tempfile.mkdtemp(prefix="readiness-docker-"))
        guardian.remove(folder)
        name = f"docker-{os.getpid()}"  # short: it is an interface's too
        for group in (_CGROUPS, *_CGROUPS.glob("*/")):
            if (group / "cgroup.procs").exists():
                guardian.remove(group / name)
        guardian.run(["ip", "link", "delete", name])
        _make_bridge(name)
        process = _start(folder, name)
        guardian.kill(process.pid)
        host = f"unix://{folder}/docker.sock"
        _wait_for(host, process, folder / "log")
        yield host
    finally:
        guardian.undo()
        if process is not None:
            process.wait()


def _need_means() -> None:
    if os.geteuid() != 0:
        raise ReadinessError("a Docker engine of our own needs root")
    absent = [name for name in ("dockerd", "unshare", "ip") if not shutil.which(name)]
    if absent:
        raise ReadinessError(
            f"{', '.join(absent)} not found", remedy="apt-get install docker.io iproute2"
        )


def _make_bridge(name: str) -> None:
    # The addresses are set aside for tests (RFC 2544), and every process has others.
    address = f"198.18.{os.getpid() % 256}.1/24"
    for command in (
        ["link", "add", "name", name, "type", "bridge"],
        ["address", "add", address, "dev", name],
        ["link", "set", name, "up"],
    ):
        done = subprocess.run(["ip", *command], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ReadinessError(f"a bridge cannot be made: {done.stderr.strip()}")


def _start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    config = folder / "daemon.json"
    config.write_text("{}")  # and not the machine's
    engine = [
        *("dockerd", f"--config-file={config}", f"--host=unix://{folder}/docker.sock"),
        *(f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"),
        # Ports are published by its proxy alone: the machine's packet filter stays as it is.
        f"--bridge={name}",
        *("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
        *(f"--cgroup-parent=/{name}", "--exec-opt=native.cgroupdriver=cgroupfs"),
    ]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [
                *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
                *("sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh", *engine),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_for(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            knock(host)
        except Unreachable:
            time.sleep(0.05)
        else:
            return
    raise ReadinessError(f"the engine did not start: {log.read_text()[-3000:]}")
