"""What commands print on a terminal of 80 columns, in a real pseudo-terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

pytestmark = pytest.mark.contract

COLUMNS = 80
# Nothing answers: the messages of what is wrong are the longest.
CONFIG = """
[target]
name = "shop"

[services.shop]
url = "http://127.0.0.1:1"

[databases.orders]
dsn = "postgresql://monitor@127.0.0.1:1/orders"

[prometheus]
url = "http://127.0.0.1:1"

[alertmanager]
urls = ["http://127.0.0.1:1"]

[backup.orders]
database = "orders"
path = "/srv/backups/of/a/database/in/a/folder/with/a/long/name"

[scaling.shop]
workload = "deployment/shop"
cluster = { context = "staging", namespace = "shop" }
"""
DEAD = "127.0.0.1:1"
INIT = [
    *("init", "found.toml", "--yes", "--url", f"http://{DEAD}", "--prometheus", f"http://{DEAD}"),
    *("--dsn", f"postgresql://monitor@{DEAD}/orders", "--backups", "backups"),
    *("--context", "staging", "--namespace", "shop"),
]


def printed(*arguments: str) -> str:
    """What a command prints on a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    process = subprocess.Popen(
        [sys.executable, "-m", "readiness", *arguments],
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment,
    )  # fmt: skip
    os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 65536):
            text += part
    except OSError:  # Linux: the other side is closed
        pass
    os.close(ours)
    process.wait()
    return text.decode()


@pytest.mark.parametrize(
    "arguments",
    [
        INIT,
        ["doctor"],
        ["plan"],
        ["list"],
        ["list", "--judgements"],
        ["explain", "scaling.autoscaler"],
        ["explain", "backup.restores"],
        ["explain", "alerting.delivery"],
    ],
    ids=" ".join,
)
def test_no_line_is_longer_than_a_terminal_is_wide(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "readiness.toml").write_text(CONFIG)
    rows = printed(*arguments).splitlines()
    assert len(rows) > 5
    assert "Traceback" not in "".join(rows)
    # A path or an address may be; it then stands alone.
    assert [row for row in rows if len(row) > COLUMNS and " " in row.strip()] == []
