"""What changes the release, one module for each kind of tool."""

from readiness.areas.deployment.adapters.adapter import Adapter, CommandAdapter
from readiness.areas.deployment.adapters.compose import ComposeAdapter
from readiness.areas.deployment.adapters.kubernetes import HelmAdapter, by_argo_rollouts, by_kubectl
from readiness.areas.deployment.config import Deployment
from readiness.model.errors import NoData


def adapter_of(deployment: Deployment) -> Adapter:
    """The adapter that the target declares; NoData if it declares none."""
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
        "no adapter is configured",
        where="[deployment] adapter",
        remedy="see an example: readiness init --template example.toml",
    )
