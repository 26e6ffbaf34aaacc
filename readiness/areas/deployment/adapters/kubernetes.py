"""A workload changed by kubectl, an Argo Rollout by its plugin, and a release of Helm."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final

from readiness.areas.deployment.adapters.adapter import (
    Adapter,
    Call,
    State,
    asked,
    digest,
    filled,
    json_of,
)
from readiness.areas.deployment.config import ByArgoRollouts, ByHelm, ByKubectl, Cluster
from readiness.model.errors import NoData

Object = Mapping[str, Any]
"""One object, as `kubectl get -o json` prints it."""

# Controllers that would revert a drill's change, since Git has another release.
_OWNERS: Final = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
# Field of a pod -> the kind that it refers to.
_REFERENCES: Final = {
    "configMapRef": "configmap",
    "configMapKeyRef": "configmap",
    "configMap": "configmap",
    "secretRef": "secret",
    "secretKeyRef": "secret",
    "secret": "secret",
}
_REMEDY: Final = (
    "run it by hand; correct the table below [deployment], or the permissions of its context"
)
_HELM_REMEDY: Final = "run it by hand; correct [deployment.helm], or the permissions of its context"
_DEPLOYED: Final = "deployed"


def unfinished(workload: Object) -> str:
    """Why a rollout is not complete, or would be reverted; empty if none is under way.

    The API leaves out fields that are 0, and `replicas` that is 1.
    """
    metadata, spec, status = (workload.get(key) or {} for key in ("metadata", "spec", "status"))
    notes = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    if owners := sorted({owner for key, owner in _OWNERS.items() if key in notes}):
        return f"{owners[0]} manages it, and would revert the change"
    if spec.get("paused"):
        kind, _, name = _name_of(workload).partition("/")
        resume = "argo rollouts resume" if kind == "rollout" else f"rollout resume {kind}"
        return f"its rollout is paused; nothing changes until: kubectl {resume} {name}"
    generation = metadata.get("generation", 0)
    # Argo Rollouts writes it as text.
    if str(status.get("observedGeneration", "")) != str(generation):
        return f"the controller has not seen generation {generation}"
    wanted = spec.get("replicas", 1)
    for key in ("replicas", "updatedReplicas", "availableReplicas"):
        if status.get(key, 0) != wanted:
            return f"{key} is {status.get(key, 0)} of {wanted}"
    return ""


def available(workload: Object) -> int:
    """How many replicas can serve; a missing field is 0."""
    count = (workload.get("status") or {}).get("availableReplicas", 0)
    return count if isinstance(count, int) else 0


def references(workload: Object) -> dict[str, bool]:
    """The ConfigMaps and Secrets that its pods use, as `configmap/shop`; True if it must exist."""
    found: dict[str, bool] = {}
    for name, needed in sorted(_references(_pod_of(workload))):
        found[name] = found.get(name, False) or needed
    return found


def state_of(workload: Object, referred: list[Object], *, without: str) -> State:
    """What its pods run with: the template, and each key of the ConfigMaps and Secrets it names.

    The replica count is not part of it: an autoscaler may change it during a drill.

    Args:
        workload: the Deployment, StatefulSet or Rollout.
        referred: the ConfigMaps and Secrets.
        without: the container whose image is left out.
    """
    state: dict[str, str] = {}
    pod = _pod_of(workload)
    for container in pod.get("containers") or []:
        name = container.get("name")
        for key, value in container.items():
            if not (key == "image" and name == without):
                state[f"{name} {key}"] = digest(value)
    for key, value in pod.items():
        if key != "containers":
            state[key] = digest(value)
    for one in referred:
        place = _name_of(one)
        for field in ("data", "binaryData"):
            for key, value in (one.get(field) or {}).items():
                state[f"{place} {key}"] = digest(value)
    return state


def _pod_of(workload: Object) -> Object:
    template = (workload.get("spec") or {}).get("template") or {}
    spec = template.get("spec") or {}
    return spec if isinstance(spec, dict) else {}


def _references(node: object) -> Iterator[tuple[str, bool]]:
    if isinstance(node, dict):
        for key, value in node.items():
            kind = _REFERENCES.get(key)
            # `secretName` of a volume; `name` of its projection, and of all others.
            name = isinstance(value, dict) and (value.get("secretName") or value.get("name"))
            if kind and name:
                yield f"{kind}/{name}", not value.get("optional")
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


class WorkloadAdapter(Adapter):
    """Sets the image of a workload, and waits for the rollout.

    A rollback sets the older image: `rollout undo` keeps leftovers, and its revision may be another
    release.
    """

    def __init__(
        self, place: Cluster, workload: str, container: str, *, change: list[str], wait: list[str]
    ) -> None:
        self._place = place
        self._name = workload
        self._container = container
        self._change = change
        self._wait = wait

    def change(self, release: str, verb: str) -> list[Call]:
        """Set the image, then wait."""
        return [Call(filled(self._change, release), verb), Call(self._wait, f"wait, to {verb}")]

    def state(self) -> State | None:
        """What its pods run with, without the image."""
        workload = self._workload()
        names = references(workload)
        referred = self._get(names) if names else []
        return state_of(workload, referred, without=self._container)

    def replicas(self) -> int | None:
        """How many are available."""
        return available(self._workload())

    def under_way(self) -> str | None:
        """Why its rollout is not complete, by the generation and the counts of the status."""
        return unfinished(self._workload())

    def _workload(self) -> Object:
        return self._get({self._name: True})[0]

    def _get(self, names: Mapping[str, bool]) -> list[Object]:
        """The objects of these names; True: it must exist."""
        optional = [] if all(names.values()) else ["--ignore-not-found"]
        argv = [*_kubectl(self._place), "get", *names, *optional, "--output", "json"]
        text = asked(argv, "read the objects", _REMEDY)
        document = json_of(text, shlex.join(argv)) if text.strip() else {"items": []}
        found = document.get("items", [document]) if isinstance(document, dict) else [None]
        there = {_name_of(one): one for one in found if isinstance(one, dict)}
        if missing := [name for name, needed in names.items() if needed and name not in there]:
            raise NoData(
                f"printed no {' and '.join(missing)}", where=shlex.join(argv), remedy=_REMEDY
            )
        return list(there.values())


def _name_of(one: Object) -> str:
    return f"{one.get('kind', '')}/{(one.get('metadata') or {}).get('name', '')}".lower()


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
    """A Rollout; during a rollback the controller skips the steps if it may."""
    tool = [*_kubectl(settings), "argo", "rollouts"]
    return WorkloadAdapter(
        settings,
        f"rollout/{settings.rollout}",
        settings.container,
        change=[*tool, "set", "image", settings.rollout, f"{settings.container}={settings.image}"],
        wait=[*tool, "status", settings.rollout, "--timeout", f"{wait_s:.0f}s"],
    )


def _kubectl(place: Cluster) -> list[str]:
    """Kubectl with the declared context; the current one may be another."""
    return ["kubectl", "--context", place.context, "--namespace", place.namespace]


class HelmAdapter(Adapter):
    """Upgrades with the values that name the release.

    A rollback is also an upgrade: `helm rollback` needs a revision, and "the previous one" changes
    after each attempt.
    """

    def __init__(self, settings: ByHelm, *, wait_s: float) -> None:
        self._settings = settings
        self._wait_s = wait_s

    def change(self, release: str, verb: str) -> list[Call]:
        """An upgrade, which waits."""
        settings = self._settings
        argv = self._helm(
            *("upgrade", settings.release_name, settings.chart, "--reuse-values"),
            *(word for value in filled(settings.set, release) for word in ("--set-string", value)),
            *("--wait", "--timeout", f"{self._wait_s:.0f}s"),
        )
        return [Call(argv, verb)]

    def state(self) -> State | None:
        """All values except those that name the release."""
        argv = self._helm("get", "values", self._settings.release_name, "--all", "--output", "json")
        document = json_of(asked(argv, "read the values", _HELM_REMEDY), shlex.join(argv))
        if not isinstance(document, dict):
            raise NoData("printed no values", where=shlex.join(argv), remedy=_HELM_REMEDY)
        named = {text.partition("=")[0] for text in self._settings.set}
        return {key: digest(value) for key, value in _leaves(document) if key not in named}

    def replicas(self) -> int | None:
        """Helm does not count them."""
        return None

    def under_way(self) -> str | None:
        """A release that is not `deployed` is stuck, or being changed."""
        argv = self._helm("status", self._settings.release_name, "--output", "json")
        document = json_of(asked(argv, "read the status", _HELM_REMEDY), shlex.join(argv))
        info = document.get("info") if isinstance(document, dict) else None
        status = info.get("status") if isinstance(info, dict) else None
        if not isinstance(status, str):
            raise NoData("printed no status", where=shlex.join(argv), remedy=_HELM_REMEDY)
        return "" if status == _DEPLOYED else f"the status of the Helm release is {status}"

    def _helm(self, *arguments: str) -> list[str]:
        settings = self._settings
        place = ("--kube-context", settings.context, "--namespace", settings.namespace)
        return ["helm", *place, *arguments]


def _leaves(node: dict[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
