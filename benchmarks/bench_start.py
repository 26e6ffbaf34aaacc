"""How soon a person sees something: `--help`, the first check of a small target, a whole run.

Processor time is user and system time of all processes of the run, those that have ended included,
at the moment in which its journal says that the first check begins (Linux only: read from /proc).
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROUNDS = 7
TICKS = os.sysconf("SC_CLK_TCK")
TARGET = """
[target]
name = "small"
release = "1.0"

[services.api]
url = "http://127.0.0.1:{port}"
"""


class Service(BaseHTTPRequestHandler):
    """A service that says it is healthy, whatever it is asked."""

    def do_GET(self) -> None:  # noqa: D102 - the name is given
        body = b'{"status": "ok", "version": "1.0"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def seconds(*arguments: str, folder: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "readiness", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


def first_check(folder: Path) -> tuple[float, float]:
    """Wall and processor seconds from starting `readiness run` to its first check."""
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "readiness", "run"],
            cwd=folder,
            env=os.environ | {"TMPDIR": scratch},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not has_begun(Path(scratch)):
                if process.poll() is not None:
                    raise SystemExit(f"the run ended with {process.returncode}, without a check")
                time.sleep(0.002)
            return time.perf_counter() - began, processor_s(process.pid)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def has_begun(scratch: Path) -> bool:
    journals = scratch.glob("readiness-run-*/journal.ndjson")
    return any(b'"event": "start"' in path.read_bytes() for path in journals)


def processor_s(root: int) -> float:
    """User and system time of a process and all below it, in seconds."""
    return sum(used for _, used in tree(root, processes())) / TICKS


def tree(root: int, known: dict[int, tuple[int, int]]) -> Iterator[tuple[int, int]]:
    if root in known:
        yield root, known[root][1]
    for pid, (parent, _) in known.items():
        if parent == root:
            yield from tree(pid, known)


def processes() -> dict[int, tuple[int, int]]:
    """For each process its parent and its ticks, with those of children that have ended."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        found[int(path.parent.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    return found


def small_target() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        text = TARGET.format(port=server.server_port)
        (Path(folder) / "readiness.toml").write_text(text)
        first_check(Path(folder))  # warms the disk cache
        rounds = [first_check(Path(folder)) for _ in range(ROUNDS)]
    server.shutdown()
    wall = statistics.median(wall for wall, _ in rounds)
    used = statistics.median(used for _, used in rounds)
    print(f"one service, to the first check: processor {used:.2f} s (under 1 s)")
    print(f"one service, to the first check: wall {wall:.2f} s (under 1.5 s)")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        helps = [seconds("--help", folder=folder) for _ in range(ROUNDS)]
        print(f"readiness --help: median {statistics.median(helps):.2f} s (under 0.3 s)")
        small_target()
        if "--small" not in sys.argv:
            whole = seconds("run", "--reference", folder=folder)
            print(f"readiness run --reference: {whole:.1f} s (under 75 s)")


if __name__ == "__main__":
    main()
