"""A workload of a cluster, read by the real kubectl from a small API server."""

import base64
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
from tests.support.api_server import ApiServer, listed
from tests.support.small_servers import Reply

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not on PATH"),
]

SECRET: Final = "k7Qz9wXb2LmN4vRtPlanted"
UID: Final = {"uid": "1", "namespace": "shop"}
SECRETS: Final = "/api/v1/namespaces/shop/secrets"
CONTAINER: Final[dict[str, Any]] = {
    "name": "shop",
    "image": "acme/shop:1.5",
    "envFrom": [{"configMapRef": {"name": "shop"}}],
    "env": [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
        {"name": "EMPTY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "empty"}}},
    ],
}


def pod(app: str, image: str) -> dict[str, Any]:
    status = {"name": "shop", "imageID": f"docker.io/acme/shop@sha256:{image}"}
    metadata = {"name": f"{app}-{image[:4]}", "labels": {"app": app}, **UID}
    return {"metadata": metadata, "status": {"containerStatuses": [status]}}


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class Shop(ApiServer):
    """A Deployment, what it refers to, and its pods."""

    def __init__(self) -> None:
        super().__init__()
        self.answers["/api/v1/namespaces/shop/configmaps"] = listed(
            "v1", "ConfigMap", {"metadata": {"name": "shop", **UID}, "data": {"A": "1"}}
        )
        self.contain(CONTAINER)
        self.run()
        self.keep({"token": SECRET, "empty": ""})

    def contain(self, container: dict[str, Any]) -> None:
        template = {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [container]}}
        workload = {"metadata": {"name": "shop", **UID}, "spec": {"template": template}}
        path = "/apis/apps/v1/namespaces/shop/deployments"
        self.answers[path] = listed("apps/v1", "Deployment", workload)

    def run(self, *images: str) -> None:
        """A pod of the workload for each image, and another one."""
        pods = [pod("web", "c" * 64), *(pod("shop", one) for one in images)]
        self.answers["/api/v1/namespaces/shop/pods"] = listed("v1", "Pod", *pods)

    def keep(self, data: dict[str, str] | None) -> None:
        secret: dict[str, Any] = {"metadata": {"name": "s", **UID}}
        if data is not None:
            secret["data"] = {key: coded(text) for key, text in data.items()}
        self.answers[SECRETS] = listed("v1", "Secret", secret)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with Shop() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.configure(tmp_path)))
        yield server


def app(**changes: str) -> App:
    where = {"context": "staging", "namespace": "shop", "workload": "deployment/shop"} | changes
    described = {"needs": ["TOKEN"], "running": {"cluster": where}}
    found = Config.model_validate(
        {"target": {"name": "t"}, "configuration": {"applications": {"shop": described}}}
    ).named()
    assert found.configuration
    return found.configuration.applications["shop"]


def test_keys_are_read_and_no_value_of_a_secret(cluster: Shop) -> None:
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
    cluster: Shop, images: list[str], words: str
) -> None:
    cluster.run(*images)
    (place,) = of_running(app())
    digest = f"sha256:{'a' * 64}"
    declared = Place("manifests", image=f"acme/shop@{digest}", digests=(digest,))
    assert drift.image(declared, place)[: len(words)] == words
    assert bool(drift.image(declared, place)) is bool(words)


def test_what_does_not_exist_in_the_cluster_does_not_resolve(cluster: Shop) -> None:
    cluster.keep(None)
    (place,) = of_running(app())
    assert place.unresolved == (
        "Secret s has no key token (TOKEN)", "Secret s has no key empty (EMPTY)"
    )  # fmt: skip
    cluster.answers[SECRETS] = listed("v1", "Secret")
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
    cluster: Shop, reply: Reply, error: type[Exception], words: str
) -> None:
    cluster.answers[SECRETS] = reply
    with pytest.raises(error, match=words):
        of_running(app())


def test_a_workload_or_context_that_does_not_exist_is_one_error(cluster: Shop) -> None:
    assert cluster.url
    with pytest.raises(NoData, match="there is deployment/shop, not deployment/web"):
        of_running(app(workload="deployment/web"))
    with pytest.raises(NoData, match="context"):
        of_running(app(context="production"))


def test_a_cluster_that_is_down_is_one_error(
    tmp_path: Path, cluster: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = (tmp_path / "kubeconfig").read_text().replace(cluster.url, "http://127.0.0.1:1")
    (tmp_path / "down").write_text(config)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "down"))
    with pytest.raises(Unreachable):
        of_running(app())
