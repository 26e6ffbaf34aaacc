"""What can be monitored on this machine: the rules and panels of the jobs that are scraped.

A rule on a metric that does not exist never fires, and a panel on it is empty. Where an exporter is
missing or does not support the server, its rules and panels are left out.
"""

import http.client
import re
import time
from collections.abc import Collection, Iterator
from typing import Any, Final

from readiness.lib.text import clean
from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import Document
from readiness.servers.processes import Daemon, request

DASHBOARD: Final = "dashboard.json"
INTERVAL_S: Final = 1
"""Seconds between two scrapes of a job, and between two evaluations of a rule."""

_JOB: Final = re.compile(r'job="([^"$]+)"')
_ONE: Final = re.compile(r"^(pg_up|pg_scrape_collector_success)(\{[^}]*\})? (\S+)$", re.MULTILINE)
_ZERO: Final = re.compile(r"^(pg_exporter_last_scrape_error)()? (\S+)$", re.MULTILINE)
_BUILD: Final = re.compile(r'^postgres_exporter_build_info\{.*version="([^"]+)"', re.MULTILINE)
_PATIENCE_S: Final = 5.0
_TIMEOUT_S: Final = 10.0
_OK: Final = 200


def keep_rules(document: Document, jobs: Collection[str]) -> Document:
    """The rule file with only the rules on these jobs.

    In an expression with alternatives, `a or b`, only those on these jobs are kept.
    """
    groups = []
    for group in document["groups"]:
        rules = [kept for rule in group["rules"] if (kept := _kept(rule, jobs))]
        if rules:
            groups.append({**group, "rules": rules})
    return {"groups": groups}


def _kept(rule: Document, jobs: Collection[str]) -> Document | None:
    alternatives = re.split(r"\s+or\s+", rule["expr"].strip())
    left = [text for text in alternatives if _about(text) <= set(jobs)]
    return {**rule, "expr": " or ".join(left)} if left else None


def keep_panels(document: Document, jobs: Collection[str]) -> Document:
    """The dashboard with only the panels on these jobs."""
    panels = [
        {**panel, "panels": [p for p in panel.get("panels", ()) if _shows(p, jobs)]}
        if "panels" in panel
        else panel
        for panel in document["panels"]
        if _shows(panel, jobs)
    ]
    return {**document, "panels": panels}


def count_panels(document: Document) -> int:
    """Number of its panels with a query."""
    return sum(1 for panel in _panels(document) if panel.get("targets"))


def _panels(document: Document) -> Iterator[Document]:
    for panel in document.get("panels", ()):
        yield panel
        yield from _panels(panel)


def _shows(panel: Document, jobs: Collection[str]) -> bool:
    targets: list[dict[str, Any]] = panel.get("targets", [])
    return all(_about(target["expr"]) <= set(jobs) for target in targets)


def _about(expression: str) -> set[str]:
    return set(_JOB.findall(expression))


def unread(exporter: Daemon) -> str:
    """Why postgres_exporter cannot be used with this server; empty if it can.

    Each PostgreSQL release renames or moves statistics, and an exporter that is older than the
    server answers without a part of the metrics. A failed scrape is repeated for 5 s, as it may
    only be due to a busy machine.

    Raises:
        ReferenceSystemError: the exporter does not answer.
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
    """What its metrics report as failed; empty if nothing."""
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
