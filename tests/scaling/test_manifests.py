import os
import time
from pathlib import Path

import pytest

from readiness.areas.scaling.config import Cluster, Scaling
from readiness.areas.scaling.kubernetes.inventory import Inventory
from readiness.areas.scaling.probes.sides import sides, written
from readiness.areas.scaling.reference.target import copy_manifests
from readiness.model.errors import CouldNotMeasure, NoData


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy_manifests(tmp_path)


def test_live_objects_and_manifests_are_told_apart(folder: Path) -> None:
    found = written([str(folder / "*.yaml"), str(folder / "*.json")], 24)
    assert len(found.declared.objects) == 5
    assert len(found.live.objects) == 5 + 3 + 8


def test_a_file_that_two_patterns_find_is_read_once(folder: Path) -> None:
    found = written([str(folder / "*.yaml"), str(folder / "deployment.*")], 24)
    assert len(found.declared.objects) == 5


def test_a_file_of_secrets_alone_is_passed_over(folder: Path) -> None:
    (folder / "secret.yaml").write_text("apiVersion: v1\nkind: Secret\nstringData: {a: hunter2}\n")
    assert len(written([str(folder / "*.yaml")], 24).declared.objects) == 5


def test_a_snapshot_may_not_be_old(folder: Path) -> None:
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
def test_files_that_cannot_be_read(content: bytes, message: str, tmp_path: Path) -> None:
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
    with pytest.raises(NoData, match="deployment/shop was not found in namespace shop of staging"):
        sides(scaling, Inventory(()))
