"""A small API server of Kubernetes, which the real kubectl reads."""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tests.support.small_servers import Reply, SmallServer

CONTEXT: Final = "staging"
NAMESPACE: Final = "shop"
# By API version: the plural of each kind.
_KINDS: Final = {
    "v1": {
        "Service": "services", "ConfigMap": "configmaps", "Secret": "secrets", "Pod": "pods",
        "Node": "nodes", "ResourceQuota": "resourcequotas", "LimitRange": "limitranges",
    },
    "apps/v1": {
        "Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets",
    },
    "batch/v1": {"Job": "jobs", "CronJob": "cronjobs"},
    "networking.k8s.io/v1": {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"},
    "autoscaling/v2": {"HorizontalPodAutoscaler": "horizontalpodautoscalers"},
    "autoscaling.k8s.io/v1": {"VerticalPodAutoscaler": "verticalpodautoscalers"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
}  # fmt: skip
_CLUSTER_WIDE: Final = {"Node"}


class ApiServer(SmallServer):
    """What kubectl needs of an API server to list objects of one namespace.

    A test may change `answers`, by path.
    """

    def __init__(self) -> None:
        super().__init__({})
        self.otherwise = self._answer
        groups = [version for version in _KINDS if "/" in version]
        self.answers: dict[str, Reply] = {
            "/api": Reply('{"kind": "APIVersions", "versions": ["v1"]}'),
            "/apis": Reply(
                json.dumps({"kind": "APIGroupList", "groups": [_group(one) for one in groups]})
            ),
            **{_base(version): Reply(_resources(version)) for version in _KINDS},
        }
        self.hold()

    def hold(self, *objects: dict[str, Any]) -> None:
        """Serve exactly these, as live objects."""
        found = defaultdict(list)
        for number, one in enumerate(objects):
            metadata = {**one["metadata"], "uid": str(number)}
            for path in _paths(one["apiVersion"], one["kind"], metadata["namespace"]):
                found[path].append({**one, "metadata": metadata})
        for version, kinds in _KINDS.items():
            for kind in kinds:
                for path in _paths(version, kind):
                    self.answers[path] = listed(version, kind, *found[path])

    def forbid(self, *kinds: str) -> None:
        """Answer for these kinds as to an account that may not list them."""
        for version, kind in ((v, kind) for v, names in _KINDS.items() for kind in names):
            if kind in kinds:
                for path in _paths(version, kind):
                    self.answers[path] = _forbidden(version, _KINDS[version][kind], path)

    def configure(self, folder: Path) -> Path:
        """Write a configuration of kubectl whose current context is another one."""
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "other",
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": "c", "user": "u"}}],
        }  # fmt: skip
        path = folder / "kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def _answer(self) -> Reply:
        path = self.requests[-1][1].partition("?")[0]
        return self.answers.get(path, Reply('{"kind": "Status", "code": 404}', 404))


def listed(version: str, kind: str, *items: dict[str, Any]) -> Reply:
    """A list of objects of one kind."""
    # An API server leaves out the kind of each item, which kubectl fills in.
    objects = [{key: item[key] for key in item.keys() - {"apiVersion", "kind"}} for item in items]
    metadata = {"resourceVersion": "1"}
    found = {"kind": f"{kind}List", "apiVersion": version, "metadata": metadata, "items": objects}
    return Reply(json.dumps(found))


def _forbidden(version: str, plural: str, path: str) -> Reply:
    """As Kubernetes 1.36 answers an account without the role."""
    group = version.rpartition("/")[0]
    place = f'in the namespace "{NAMESPACE}"' if "/namespaces/" in path else "at the cluster scope"
    name = f"{plural}.{group}" if group else plural
    message = (
        f'{name} is forbidden: User "ci" cannot list resource "{plural}" in API group "{group}"'
        f" {place}"
    )
    status = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": "Forbidden", "message": message, "code": 403,
        "details": {"group": group, "kind": plural} if group else {"kind": plural},
    }  # fmt: skip
    return Reply(json.dumps(status), 403)


def _base(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _paths(version: str, kind: str, namespace: str = NAMESPACE) -> Iterable[str]:
    plural = _KINDS[version][kind]
    yield f"{_base(version)}/{plural}"
    if kind not in _CLUSTER_WIDE:
        yield f"{_base(version)}/namespaces/{namespace}/{plural}"


def _group(version: str) -> dict[str, Any]:
    name, _, number = version.partition("/")
    one = {"groupVersion": version, "version": number}
    return {"name": name, "versions": [one], "preferredVersion": one}


def _resources(version: str) -> str:
    resources = [
        {
            "name": name, "kind": kind, "namespaced": kind not in _CLUSTER_WIDE,
            "singularName": "", "verbs": ["get", "list"],
        }
        for kind, name in _KINDS[version].items()
    ]  # fmt: skip
    return json.dumps({"kind": "APIResourceList", "groupVersion": version, "resources": resources})
