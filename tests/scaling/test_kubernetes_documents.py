"""Reads Kubernetes objects from manifests and live files, and their quantities."""

import os
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.scaling.config import Scaling
from readiness.areas.scaling.probes.sides import sides, written
from readiness.areas.scaling.reference import copy_manifests
from readiness.lib.kubernetes.inventory import Inventory, documents, read
from readiness.lib.kubernetes.kubectl import Cluster
from readiness.lib.kubernetes.parts import amount, part_of
from readiness.model.errors import CouldNotMeasure, NoData
from tests.support.kubernetes_samples import deployment, hpa, inventory, made

ONE = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"


def kinds(text: str) -> list[str]:
    return [document.kind for document in documents(text, "file")]


def test_several_and_empty_documents_are_read() -> None:
    assert kinds(f"---\n{ONE}---\n---\n# nothing\n---\n{ONE}") == ["Service", "Service"]
    assert kinds("") == []


def test_lists_are_read_as_their_items() -> None:
    item = '{"apiVersion": "apps/v1", "kind": "Deployment"}'
    whole = '{"apiVersion": "v1", "kind": "List", "items": [%s, %s]}'
    assert kinds(whole % (item, item)) == ["Deployment", "Deployment"]
    assert kinds("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod}") == ["Pod"]


def test_items_of_a_typed_list_need_no_kind() -> None:
    text = '{"apiVersion": "apps/v1", "kind": "DeploymentList", "items": [{"metadata": {}}]}'
    (found,) = documents(text, "file")
    assert (found.group, found.version, found.kind) == ("apps", "v1", "Deployment")


def test_secrets_are_dropped_everywhere() -> None:
    secret = '{"apiVersion": "v1", "kind": "Secret", "data": {"a": "aHVudGVyMg=="}}'
    assert kinds(secret) == []
    assert kinds(f'{{"apiVersion": "v1", "kind": "List", "items": [{secret}]}}') == []
    assert kinds('{"apiVersion": "v1", "kind": "SecretList", "items": [{"data": {}}]}') == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: A\nkind: B\napiVersion: v1", "line 2: duplicate key 'kind'"),
        (
            "apiVersion: v1\nkind: A\nspec:\n  a: 1\n  b: {x: 1}\n  a: 2",
            "line 6: duplicate key 'a' .first on line 4",
        ),
        ("apiVersion: v1\nkind: A\nspec: [{a: 1, a: 2}]", "line 3: duplicate key 'a'"),
        ('{"apiVersion": "v1", "kind": "A", "spec": {"a": 1, "a": 2}}', "duplicate key 'a'"),
        ("a: {{ .Values.password }}", "a key is a list or a mapping"),
        ("a: [", "cannot be read: line 1: "),
        ("just text", "a text or a list, not a Kubernetes object"),
        ("- a\n- b", "a text or a list, not a Kubernetes object"),
        ("replicas: 3", "kind or apiVersion is missing"),
        ("apiVersion: v1\nkind: 3", "kind or apiVersion is missing"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_a_text_that_is_not_a_manifest_is_an_error(text: str, message: str) -> None:
    with pytest.raises(NoData, match=message):
        documents(text, "k8s/shop.yaml")


def test_error_quotes_no_text() -> None:
    with pytest.raises(NoData) as caught:
        documents('apiVersion: v1\nkind: Secret\ndata:\n  password: "hunter2\n', "f")
    assert "hunter2" not in str(caught.value)


def test_anchors_and_merges_are_not_duplicate_keys() -> None:
    text = (
        "apiVersion: v1\nkind: A\nbase: &base {x: 1, z: 2}\n"
        "one: &one {<<: *base, x: 3}\ntwo: {<<: *one, x: 4}\n"
    )
    (found,) = documents(text, "f")
    assert found.body["two"] == {"x": 4, "z": 2}


def test_date_stays_text() -> None:
    (found,) = documents("apiVersion: v1\nkind: A\nat: 2026-01-01\n", "f")
    assert found.body["at"] == "2026-01-01"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (deployment(replicas="3"), "spec.replicas is not what the API server accepts"),
        (hpa(maxReplicas=None), "maxReplicas"),
        (hpa(maxReplicas=0), "maxReplicas"),
        (hpa(minReplicas=-1), "minReplicas"),
        (made("apps/v1", "Deployment", None), "spec"),
        (
            made("kustomize.config.k8s.io/v1beta1", "Kustomization", {}),
            "these are not what is applied",
        ),
        (made("autoscaling/v2beta2", "HorizontalPodAutoscaler", {}), "write it as autoscaling/v2"),
        (made("extensions/v1beta1", "Deployment", {}), "write it as apps/v1"),
        (made("policy/v1beta1", "PodDisruptionBudget", {}), "write it as policy/v1"),
    ],
)
def test_object_that_the_api_server_refuses_is_an_error(wrong: Any, message: str) -> None:
    with pytest.raises(NoData, match=message):
        inventory(wrong)


