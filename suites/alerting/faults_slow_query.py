"""What must turn the check of the alert on slow statements red."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem
    from readiness.servers.files import Document


@fault(
    turns_red={"alerting.slow-query-alert[shop]"},
    story="The rule on slow statements watches another database of the server",
)
@contextmanager
def rule_watches_another_database(system: "ReferenceSystem") -> Iterator[None]:
    """It has the right threshold, and a series: only that nothing ever runs there."""
    with system.levers.edit_rules(_watch_postgres):
        yield


def _watch_postgres(document: "Document") -> None:
    for group in document["groups"]:
        for rule in group["rules"]:
            if rule.get("alert") == "SlowQueries":
                rule["expr"] = rule["expr"].replace('datname="shop"', 'datname="postgres"')
