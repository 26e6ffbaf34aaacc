"""Where the monitoring programs come from, and what is said when they cannot be had."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from readiness.servers import packages
from readiness.servers.packages import AbsentError, Package

INVENTED = Package(("invented", "debian-invented"), "invented-package")


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tools = {"apt-get", "dpkg-deb"}
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name in tools else None)
    for cached in (packages.command, packages._unpack_failure):
        cached.cache_clear()
    yield
    for cached in (packages.command, packages._unpack_failure):
        cached.cache_clear()


class Apt:
    """Plays apt-get and dpkg-deb; `fails` are the words of a command line that fail."""

    def __init__(self, *fails: str) -> None:
        self.fails = set(fails)
        self.calls: list[list[str]] = []

    def __call__(self, argv: Sequence[str], folder: Path, _deadline: float) -> None:
        self.calls.append(list(argv))
        own = any(word.startswith("-oDir::State") for word in argv)
        word = "own" if own and "download" in argv else argv[1]
        if word in self.fails:
            raise subprocess.CalledProcessError(100, argv, stderr="E: no such package\n")
        if "download" in argv:
            (folder / "invented.deb").touch()
        if argv[0] == "dpkg-deb":
            program = Path(argv[-1]) / "usr" / "bin" / "debian-invented"
            program.parent.mkdir(parents=True)
            program.touch()


def test_a_program_on_the_path_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/x/di" if name == "debian-invented" else "")
    assert packages.command(INVENTED) == ("/x/di",)


def test_a_package_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = Apt()
    monkeypatch.setattr(packages, "_run", apt)
    (path,) = packages.command(INVENTED)
    assert Path(path).is_relative_to(tmp_path / "cache")
    assert Path(path).is_file()
    packages.command.cache_clear()
    packages._unpack_failure.cache_clear()
    assert packages.command(INVENTED) == (path,)
    assert len(apt.calls) == 2


def test_empty_lists_of_the_system_are_replaced_by_own_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    apt = Apt("download")
    monkeypatch.setattr(packages, "_run", apt)
    assert packages.command(INVENTED)
    assert [call[-1] for call in apt.calls[:3]] == [
        "invented-package",
        "update",
        "invented-package",
    ]


def test_a_failure_is_told_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = Apt("download", "own")
    monkeypatch.setattr(packages, "_run", apt)
    for _ in range(2):
        with pytest.raises(AbsentError, match="no such package") as told:
            packages.command(INVENTED)
        assert told.value.remedy == "apt-get install invented-package"
    assert len(apt.calls) == 3
    assert not list((tmp_path / "cache" / "readiness").glob("download-*"))


def test_without_debian_packages_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(AbsentError, match="no Debian packages"):
        packages.command(INVENTED)


def test_a_program_that_wants_a_forbidden_mount_is_absent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(packages, "_run", Apt())
    monkeypatch.setattr(packages, "_works", lambda _: False)
    needy = Package(INVENTED.programs, INVENTED.debian, tmp_path / "nowhere" / "default.tmpl")
    with pytest.raises(AbsentError, match="private mount is not permitted"):
        packages.command(needy)
