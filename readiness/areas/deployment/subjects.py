"""The kinds of subject that [deployment] declares."""

from collections.abc import Callable, Mapping
from typing import Final

from readiness.areas.deployment.config import Config, Deployment
from readiness.config.base.subject import Find


def _where(holds: Callable[[Deployment], object]) -> Find:
    def find(config: Config) -> list[Deployment]:
        deployment = config.deployment
        return [deployment] if deployment and holds(deployment) else []

    return find


def _knows_state(deployment: Deployment) -> bool:
    """Every tool that we know tells what it has set; commands have to say how."""
    return deployment.drills and (not deployment.command or bool(deployment.command.state))


def _counts(deployment: Deployment) -> bool:
    """Commands have to say how; Helm does not know."""
    told = not deployment.command or bool(deployment.command.replicas)
    return deployment.drills and told and not deployment.helm


# kind -> (where it is declared, as the report tells a user, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "deployment": ("[deployment]", _where(lambda _: True)),
    "drilled_deployment": ("[deployment] adapter", _where(lambda d: d.drills)),
    "stateful_deployment": (
        "[deployment.command] state, or another adapter",
        _where(_knows_state),
    ),
    "counted_deployment": (
        "[deployment.command] replicas, or another adapter that counts them",
        _where(_counts),
    ),
    "keeping_deployment": ("[deployment.data]", _where(lambda d: d.drills and d.data)),
    "guarded_deployment": ("[deployment] bad_release", _where(lambda d: d.bad_release)),
    "slow_deployment": ("[deployment.slow_request]", _where(lambda d: d.drills and d.slow_request)),
}
