"""The files around the reference system's release are valid, and each lever restores them."""

import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path

import pytest

from readiness.areas.deployment.config import Deployment, Order, Report, SavedLayer
from readiness.areas.deployment.probes import files
from readiness.areas.deployment.probes.releases import read_report
from readiness.areas.deployment.probes.start_order import read_order
from readiness.areas.deployment.reference.target import ReleaseFiles, ReleaseLevers, make
from readiness.model.errors import ReferenceSystemError


class Levers(ReleaseLevers):
    """Those of a release without a system."""

    def __init__(self, released: ReleaseFiles) -> None:
        self._released = released

    def replace_in_config(self, old: str, new: str) -> AbstractContextManager[None]:
        self.replaced = (old, new)
        return nullcontext()


@pytest.fixture
def released(tmp_path: Path) -> ReleaseFiles:
    return make(tmp_path, "1.5.0", {})


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(file): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_the_files_around_the_release_are_valid(released: ReleaseFiles) -> None:
    configuration = files.matching(f"{released.deploy}/*")
    assert len(configuration) == 5
    assert [files.parsed(path).mistakes for path in configuration] == [()] * 5
    order = read_order(Order(compose=str(released.deploy / "docker-compose.yml")))
    assert [order.loose, order.unchecked, order.unknown, order.cycle] == [[], [], [], []]
    layer = SavedLayer(name="configuration", path=str(released.saved), pattern="c*.tar.gz")
    copy = files.newest(layer)
    assert copy is not None
    assert files.sum_fits(copy).value == 0


def test_the_report_is_complete(released: ReleaseFiles) -> None:
    told = Report(path=str(released.report))
    place, report, wrong = read_report(Deployment(url="http://127.0.0.1:1", report=told))
    assert (place, wrong) == (str(released.report), [])
    assert report is not None
    assert (report.live, report.previous, report.duration_s) == ("1.5.0", "1.4.0", 42)


def test_each_lever_restores_the_files(released: ReleaseFiles) -> None:
    levers, before = Levers(released), content(released.folder)
    with levers.change_release_file("store/shop-1.4.0.tar.gz", Path.unlink):
        assert content(released.folder).keys() != before.keys()
    with levers.edit_release_file("deploy/logging.yaml", "INFO", "DEBUG"):
        assert "DEBUG" in (released.deploy / "logging.yaml").read_text()
    with levers.age_release_file("saved/configuration.tar.gz", timedelta(days=2)):
        layer = SavedLayer(name="x", path=str(released.saved), pattern="c*.tar.gz")
        copy = files.newest(layer)
        assert copy is not None
        assert float(files.minutes_old(copy).value) == pytest.approx(2880, abs=1)
    assert content(released.folder) == before
    with (
        pytest.raises(ReferenceSystemError, match="'nothing' is not in the file"),
        levers.edit_release_file("deploy/logging.yaml", "nothing", ""),
    ):
        pass


def test_the_levers_on_the_machine_are_in_the_configuration(released: ReleaseFiles) -> None:
    levers = Levers(released)
    with levers.in_cgroup(limit=17):
        assert '"in-cgroup", "17"]' in levers.replaced[1]
    with levers.runtime("pass"):
        assert levers.replaced[1].endswith('"-c", "pass"]')


def asked(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "readiness.areas.deployment.reference.commands", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_artifact_command_finds_existing_files_only(released: ReleaseFiles) -> None:
    there = asked("artifact", str(released.store / "shop-1.4.0.tar.gz"))
    assert (there.returncode, there.stdout) == (0, "shop-1.4.0.tar.gz\n")
    assert asked("artifact", str(released.store / "shop-1.3.0.tar.gz")).returncode == 1


def test_in_cgroup_answers_grep_and_runs_other_commands() -> None:
    assert "memory.max:17\n" in asked("in-cgroup", "17", "grep", "-H", ".", "/x").stdout
    assert asked("in-cgroup", "17", "echo", "here").stdout == "here\n"
