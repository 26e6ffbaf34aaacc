"""The kinds of subject of what is looked at before and beside a deployment."""

from collections.abc import Callable, Mapping
from typing import Final

from readiness.areas.deployment.config import Config, Deployment
from readiness.config.base.subject import Find, Subject, of


def _part(of_: Callable[[Deployment], Subject | None]) -> Find:
    """One subject, where its table is there."""

    def find(config: Config) -> list[Subject]:
        found = of_(config.deployment) if config.deployment else None
        return [found] if found else []

    return find


# kind -> (where it is declared, as the report tells a user, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "deployment_host": ("[deployment.host]", _part(lambda d: d.host)),
    "runtime_host": (
        "[deployment.host] runtime",
        _part(lambda d: d.host if d.host and d.host.runtime else None),
    ),
    "deployment_files": ("[deployment.files]", _part(lambda d: d.files)),
    "saved_layer": (
        "[deployment.layers.NAME]",
        lambda c: of(c.deployment.layers if c.deployment else {}),
    ),
    "start_order": ("[deployment.order]", _part(lambda d: d.order)),
    "kept_deployment": ("[deployment.artifact]", _part(lambda d: d if d.artifact else None)),
    "reported_deployment": ("[deployment.report]", _part(lambda d: d if d.report else None)),
    "compatible_deployment": (
        "[deployment.compatibility]",
        _part(lambda d: d if d.compatibility else None),
    ),
}
