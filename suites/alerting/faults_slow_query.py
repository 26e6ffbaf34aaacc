"""Faults of the alert on slow statements."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem
    from readiness.servers.files import Document

_SLOW: Final = "alerting.slow-query-alert[shop]"
_SEVERITY: Final = 'alert = "SlowQueries"\nseverity = "warning"'


@fault(
    misses={_SLOW: {"arrived"}},
    story="The rule on slow statements watches another database of the server",
)
@contextmanager
def rule_watches_another_database(system: "ReferenceSystem") -> Iterator[None]:
    """It has the right threshold, and a series: only that nothing ever runs there."""
    with system.levers.edit_rules(_watch_postgres):
        yield


@fault(
    misses={_SLOW: {"severity"}},
    story="The alert on slow statements is agreed to page, and is sent as a warning.",
)
@contextmanager
def slow_query_alert_is_only_a_warning(system: "ReferenceSystem") -> Iterator[None]:
    """Nothing but the agreement differs."""
    agreed = _SEVERITY.replace("warning", "critical")
    with system.levers.replace_in_config(_SEVERITY, agreed):
        yield


@fault(
    misses={_SLOW: {"in-time"}},
    story="The alert on slow statements is agreed within a second, and needs an evaluation.",
)
@contextmanager
def slow_query_alert_is_late(system: "ReferenceSystem") -> Iterator[None]:
    """The message arrives, later than agreed."""
    with system.levers.replace_in_config(_SEVERITY, f"{_SEVERITY}\nmessage_within_s = 0.1"):
        yield


def _watch_postgres(document: "Document") -> None:
    for group in document["groups"]:
        for rule in group["rules"]:
            if rule.get("alert") == "SlowQueries":
                rule["expr"] = rule["expr"].replace('datname="shop"', 'datname="postgres"')
