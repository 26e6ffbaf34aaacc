"""A workload of Kubernetes, changed by kubectl; and an Argo Rollout, changed by its plugin."""

import shlex
from typing import Final

from readiness.areas.deployment.adapters import cluster
from readiness.areas.deployment.adapters.adapter import Call, State, asked, filled, json_of
from readiness.areas.deployment.config_adapters import ByArgoRollouts, ByKubectl, Cluster
from readiness.model.errors import NoData

_REMEDY: Final = "see the table of [deployment], and whether the context and its rights are right"


class WorkloadAdapter:
    """Sets the image of a workload, and waits for the rollout.

    Going back sets the older image: `rollout undo` merges what was left behind, and its revision
    need not be the release that is meant.
    """

    def __init__(
        self, place: Cluster, workload: str, container: str, *, change: list[str], wait: list[str]
    ) -> None:
        self._place = place
        self._name = workload
        self._container = container
        self._change = change
        self._wait = wait

    def deploy(self, release: str) -> list[Call]:
        """Set the image, then wait."""
        return self._calls(release, f"deploy {release}")

    def rollback(self, release: str) -> list[Call]:
        """The same, with the older image."""
        return self._calls(release, f"roll back to {release}")

    def state(self) -> State | None:
        """What its pods are run with, the image left out.

        Raises:
            CouldNotMeasure: kubectl does not tell, or prints something else.
        """
        workload = self._get([self._name])[0]
        names = cluster.references(workload)
        referred = self._get(names) if names else []
        return cluster.state_of(workload, referred, without=self._container)

    def replicas(self) -> int | None:
        """How many are available.

        Raises:
            CouldNotMeasure: kubectl does not tell, or prints something else.
        """
        return cluster.available(self._get([self._name])[0])

    def under_way(self) -> str | None:
        """Why its rollout is not over, by the generation and the counts of the status.

        Raises:
            CouldNotMeasure: kubectl does not tell, or prints something else.
        """
        return cluster.unfinished(self._get([self._name])[0])

    def _calls(self, release: str, verb: str) -> list[Call]:
        return [Call(filled(self._change, release), verb), Call(self._wait, f"wait, to {verb}")]

    def _get(self, names: list[str]) -> list[cluster.Object]:
        argv = [*_kubectl(self._place), "get", *names, "--output", "json"]
        document = json_of(asked(argv, "read the objects", _REMEDY), shlex.join(argv))
        found = document.get("items", [document]) if isinstance(document, dict) else []
        if len(found) != len(names) or not all(isinstance(o, dict) and "kind" in o for o in found):
            raise NoData(
                f"printed no {' and '.join(names)}", where=shlex.join(argv), remedy=_REMEDY
            )
        return list(found)


def by_kubectl(settings: ByKubectl, *, wait_s: float) -> WorkloadAdapter:
    """A Deployment, StatefulSet or DaemonSet."""
    tool = _kubectl(settings)
    return WorkloadAdapter(
        settings,
        settings.workload,
        settings.container,
        change=[*tool, "set", "image", settings.workload, f"{settings.container}={settings.image}"],
        wait=[*tool, "rollout", "status", settings.workload, f"--timeout={wait_s:.0f}s"],
    )


def by_argo_rollouts(settings: ByArgoRollouts, *, wait_s: float) -> WorkloadAdapter:
    """A Rollout; going back, the controller skips the steps where it may."""
    tool = [*_kubectl(settings), "argo", "rollouts"]
    return WorkloadAdapter(
        settings,
        f"rollout/{settings.rollout}",
        settings.container,
        change=[*tool, "set", "image", settings.rollout, f"{settings.container}={settings.image}"],
        wait=[*tool, "status", settings.rollout, "--timeout", f"{wait_s:.0f}s"],
    )


def _kubectl(place: Cluster) -> list[str]:
    """kubectl, in the context that is meant: the current one may be anybody's."""
    return ["kubectl", "--context", place.context, "--namespace", place.namespace]
