"""Objects of Kubernetes in a few words, for tests."""

import json
from typing import Any

from readiness.areas.scaling.kubernetes.autoscaler import Autoscaler, autoscalers
from readiness.areas.scaling.kubernetes.view import View, view
from readiness.lib.kubernetes.inventory import Inventory, documents, read
from readiness.lib.kubernetes.objects import HorizontalPodAutoscaler, ScaledObject

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
ASKS: dict[str, Any] = {"requests": {"cpu": "250m", "memory": "256Mi"},
                        "limits": {"memory": "256Mi"}}  # fmt: skip


def inventory(*objects: dict[str, Any], valid: bool = True) -> Inventory:
    """Their inventory; the error of one that is not valid, unless that is meant."""
    text = json.dumps({"kind": "List", "apiVersion": "v1", "items": list(objects)})
    found = read(documents(text, "objects.json"))
    for one in found.broken if valid else ():
        raise one.error
    return found


def made(api: str, kind: str, spec: object, name: str = "shop", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", **more.pop("metadata", {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec, **more}


def deployment(pod: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    pod = pod or {"containers": [{"name": "shop", "resources": ASKS}]}
    template = {"metadata": {"labels": {"app": "shop"}}, "spec": pod}
    kind = spec.pop("kind", "Deployment")
    more = {key: spec.pop(key) for key in ("metadata", "status") if key in spec}
    return made("apps/v1", kind, {"template": template, **spec}, **more)


def hpa(api: str = "autoscaling/v2", **spec: Any) -> dict[str, Any]:
    more = {key: spec.pop(key) for key in ("name", "metadata", "status") if key in spec}
    found = {"scaleTargetRef": TARGET, "minReplicas": 3, "maxReplicas": 10, **spec}
    found = {key: value for key, value in found.items() if value is not None}
    return made(api, "HorizontalPodAutoscaler", found, **more)


def keda(**spec: Any) -> dict[str, Any]:
    more = {key: spec.pop(key) for key in ("name", "metadata") if key in spec}
    found = {"scaleTargetRef": {"name": "shop"}, **spec}
    return made("keda.sh/v1alpha1", "ScaledObject", found, **more)


def utilization(name: str, percent: int) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def policy(kind: str, value: int, period: int) -> dict[str, Any]:
    return {"type": kind, "value": value, "periodSeconds": period}


def resolved(*objects: dict[str, Any]) -> Autoscaler:
    found = inventory(*objects)
    (one,) = autoscalers(found.of(HorizontalPodAutoscaler), found.of(ScaledObject))
    return one


def seen(*objects: dict[str, Any], workload: str = "deployment/shop") -> View:
    found = view(inventory(*objects), "manifests", workload, "")
    assert found is not None
    return found