def test_an_invalid_value_is_not_shown() -> None:
    with pytest.raises(NoData) as caught:
        inventory(deployment(replicas="hunter2"))
    assert "hunter2" not in str(caught.value)


def test_a_duplicate_object_is_an_error_and_its_live_object_is_no_duplicate() -> None:
    with pytest.raises(NoData, match="also in objects"):
        inventory(deployment(), deployment())
    live = deployment(metadata={"uid": "1"})
    assert len(inventory(deployment(), live).objects) == 2


def test_kinds_that_do_not_affect_scaling_are_left_out() -> None:
    assert read(documents(ONE.replace("Service", "ConfigMap"), "f")).objects == ()


@pytest.mark.parametrize(
    ("text", "value"),
    [("250m", Fraction(1, 4)), (2, 2), (0.5, Fraction(1, 2)), ("1.5Gi", 1610612736), ("1e3", 1000),
     ("128974848", 128974848), ("1E", 10**18), ("1Ei", 2**60), ("100n", Fraction(1, 10**7)),
     ("0", 0), ("1e-3", Fraction(1, 1000)), (".5", Fraction(1, 2)), ("12k", 12000)],
)  # fmt: skip
def test_quantities(text: Any, value: Any) -> None:
    assert amount(text) == value


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1gi", "1.5.0", "--1", True, "1e9999"])
def test_invalid_quantities(text: Any) -> None:
    with pytest.raises(NoData, match="is not a quantity"):
        amount(text)


@pytest.mark.parametrize(
    ("value", "total", "up", "found"),
    [("25%", 3, False, 0), ("25%", 3, True, 1), ("25%", 4, False, 1), ("0%", 9, True, 0),
     ("100%", 9, False, 9), ("110%", 10, True, 11), (2, 1, True, 2), ("1%", 0, True, 0)],
)  # fmt: skip
def test_percentages_are_rounded(value: Any, total: int, up: bool, found: int) -> None:
    assert part_of(value, total, up=up) == found


@pytest.mark.parametrize("value", ["25", "25 %", "-5%", "%", ""])
def test_invalid_percentages(value: str) -> None:
    with pytest.raises(NoData, match="neither a number nor a percentage"):
        part_of(value, 3, up=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy_manifests(tmp_path)


def test_live_objects_and_manifests_are_distinguished(folder: Path) -> None:
    found = written([str(folder / "*.yaml"), str(folder / "*.json")], 24)
    assert len(found.declared.objects) == 6
    assert len(found.live.objects) == 5 + 3 + 8


def test_a_file_that_two_patterns_find_is_read_once(folder: Path) -> None:
    found = written([str(folder / "*.yaml"), str(folder / "deployment.*")], 24)
    assert len(found.declared.objects) == 6


def test_file_with_only_secrets_is_skipped(folder: Path) -> None:
    (folder / "secret.yaml").write_text("apiVersion: v1\nkind: Secret\nstringData: {a: hunter2}\n")
    assert len(written([str(folder / "*.yaml")], 24).declared.objects) == 6


def test_old_live_objects_are_an_error(folder: Path) -> None:
    old = time.time() - 30 * 3600
    os.utime(folder / "live.json", (old, old))
    os.utime(folder / "deployment.yaml", (old, old))  # a manifest may
    with pytest.raises(CouldNotMeasure, match=r"30 h old; limit 24 h \(`live_max_age_h`\)"):
        written([str(folder / "*")], 24)
    assert written([str(folder / "*")], 48).live.objects


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"{{ if }}", "a key is a list or a mapping"),
        (b"a" * 17_000_000, "16 MiB"),
    ],
)
def test_unreadable_manifest_is_an_error(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(CouldNotMeasure, match=message):
        written([str(tmp_path / "*.yaml")], 24)


def test_a_pattern_that_matches_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoData, match="matches no file"):
        written([str(tmp_path / "*.yaml")], 24)


def test_an_unknown_workload_is_an_error(folder: Path) -> None:
    scaling = Scaling(
        name="x", workload="deployment/cart", manifests=[str(folder / "deployment.yaml")]
    )
    with pytest.raises(NoData, match="deployment/cart was not found in"):
        sides(scaling, None)


def test_a_workload_that_the_cluster_lacks_is_an_error_even_if_a_manifest_has_it(
    folder: Path,
) -> None:
    scaling = Scaling(
        name="shop", workload="deployment/shop", manifests=[str(folder / "*.yaml")],
        cluster=Cluster(context="staging", namespace="shop"),
    )  # fmt: skip
    with pytest.raises(
        NoData, match="deployment/shop was not found in namespace shop of staging"
    ) as caught:
        sides(scaling, Inventory(()))
    assert "kubectl --context staging get deployments" in caught.value.remedy
