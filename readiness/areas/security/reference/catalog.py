"""A service that keeps its page in Redis: `catalog.py serve REDIS FOLDER PORT`, `pause FOLDER`, ...

It runs without our package: each of these commands must start at once. The cache answers at a
socket in FOLDER. `behaviour.json` there is read for each request: `falls_back`, `patience_s`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = b"<!doctype html><title>Catalog</title><h1>Catalog</h1>"
BEHAVIOUR = "behaviour.json"
_SOCKET = "redis.sock"
_PID = "redis.pid"
_START_S = 10.0
_PATIENCE_S = 0.05


def ask(folder: Path, *words: bytes, patience_s: float) -> bytes:
    """The value that Redis answers to a command; empty if it has none.

    Raises:
        OSError: no answer in time.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(patience_s)
        client.connect(str(folder / _SOCKET))
        sent = [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
        client.sendall(b"*%d\r\n%b" % (len(words), b"".join(sent)))
        with client.makefile("rb") as answer:
            head = answer.readline().strip()
            if head.startswith(b"$") and head != b"$-1":
                return answer.read(int(head[1:]))
            return head[1:] if head.startswith(b"+") else b""


def page(folder: Path) -> bytes:
    """The page, from the cache if it answers in time.

    Raises:
        OSError: it does not, and the service cannot do without.
    """
    now = json.loads((folder / BEHAVIOUR).read_bytes())
    patience_s = now.get("patience_s", _PATIENCE_S)
    try:
        kept = ask(folder, b"GET", b"catalog", patience_s=patience_s)
        if not kept:
            ask(folder, b"SET", b"catalog", PAGE, b"EX", b"60", patience_s=patience_s)
    except OSError:
        if not now.get("falls_back", True):
            raise
        return PAGE
    return kept or PAGE


def serve(redis: str, folder: Path, port: int) -> None:
    """Serve on 127.0.0.1, with Redis as a child of the same process group."""
    settings = ["--port", "0", "--unixsocket", str(folder / _SOCKET), "--save", ""]
    child = subprocess.Popen([redis, *settings, "--dir", str(folder)])
    (folder / _PID).write_text(str(child.pid), encoding="ascii")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    deadline = time.monotonic() + _START_S
    while not answers(folder) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                status, body = 200, page(folder)
            except OSError:
                status, body = 500, b"the cache does not answer"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    try:
        ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
    finally:
        child.kill()
        child.wait()


def answers(folder: Path) -> bool:
    """Whether Redis answers."""
    try:
        return ask(folder, b"PING", patience_s=1) == b"PONG"
    except OSError:
        return False


def main(verb: str, *words: str) -> int:
    """Run one of the commands; the exit status."""
    if verb == "serve":
        serve(words[0], Path(words[1]), int(words[2]))
        return 0
    folder = Path(words[0])
    if verb in {"pause", "resume"}:
        number = signal.SIGSTOP if verb == "pause" else signal.SIGCONT
        os.kill(int((folder / _PID).read_text(encoding="ascii")), number)
        return 0
    return 0 if answers(folder) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
