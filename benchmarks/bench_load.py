"""Load: percentiles beside the truth while a server stands still for a known time.

PYTHONPATH=. python benchmarks/bench_load.py

The peers are locust as its documentation uses it (`constant_throughput`) and, where it is
installed, wrk. Both wait for an answer before they send the next request.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from readiness.areas.performance import load
from readiness.areas.performance.config import Load
from readiness.config.base.tables import Service
from readiness.lib.noise import watching
from readiness.lib.sampling import percentile

RATE: Final = 100
SECONDS: Final = 24
STALL_S: Final = 1.2
STALL_AT_S: Final = 15.0
DEMANDED: Final = 0.05
CLOSED: Final = """
from locust import FastHttpUser, constant_throughput, task

class Shopper(FastHttpUser):
    wait_time = constant_throughput({each})

    @task
    def look(self):
        self.client.get("/")
"""


class Stalling(ThreadingHTTPServer):
    """Answers at once, but stands still once for a known time."""

    daemon_threads = True
    # All that arrive during the stall; the kernel drops what the default of 5 does not hold.
    request_queue_size = 1024

    def __init__(self) -> None:
        self.first: float | None = None
        self.lock = threading.Lock()

        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                outer.wait()
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Clients that end in the middle are nothing to print."""

    def wait(self) -> None:
        """Stand still if it is time to; all requests of that time wait for its end."""
        with self.lock:
            self.first = self.first or time.monotonic()
        since = time.monotonic() - self.first
        if STALL_AT_S <= since < STALL_AT_S + STALL_S:
            time.sleep(STALL_AT_S + STALL_S - since)


def main() -> int:
    """0 if our percentiles are as exact as demanded."""
    truth = _truth()
    _row("truth, by calculation", truth)
    with _serving() as server, watching() as watch:
        ours = _ours(server.url)
    _row("ours, by locust", ours)
    print(f"noise meanwhile: {watch.seen()}")
    with _serving() as server:
        _row("locust, constant_throughput", _locust(server.url))
    if shutil.which("wrk"):
        with _serving() as server:
            _row("wrk -c10", _wrk(server.url))
    worst = max(abs(mine / true - 1) for mine, true in zip(ours, truth, strict=True) if true > 1)
    print(f"our worst difference from the truth: {worst:.1%} (demanded: {DEMANDED:.0%})")
    return 0 if worst <= DEMANDED else 1


def _row(name: str, figures: tuple[float, ...]) -> None:
    shown = "  ".join(f"{figure:8.1f}" for figure in figures)
    print(f"{name:28} p50, p95, p99, max in ms: {shown}")


def _figures(times: list[float]) -> tuple[float, float, float, float]:
    return (
        percentile(times, 0.5),
        percentile(times, 0.95),
        percentile(times, 0.99),
        max(times),
    )


def _truth() -> tuple[float, float, float, float]:
    """Of arrivals at the rate: those within the stall wait for its end, all others for nothing."""
    moments = [n / RATE for n in range(RATE * SECONDS)]
    end = STALL_AT_S + STALL_S
    return _figures([1000 * (end - at) if STALL_AT_S <= at < end else 0.0 for at in moments])


@contextmanager
def _serving() -> Iterator[Stalling]:
    with Stalling() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _ours(url: str) -> tuple[float, float, float, float]:
    declared = Load.model_validate(
        {
            "name": "bench", "service": "api", "requests": [{"path": "/"}], "rate": RATE,
            "warm_up_s": 0, "max_p95_ms": 100, "max_late_ms": 1000,
        }
    )  # fmt: skip
    service = Service.model_validate({"url": url})
    return _figures(load.load(declared, service, seconds=SECONDS).good)


def _locust(url: str) -> tuple[float, float, float, float]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "locustfile.py"
        file.write_text(CLOSED.format(each=RATE / 10))
        subprocess.run(
            [
                sys.executable, "-m", "locust", "-f", str(file), "--headless", "--host", url,
                "-u", "10", "-r", "10", "-t", f"{SECONDS}s", "--skip-log", "--only-summary",
                "--json-file", f"{folder}/out",
            ],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        [entry] = json.loads((Path(folder) / "out.json").read_text())
    times = [float(ms) for ms, n in entry["response_times"].items() for _ in range(n)]
    return _figures(times)


def _wrk(url: str) -> tuple[float, float, float, float]:
    done = subprocess.run(
        ["wrk", "-t1", "-c10", f"-d{SECONDS}s", "--latency", "-s", "/dev/stdin", url],
        check=True,
        capture_output=True,
        text=True,
        input='done = function(s, l, r) print("figures", l:percentile(50), l:percentile(95),'
        " l:percentile(99), l.max) end",
    )
    [row] = [row for row in done.stdout.splitlines() if row.startswith("figures")]
    p50, p95, p99, most = (float(word) / 1000 for word in row.split()[1:])
    return p50, p95, p99, most


if __name__ == "__main__":
    raise SystemExit(main())
