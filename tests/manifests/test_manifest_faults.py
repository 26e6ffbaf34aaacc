"""Each fault of the manifests, on a copy of them: exactly its judgements, in no time.

`readiness prove -k manifests` shows the same on the whole reference system.
"""

import tomllib
from pathlib import Path
from typing import cast

import pytest

from readiness.areas.manifests import reference
from readiness.areas.manifests.config import Manifests
from readiness.model.fault import Fault, faults_of
from readiness.reference.system import ReferenceSystem
from tests.support.manifest_checks import HAS_PARSER, Judged
from tests.support.monitored_service import suite

FAULTS = [
    fault
    for module in ("faults", "faults_images")
    for fault in faults_of(suite(f"manifests.{module}"))
    if fault.needs != reference.LINTER and (HAS_PARSER or fault.needs != reference.PARSER)
]


class Levers(reference.ManifestLevers):
    def __init__(self, folder: Path) -> None:
        self._files = folder / reference.FOLDER


class System:
    def __init__(self, folder: Path) -> None:
        self.levers = Levers(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("orders")
    reference.copy_files(made)
    return made


def missed(folder: Path) -> dict[str, set[str]]:
    table = tomllib.loads(reference.manifests(folder, has_linter=False))["manifests"]
    found = Judged(Manifests.model_validate(table))
    assert not found.unfit
    return {f"{check}[manifests]": keys for check, keys in found.misses.items()}


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_healthy_files_pass_all_checks(folder: Path) -> None:
    assert missed(folder) == {}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_makes_exactly_its_judgements_miss(fault: Fault, folder: Path) -> None:
    before = contents(folder)
    with fault.apply(cast("ReferenceSystem", System(folder))):
        assert missed(folder) == {check: set(keys) for check, keys in fault.misses.items()}
    assert contents(folder) == before
