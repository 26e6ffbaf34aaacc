"""The adapter that a target declares."""

from readiness.areas.deployment.adapters.adapter import Adapter
from readiness.areas.deployment.adapters.command import CommandAdapter
from readiness.areas.deployment.adapters.compose import ComposeAdapter
from readiness.areas.deployment.adapters.helm import HelmAdapter
from readiness.areas.deployment.adapters.kubectl import by_argo_rollouts, by_kubectl
from readiness.areas.deployment.config import Deployment
from readiness.model.errors import NoData


def adapter_of(deployment: Deployment) -> Adapter:
    """The adapter for the table that is there.

    Raises:
        NoData: there is none.
    """
    wait_s = deployment.change_within_s
    if deployment.command:
        return CommandAdapter(deployment.command)
    if deployment.compose:
        return ComposeAdapter(deployment.compose, wait_s=wait_s)
    if deployment.kubectl:
        return by_kubectl(deployment.kubectl, wait_s=wait_s)
    if deployment.helm:
        return HelmAdapter(deployment.helm, wait_s=wait_s)
    if deployment.argo_rollouts:
        return by_argo_rollouts(deployment.argo_rollouts, wait_s=wait_s)
    raise NoData(
        "nothing says how the release is changed",
        where="[deployment] adapter",
        remedy="see `readiness init` for an example",
    )
