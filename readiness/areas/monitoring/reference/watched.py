"""Reduces the alert rules and the dashboard to the jobs that are scraped on this machine.

A rule on a metric that does not exist never fires, and a panel on it is empty. Where an exporter is
not available, its rules and panels are left out.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from readiness.servers.files import Document

DASHBOARD: Final = "dashboard.json"
INTERVAL_S: Final = 1
"""Between two scrapes of a job, and between two evaluations of a rule; in seconds."""

_JOB: Final = re.compile(r'job="([^"$]+)"')


def keep_rules(document: Document, jobs: Collection[str]) -> Document:
    """The rule file without the rules on other jobs.

    Of an expression with alternatives, `a or b`, those on these jobs are kept.
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
    """The dashboard without the panels on other jobs."""
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
