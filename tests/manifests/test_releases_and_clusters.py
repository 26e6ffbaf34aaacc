"""The fields of a named release, and live objects: of files, and read with kubectl."""

import json
import os
import stat
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.manifests import reference
from readiness.areas.manifests.config import Manifests
from readiness.areas.manifests.probes.reading import side_of_cluster, sides_of_files
from readiness.lib.kubernetes import definitions
from readiness.lib.kubernetes.definitions import newest, of_release, tables
from readiness.lib.kubernetes.fields import mistakes
from readiness.lib.kubernetes.kubectl import Cluster
from readiness.model.errors import CouldNotMeasure, NoData
from tests.support.kubernetes_samples import deployment, made
from tests.support.manifest_checks import judged

UID = {"uid": "1"}


def test_a_release_without_its_package_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference.copy_files(tmp_path)
    monkeypatch.setattr(definitions, "find_spec", lambda _: None)
    found = judged(tmp_path / reference.FOLDER, kubernetes_version="1.30")
    assert found.misses["manifests.valid"] == set()
    assert "kubernetes-validate" in found.texts["manifests.valid"]


@pytest.mark.skipif(
    find_spec("kubernetes_validate") is None, reason="kubernetes-validate is not installed"
)
@pytest.mark.contract
def test_releases_are_those_of_kubernetes_validate() -> None:
    found = of_release("1.37")
    assert found.kinds == newest().kinds
    assert found.types == newest().types
    old = of_release("1.28")
    pod = {"containers": [{"name": "a"}]}
    job = {"spec": {"template": {"spec": pod}, "successPolicy": {"rules": []}}}
    assert [one.place for one in mistakes("batch/v1", "Job", job, old)] == ["spec.successPolicy"]
    assert mistakes("batch/v1", "Job", job, newest()) == []
    with pytest.raises(NoData, match=r"does not know Kubernetes 1\.999"):
        of_release("1.999")


def test_tables_are_made_of_definitions() -> None:
    meta = "io.k8s.apimachinery.pkg.apis.meta.v1."
    found = tables(
        {
            "$defs": {
                "io.k8s.api.x.v1.Thing": {
                    "properties": {
                        "metadata": {"$ref": f"#/$defs/{meta}ObjectMeta"},
                        "spec": {"$ref": "#/$defs/io.k8s.api.x.v1.Spec"},
                        "status": {"$ref": "#/$defs/io.k8s.api.x.v1.Spec"},
                    },
                    "x-kubernetes-group-version-kind": [
                        {"group": "x.k8s.io", "version": "v1", "kind": "Thing"}
                    ],
                },
                "io.k8s.api.x.v1.Spec": {
                    "properties": {
                        "path": {"type": ["string", "null"]},
                        "value": {"type": "string"},
                        "size": {"$ref": "#/$defs/io.k8s.apimachinery.pkg.api.resource.Quantity"},
                        "many": {"type": "array", "items": {"type": "integer"}},
                        "free": {"type": "object"},
                        "at": {"$ref": f"#/$defs/{meta}Time"},
                    },
                    "required": ["path", "value", "many"],
                },
                f"{meta}ObjectMeta": {"properties": {"name": {"type": ["string", "null"]}}},
                f"{meta}Time": {"type": ["string", "null"], "format": "date-time"},
                "io.k8s.apimachinery.pkg.api.resource.Quantity": {"oneOf": []},
            }
        },
        "a test",
    )
    assert found.kinds == {"x.k8s.io/v1 Thing": "x.v1.Thing"}
    assert found.types["x.v1.Thing"]["status"] == "any"
    assert found.types["x.v1.Spec"] == {
        "at": "string",
        "free": "{}any",
        "many": "[]integer",
        "path": "string!",
        "size": "quantity",
        "value": "string",
    }


def test_live_objects_in_a_file_are_a_side_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "live.json"
    path.write_text(json.dumps(deployment(metadata=UID)))
    [side] = sides_of_files(Manifests(kubernetes=[str(path)]))
    assert (side.name, [str(one) for one in side.workloads]) == ("live", ["deployment/shop"])
    an_hour_ago = time.time() - 3600 * 25
    os.utime(path, (an_hour_ago, an_hour_ago))
    [side] = sides_of_files(Manifests(kubernetes=[str(path)]))
    with pytest.raises(CouldNotMeasure, match="25 h old"):
        side.sure()


def test_every_kind_of_workload_is_found(tmp_path: Path) -> None:
    pod: dict[str, Any] = {"containers": [{"name": "a", "image": "x:1"}]}
    template = {"template": {"metadata": {"labels": {"app": "a"}}, "spec": pod}}
    owner = {"ownerReferences": [{"kind": "CronJob", "name": "a"}]}
    objects = [
        deployment(pod),
        deployment(pod, kind="StatefulSet"),
        deployment(pod, kind="DaemonSet"),
        made("batch/v1", "Job", template, name="once"),
        made("batch/v1", "Job", template, name="made", metadata=owner),
        made("batch/v1", "CronJob", {"jobTemplate": {"spec": template}}, name="nightly"),
        made("v1", "Pod", pod, name="alone"),
        made("argoproj.io/v1alpha1", "Rollout", template, name="canary"),
    ]
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": objects}))
    [side] = sides_of_files(Manifests(kubernetes=[str(path)]))
    assert [str(one) for one in side.workloads] == [
        "deployment/shop", "statefulset/shop", "daemonset/shop", "job/once", "cronjob/nightly",
        "pod/alone", "rollout/canary",
    ]  # fmt: skip
    assert len({id(one.pod) for one in side.workloads}) == len(side.workloads)


SHIM = """\
#!{python}
import json, sys
words = " ".join(sys.argv[1:])
if "config view" in words:
    print(json.dumps({{"contexts": [{{"name": "staging"}}]}}))
elif "networkpolicies" in words:
    sys.exit("Error from server (Forbidden): networkpolicies is forbidden")
elif "get deployments" in words:
    print({objects!r})
"""


@pytest.mark.contract
def test_a_kind_that_may_not_be_read_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "kubectl"
    objects = json.dumps(deployment(metadata=UID))
    program.write_text(SHIM.format(python=sys.executable, objects=objects))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    private = tmp_path / "private"
    private.mkdir()
    side = side_of_cluster(Cluster(context="staging", namespace="shop"), private)
    assert [str(one) for one in side.workloads] == ["deployment/shop"]
    with pytest.raises(CouldNotMeasure, match="networkpolicies"):
        side.sure()
