"""The kinds of subject of what is looked at before and beside a deployment."""

from collections.abc import Callable, Mapping
from typing import Final

from readiness.config.deployment import Deployment
from readiness.config.models import Config
from readiness.config.subject import Find, Item, Subject, of


def _part(name: str, holds: Callable[[Deployment], object]) -> Find:
    """One subject of that name, where the table is there."""

    def find(config: Config) -> list[Subject]:
        deployment = config.deployment
        return [Item(name)] if deployment and holds(deployment) else []

    return find


# kind -> (where it is declared, as the report tells a user, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "deployment_host": ("[deployment.host]", _part("host", lambda d: d.host)),
    "deployment_runtime": (
        "[deployment.host] runtime",
        _part("host", lambda d: d.host and d.host.runtime),
    ),
    "deployment_files": ("[deployment.files]", _part("files", lambda d: d.files)),
    "saved_layer": (
        "[deployment.layers.NAME]",
        lambda c: of(c.deployment.layers if c.deployment else {}),
    ),
    "start_order": ("[deployment.order]", _part("compose", lambda d: d.order)),
    "previous_release": ("[deployment.artifact]", _part("previous", lambda d: d.artifact)),
    "deployment_report": ("[deployment.report]", _part("report", lambda d: d.report)),
    "compatible_release": (
        "[deployment.compatibility]",
        _part("previous", lambda d: d.compatibility),
    ),
}
