"""Finds the programs of the monitoring stack: on PATH, or in Debian packages that we unpack."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from readiness.errors import ReferenceSystemError

_DEADLINE_S: Final = 90.0
_TEMPLATES: Final = Path("/usr/share/prometheus/alertmanager/default.tmpl")


@dataclass(frozen=True, slots=True)
class Package:
    """One program, and the Debian package that has it.

    Attributes:
        programs: the names it goes by on PATH.
        debian: the name of the package.
        needs: a file that the packaged program wants at exactly this path.
    """

    programs: tuple[str, ...]
    debian: str
    needs: Path | None = None


PROMETHEUS: Final = Package(("prometheus",), "prometheus")
ALERTMANAGER: Final = Package(
    ("alertmanager", "prometheus-alertmanager"), "prometheus-alertmanager", _TEMPLATES
)
POSTGRES_EXPORTER: Final = Package(
    ("postgres_exporter", "prometheus-postgres-exporter"), "prometheus-postgres-exporter"
)
NODE_EXPORTER: Final = Package(
    ("node_exporter", "prometheus-node-exporter"), "prometheus-node-exporter"
)
BLACKBOX_EXPORTER: Final = Package(
    ("blackbox_exporter", "prometheus-blackbox-exporter"), "prometheus-blackbox-exporter"
)
ALL: Final = (PROMETHEUS, ALERTMANAGER, POSTGRES_EXPORTER, NODE_EXPORTER, BLACKBOX_EXPORTER)


class AbsentError(ReferenceSystemError):
    """A program that cannot be had here; the remedy is the command that brings it."""


@cache
def command(package: Package) -> tuple[str, ...]:
    """The start of the command line that runs the program.

    Raises:
        AbsentError: it is not on PATH, and cannot be unpacked either.
    """
    return _on_path(package) or _unpacked_command(package, _unpack_failure(package))


def command_here(package: Package) -> tuple[str, ...]:
    """The same, without downloading anything: from PATH, or unpacked before.

    Raises:
        AbsentError: it is neither here nor there.
    """
    lies_there = _unpacked(package).is_dir()
    failure = "" if lies_there else "no package of it was unpacked before"
    return _on_path(package) or _unpacked_command(package, failure)


def _on_path(package: Package) -> tuple[str, ...]:
    return next(((path,) for name in package.programs if (path := shutil.which(name))), ())


def _unpacked_command(package: Package, failure: str) -> tuple[str, ...]:
    if failure:
        raise AbsentError(
            f"{package.programs[0]} is not here, and {failure}",
            remedy=f"apt-get install {package.debian}",
        )
    path = _program(package)
    if package.needs is None or package.needs.exists():
        return (path,)
    return _with_own_share(path, package)


@cache
def _unpack_failure(package: Package) -> str:
    """Why the package cannot be unpacked here; empty when it lies in the cache now.

    Cached: what failed once is not tried again by this process, it may have taken long.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return "this system has no Debian packages"
    try:
        with _locked(_cache_folder() / "lock"):
            if not _unpacked(package).is_dir():
                _download_and_unpack(package)
            _program(package)
    except subprocess.TimeoutExpired:
        return f"its package was not downloaded within {_DEADLINE_S:g} s"
    except subprocess.CalledProcessError as problem:
        lines = (problem.stderr or "").strip().splitlines()
        return f"its package cannot be downloaded: {lines[-1] if lines else problem}"
    except OSError as problem:
        return f"its package cannot be unpacked: {problem}"
    return ""


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "readiness"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _unpacked(package: Package) -> Path:
    return _cache_folder() / "packages" / package.debian


def _program(package: Package) -> str:
    folder = _unpacked(package) / "usr" / "bin"
    for name in package.programs:
        if (folder / name).is_file():
            return str(folder / name)
    raise FileNotFoundError(f"the package {package.debian} has no {package.programs[0]}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes.

    Raises:
        OSError: another process holds it for longer than the deadline.
    """
    deadline = time.monotonic() + _DEADLINE_S
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield


def _download_and_unpack(package: Package) -> None:
    work = _cache_folder() / f"download-{package.debian}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        deadline = time.monotonic() + _DEADLINE_S
        try:
            _run(["apt-get", "download", package.debian], work, deadline)
        except subprocess.CalledProcessError:
            # The system's lists are empty, as they are in most images: use lists of our own.
            own = _own_lists()
            _run(["apt-get", *own, "update"], work, deadline)
            _run(["apt-get", *own, "download", package.debian], work, deadline)
        file = next(iter(work.glob("*.deb")), None)
        if file is None:
            raise FileNotFoundError("apt-get downloaded nothing")
        _run(["dpkg-deb", "-x", str(file), str(work / "tree")], work, deadline)
        target = _unpacked(package)
        target.parent.mkdir(parents=True, exist_ok=True)
        (work / "tree").rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _own_lists() -> Sequence[str]:
    state, archives = _cache_folder() / "apt" / "lists", _cache_folder() / "apt" / "cache"
    for folder in (state / "partial", archives / "archives" / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    return (
        f"-oDir::State::lists={state}",
        f"-oDir::Cache={archives}",
        "-oAPT::Sandbox::User=",
        "-oDebug::NoLocking=true",
    )


def _run(argv: Sequence[str], folder: Path, deadline: float) -> None:
    subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        timeout=max(deadline - time.monotonic(), 1),
        check=True,
        start_new_session=True,
    )


# A private mount namespace in which /usr/share is empty but for what the program wants there.
_IN_OWN_NAMESPACE: Final = (
    'mount -t tmpfs none /usr/share && mkdir -p "$(dirname "$1")" &&'
    ' cp -r "$2/." "$(dirname "$1")" && shift 2 && exec "$@"'
)


def _with_own_share(path: str, package: Package) -> tuple[str, ...]:
    """Run the program where its files seem to lie at the path that is compiled into it.

    Raises:
        AbsentError: this system does not permit it.
    """
    wanted = str(package.needs)
    files = str(_unpacked(package) / wanted.lstrip("/").rpartition("/")[0])
    root = () if os.geteuid() == 0 else ("--map-root-user",)
    shell = ("unshare", *root, "--mount", "sh", "-c", _IN_OWN_NAMESPACE, "sh", wanted, files)
    if not _works((*shell, path, "--version")):
        raise AbsentError(
            f"{package.programs[0]} wants {wanted}, and a private mount is not permitted here",
            remedy=f"apt-get install {package.debian}",
        )
    return (*shell, path)


def _works(argv: Sequence[str]) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
