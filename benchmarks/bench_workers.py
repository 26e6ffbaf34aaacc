"""Load generators: two workers against one, and those of other machines against one process.

PYTHONPATH=. python benchmarks/bench_workers.py [ROUNDS]

nginx answers a small page. Users without a pause show how much one process can send, and two.
Then the same 200 requests/s are sent by one process, and by a master and two workers in three
network namespaces (root only): their figures must be the same.
"""

import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from unittest.mock import patch

import pytest

from readiness.areas.performance import load
from readiness.areas.performance.config import Load
from readiness.areas.performance.load import Loaded
from readiness.config.base.tables import Service
from readiness.lib.guardian import Guardian
from readiness.lib.sampling import percentile
from readiness.servers import programs
from readiness.servers.processes import Daemon, free_port
from tests.support.namespaces import namespaces

DEMANDED: Final = 1.8
SECONDS: Final = 5.0
RATE: Final = 200.0
# One process has its own queue of two milliseconds at this rate.
SAME_MS: Final = 5.0
USERS: Final = """
from locust import FastHttpUser, task

class Shopper(FastHttpUser):
    @task
    def look(self):
        self.client.get("/")
"""
CONFIG: Final = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen {port}; location / {{ return 200 "{{}}"; }} }}
}}
"""


def main(rounds: int = 3) -> int:
    """0 if both are as demanded."""
    with tempfile.TemporaryDirectory() as place, served(Path(place)) as port:
        print(f"load average {os.getloadavg()[0]:.1f}")
        ratio = scaled(Path(place), f"http://127.0.0.1:{port}", rounds)
        same = away(Path(place), port)
    return 0 if ratio >= DEMANDED and same else 1


def scaled(folder: Path, url: str, rounds: int) -> float:
    """How many times as much two processes send as one, in turns."""
    file = folder / "users.py"
    file.write_text(USERS)
    found: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for processes, rates in found.items():
            users = {"locustfile": str(file), "users": 20 * processes, "processes": processes}
            # A generator at its limit is what is measured here.
            with patch.object(load, "_MOST_CPU", math.inf):
                rates.append(sent(declared(**users), url).good_per_s)
    one, two = (statistics.median(found[processes]) for processes in (1, 2))
    print(f"one process  {one:10,.0f} requests/s, median of {rounds}")
    print(f"two          {two:10,.0f} requests/s: {two / one:.2f} times, demanded {DEMANDED}")
    return two / one


def away(folder: Path, port: int) -> bool:
    """Whether workers of other machines have the figures of one process here."""
    table = {"requests": [{"path": "/"}], "rate": RATE}
    here = sent(declared(**table), f"http://127.0.0.1:{port}")
    names = ("readiness-bench-a", "readiness-bench-b")
    try:
        with ExitStack() as stack:
            host = stack.enter_context(namespaces(*names))
            bind = {"bind": host, "port": free_port(), "workers": 2}
            for name in names:
                stack.enter_context(worker(folder / name, name, bind["bind"], bind["port"]))
            there = sent(declared(**table, generators=bind), f"http://{host}:{port}")
    except pytest.skip.Exception as reason:
        print(f"three namespaces: not tried: {reason}")
        return True
    shown = [(len(one.asked), one.failed, *_figures(one)) for one in (here, there)]
    for name, (count, failed, p50, p95) in zip(
        ("one process", "three namespaces"), shown, strict=True
    ):
        print(f"{name:16} {count} sent, {failed} failed, p50 {p50:.1f} ms, p95 {p95:.1f} ms")
    (_, _, *mine), (_, _, *theirs) = shown
    same = max(abs(a - b) for a, b in zip(mine, theirs, strict=True))
    print(f"they differ by {same:.1f} ms at most (demanded: {SAME_MS:g})")
    return shown[0][:2] == shown[1][:2] and same <= SAME_MS


def _figures(loaded: Loaded) -> tuple[float, float]:
    return percentile(loaded.good, 0.5), percentile(loaded.good, 0.95)


def declared(**settings: object) -> Load:
    values: dict[str, object] = {
        "name": "bench", "service": "api", "max_p95_ms": 100, "max_late_ms": 60_000,
        "warm_up_s": 1, "duration_s": SECONDS, **settings,
    }  # fmt: skip
    return Load.model_validate({k: v for k, v in values.items() if v is not None})


def sent(one: Load, url: str) -> Loaded:
    return load.load(one, Service.model_validate({"url": url}), seconds=SECONDS)


@contextmanager
def worker(folder: Path, name: str, host: object, port: object) -> Iterator[None]:
    folder.mkdir()
    argv = ["ip", "netns", "exec", name, sys.executable, "-m", "locust", "-f", "-", "--worker"]
    with subprocess.Popen(
        [*argv, "--master-host", str(host), "--master-port", str(port)],
        env={**os.environ, "TMPDIR": str(folder)},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield
        finally:
            process.kill()


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """nginx, on all addresses of this machine."""
    folder.chmod(0o755)
    file = folder / "nginx.conf"

    def command(port: int) -> list[str]:
        file.write_text(CONFIG.format(folder=folder, port=port))
        program = programs.get(programs.NGINX)
        return [program, "-p", str(folder), "-c", str(file), "-g", "daemon off;"]

    with Guardian() as guardian:
        daemon = Daemon("nginx", command, folder, guardian).start()
        try:
            yield daemon.port
        finally:
            daemon.stop()


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
