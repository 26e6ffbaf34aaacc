"""Whether postgres_exporter supports the release of the server.

Each release of PostgreSQL moves or renames what an exporter reads. One that is older than the
server answers, and a part of the metrics is missing.
"""

import http.client
import re
import time
from typing import Final

from readiness.lib.text import clean
from readiness.model.errors import ReferenceSystemError
from readiness.servers.processes import Daemon, request

_ONE: Final = re.compile(r"^(pg_up|pg_scrape_collector_success)(\{[^}]*\})? (\S+)$", re.MULTILINE)
_ZERO: Final = re.compile(r"^(pg_exporter_last_scrape_error)()? (\S+)$", re.MULTILINE)
_BUILD: Final = re.compile(r'^postgres_exporter_build_info\{.*version="([^"]+)"', re.MULTILINE)
_PATIENCE_S: Final = 5.0
_TIMEOUT_S: Final = 10.0
_OK: Final = 200


def unread(exporter: Daemon) -> str:
    """Why it cannot be used with this server; empty if it can.

    A scrape that fails is repeated for 5 s: a busy machine is not the exporter's fault.

    Raises:
        ReferenceSystemError: it does not answer.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        text = _scrape(exporter)
        wrong = objection(text)
        if not wrong or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    if not wrong:
        return ""
    build = _BUILD.search(text)
    version = f" {build[1]}" if build else ""
    return (
        f"postgres_exporter{version} does not support this server: {clean(wrong, 120)}."
        " Put a newer postgres_exporter on PATH"
    )


def objection(text: str) -> str:
    """What its own metrics report as failed; empty if nothing."""
    for pattern, wanted in ((_ONE, 1.0), (_ZERO, 0.0)):
        found = list(pattern.finditer(text))
        for series in found:
            if float(series[3]) != wanted:
                return f"{series[1]}{series[2] or ''} is {series[3]}"
        if not found:
            return "it reports nothing of its own state"
    return ""


def _scrape(exporter: Daemon) -> str:
    try:
        status, body = request(exporter.port, "GET", "/metrics", timeout_s=_TIMEOUT_S)
    except (OSError, http.client.HTTPException) as problem:
        raise ReferenceSystemError(
            f"postgres_exporter does not answer: {problem}", where=f"{exporter.url}/metrics"
        ) from problem
    return body.decode(errors="replace") if status == _OK else ""
