"""What objects of Kubernetes say of a rollout: from their JSON alone."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from readiness.areas.deployment.adapters.adapter import State, digest

Object = Mapping[str, Any]
"""One object, as `kubectl get -o json` prints it."""

# Who would put back what a drill changes, because Git says otherwise.
_OWNERS: Final = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
_REFERENCES: Final = {
    # where a pod names them -> the kind, and the key of the name
    "configMapRef": ("configmap", "name"),
    "configMapKeyRef": ("configmap", "name"),
    "configMap": ("configmap", "name"),
    "secretRef": ("secret", "name"),
    "secretKeyRef": ("secret", "name"),
    "secret": ("secret", "secretName"),
}


def unfinished(workload: Object) -> str:
    """Why a rollout is not over, or would be undone by others; empty if nothing is under way.

    The API leaves out fields that are 0, and `replicas` that is 1.
    """
    metadata, spec, status = (workload.get(key) or {} for key in ("metadata", "spec", "status"))
    notes = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    if owners := sorted({owner for key, owner in _OWNERS.items() if key in notes}):
        return f"{owners[0]} owns it, and would undo what is changed by hand"
    generation = metadata.get("generation", 0)
    # Argo Rollouts writes it as text.
    if str(status.get("observedGeneration", "")) != str(generation):
        return f"generation {generation} has not been seen by the controller"
    wanted = spec.get("replicas", 1)
    for key in ("replicas", "updatedReplicas", "availableReplicas"):
        if status.get(key, 0) != wanted:
            return f"{key} is {status.get(key, 0)}, and {wanted} are wanted"
    return ""


def available(workload: Object) -> int:
    """How many replicas can serve; a field that is left out is 0."""
    count = (workload.get("status") or {}).get("availableReplicas", 0)
    return count if isinstance(count, int) else 0


def references(workload: Object) -> list[str]:
    """The ConfigMaps and Secrets that its pods are run with, as `configmap/shop`."""
    found = dict.fromkeys(_references(_pod_of(workload)))
    return sorted(found)


def state_of(workload: Object, referred: list[Object], *, without: str) -> State:
    """What its pods are run with: the template, and each key of what the template refers to.

    Args:
        workload: the Deployment, StatefulSet or Rollout.
        referred: the ConfigMaps and Secrets.
        without: the container whose image is what changes.
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
    state["replicas"] = digest((workload.get("spec") or {}).get("replicas", 1))
    for one in referred:
        place = f"{one.get('kind', '')}/{(one.get('metadata') or {}).get('name', '')}".lower()
        for field in ("data", "binaryData"):
            for key, value in (one.get(field) or {}).items():
                state[f"{place} {key}"] = digest(value)
    return state


def _pod_of(workload: Object) -> Object:
    template = (workload.get("spec") or {}).get("template") or {}
    spec = template.get("spec") or {}
    return spec if isinstance(spec, dict) else {}


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            kind, name = _REFERENCES.get(key, ("", ""))
            if kind and isinstance(value, dict) and value.get(name):
                yield f"{kind}/{value[name]}"
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
