"""Packages of npm that only tests need: by version and hash, in a folder that git ignores."""

import base64
import hashlib
import shutil
import subprocess
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


def package(name: str, version: str, integrity: str) -> Path:
    """The folder of a package, without what it depends on; fetched if it is not there.

    Args:
        name: as npm has it, with its scope.
        version: exactly this one.
        integrity: `sha512-` and the hash of the archive, as package-lock.json writes it.

    Raises:
        AbsentError: npm is not installed, or gets no such package.
        ValueError: the archive is another one.
    """
    home = _CACHE / f"{name.lstrip('@').replace('/', '-')}-{version}"
    if not home.exists():
        _CACHE.mkdir(exist_ok=True)
        # Workers of xdist may fetch at the same time: the first to end has made it.
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            _unpack(_packed(f"{name}@{version}", Path(folder)), integrity, Path(folder))
            if not home.exists():
                (Path(folder) / "package").rename(home)
    return home


def _packed(package: str, folder: Path) -> Path:
    command = [program("npm"), "pack", "--loglevel=error", package]
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=_FETCH_S
        )
    except subprocess.SubprocessError as problem:
        told = str(getattr(problem, "stderr", "") or problem).strip()
        raise AbsentError(f"npm does not get {package}: {told[:200]}") from None
    (archive,) = folder.glob("*.tgz")
    return archive


def _unpack(archive: Path, integrity: str, folder: Path) -> None:
    found = f"sha512-{base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()}"
    if found != integrity:
        raise ValueError(f"{archive.name} is not what it was: {found}")
    # tarfile has no filters before Python 3.11.4, and wants one named since 3.12.
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
