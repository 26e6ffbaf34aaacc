"""A workload of a cluster, read by the real kubectl from a small API server."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from readiness.areas.configuration.config import App
from readiness.areas.configuration.environment import Place
from readiness.areas.configuration.probes import drift
from readiness.areas.configuration.probes.running import of_running
from readiness.config.models import Config
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, Unreachable
from tests.support.small_servers import Reply, SmallServer

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not on PATH"),
]

SECRET: Final = "k7Qz9wXb2LmN4vRtPlanted"
UID: Final = {"uid": "1", "namespace": "shop"}
METADATA: Final = {"name": "shop", **UID}
CONTAINER: Final[dict[str, Any]] = {
    "name": "shop",
    "image": "acme/shop:1.5",
    "envFrom": [{"configMapRef": {"name": "shop"}}],
    "env": [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
        {"name": "EMPTY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "empty"}}},
    ],
}


def resources(version: str, *names: tuple[str, str]) -> str:
    listed = [
        {"name": name, "kind": kind, "namespaced": True, "singularName": "", "verbs": ["list"]}
        for name, kind in names
    ]
    return json.dumps({"kind": "APIResourceList", "groupVersion": version, "resources": listed})


def objects(version: str, kind: str, *items: dict[str, Any]) -> str:
    listed = [{"apiVersion": version, "kind": kind, **item} for item in items]
    return json.dumps({"kind": f"{kind}List", "apiVersion": version, "items": listed})


def pod(app: str, image: str) -> dict[str, Any]:
    status = {"name": "shop", "imageID": f"docker.io/acme/shop@sha256:{image}"}
    metadata = {"name": f"{app}-{image[:4]}", "labels": {"app": app}, **UID}
    return {"metadata": metadata, "status": {"containerStatuses": [status]}}


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class ApiServer(SmallServer):
    """What kubectl needs of an API server to list four kinds."""

    def __init__(self) -> None:
        super().__init__({})
        self.otherwise = self._answer
        apps = {"groupVersion": "apps/v1", "version": "v1"}
        group = {"name": "apps", "versions": [apps], "preferredVersion": apps}
        self.answers: dict[str, Reply] = {
            "/api": Reply('{"kind": "APIVersions", "versions": ["v1"]}'),
            "/apis": Reply(json.dumps({"kind": "APIGroupList", "groups": [group]})),
            "/api/v1": Reply(
                resources("v1", ("secrets", "Secret"), ("configmaps", "ConfigMap"), ("pods", "Pod"))
            ),
            "/apis/apps/v1": Reply(resources("apps/v1", ("deployments", "Deployment"))),
            "/api/v1/namespaces/shop/configmaps": Reply(
                objects(
                    "v1", "ConfigMap", {"metadata": {"name": "shop", **UID}, "data": {"A": "1"}}
                )
            ),
        }
        self.contain(CONTAINER)
        self.run()
        self.keep({"token": SECRET, "empty": ""})

    def contain(self, container: dict[str, Any]) -> None:
        template = {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [container]}}
        spec = {"template": template}
        self.answers["/apis/apps/v1/namespaces/shop/deployments"] = Reply(
            objects("apps/v1", "Deployment", {"metadata": {"name": "shop", **UID}, "spec": spec})
        )

    def run(self, *images: str) -> None:
        """A pod of the workload for each image, and another one."""
        self.answers["/api/v1/namespaces/shop/pods"] = Reply(
            objects("v1", "Pod", pod("web", "c" * 64), *(pod("shop", one) for one in images))
        )

    def keep(self, data: dict[str, str] | None) -> None:
        secret: dict[str, Any] = {"metadata": {"name": "s", **UID}}
        if data is not None:
            secret["data"] = {key: coded(text) for key, text in data.items()}
        self.answers["/api/v1/namespaces/shop/secrets"] = Reply(objects("v1", "Secret", secret))

    def _answer(self) -> Reply:
        path = self.requests[-1][1].partition("?")[0]
        return self.answers.get(path, Reply('{"kind": "Status", "code": 404}', 404))


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    with ApiServer() as server:
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "other",
            "clusters": [{"name": "c", "cluster": {"server": server.url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "staging", "context": {"cluster": "c", "user": "u"}}],
        }  # fmt: skip
        (tmp_path / "config").write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
        yield server


def app(**changes: str) -> App:
    where = {"context": "staging", "namespace": "shop", "workload": "deployment/shop"} | changes
    described = {"needs": ["TOKEN"], "running": {"cluster": where}}
    found = Config.model_validate(
        {"target": {"name": "t"}, "configuration": {"applications": {"shop": described}}}
    ).named()
    assert found.configuration
    return found.configuration.applications["shop"]


def test_keys_are_read_and_no_value_of_a_secret(cluster: ApiServer) -> None:
    (place,) = of_running(app())
    assert {name: value.reveal() for name, value in place.values.items()} == {"A": "1", "EMPTY": ""}
    assert set(place.unread) == {"TOKEN"}
    assert place.unresolved == ("Secret s, key empty, is empty (EMPTY)",)
    assert (place.lacks("TOKEN"), place.lacks("EMPTY")) == ("", "empty")
    assert (place.image, place.whole) == ("acme/shop:1.5", True)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (["a" * 64, "a" * 64], ""),
        (["b" * 64], "acme/shop:1.5 runs, and acme/shop@sha256:aaaa"),
        (["a" * 64, "b" * 64], "2 different images run as acme/shop:1.5"),
        ([], "acme/shop:1.5 runs, and acme/shop@sha256:aaaa"),
    ],
)
def test_the_images_of_pods_are_compared_by_their_digests(
    cluster: ApiServer, images: list[str], words: str
) -> None:
    cluster.run(*images)
    (place,) = of_running(app())
    digest = f"sha256:{'a' * 64}"
    declared = Place("manifests", image=f"acme/shop@{digest}", digests=(digest,))
    assert drift.image(declared, place)[: len(words)] == words
    assert bool(drift.image(declared, place)) is bool(words)


def test_what_does_not_exist_in_the_cluster_does_not_resolve(cluster: ApiServer) -> None:
    cluster.keep(None)
    (place,) = of_running(app())
    assert place.unresolved == (
        "Secret s has no key token (TOKEN)", "Secret s has no key empty (EMPTY)"
    )  # fmt: skip
    cluster.answers["/api/v1/namespaces/shop/secrets"] = Reply(objects("v1", "Secret"))
    (place,) = of_running(app())
    assert place.unresolved == ("Secret s does not exist",)


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (
            Reply('{"kind": "Status", "reason": "Forbidden", "message": "forbidden"}', 403),
            NotPermitted,
            "list the keys of secrets ended with 1",
        ),
        (Reply("<html>", 200, "text/html"), CouldNotMeasure, "list the keys of secrets"),
    ],
)
def test_a_cluster_that_does_not_show_its_secrets_is_one_error(
    cluster: ApiServer, reply: Reply, error: type[Exception], words: str
) -> None:
    cluster.answers["/api/v1/namespaces/shop/secrets"] = reply
    with pytest.raises(error, match=words):
        of_running(app())


def test_a_workload_or_context_that_does_not_exist_is_one_error(cluster: ApiServer) -> None:
    assert cluster.url
    with pytest.raises(NoData, match="there is deployment/shop, not deployment/web"):
        of_running(app(workload="deployment/web"))
    with pytest.raises(NoData, match="context"):
        of_running(app(context="production"))


def test_a_cluster_that_is_down_is_one_error(
    tmp_path: Path, cluster: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = (tmp_path / "config").read_text().replace(cluster.url, "http://127.0.0.1:1")
    (tmp_path / "down").write_text(config)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "down"))
    with pytest.raises(Unreachable):
        of_running(app())
