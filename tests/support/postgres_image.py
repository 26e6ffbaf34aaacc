"""An image like the official `postgres`, made of this machine's own PostgreSQL in seconds.

No registry is needed: it holds the programs, the libraries they are linked with, and nothing else.
"""

import io
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from docker.api import APIClient  # type: ignore[import-untyped]

from readiness.servers.binaries import find_binaries

_ENTRYPOINT: Final = Path(__file__).with_name("postgres_entrypoint.sh")
_SERVER: Final = ("postgres", "initdb", "pg_ctl", "pg_isready", "psql")
_TOOLS: Final = ("bin/sh", "bin/chmod", "bin/chown", "bin/mkdir", "usr/bin/id", "usr/bin/setpriv")
_ACCOUNTS: Final = "root:x:0:0::/:/bin/sh\npostgres:x:999:999::/:/bin/sh\n"
_GROUPS: Final = "root:x:0:\npostgres:x:999:\n"
_DATA: Final = "/var/lib/postgresql/data"


def release() -> str:
    """The major release of this machine's PostgreSQL, which is the tag of the image."""
    return find_binaries("local").version.partition(".")[0]


def build(engine: APIClient, file: Path) -> str:
    """Give the engine the image `postgres:RELEASE`; gives its name. The file is for its layer."""
    server = find_binaries("local")
    with tarfile.open(file, "w", dereference=True) as archive:
        for path in _files(server.folder, release()):
            archive.add(path)
        archive.add(_ENTRYPOINT, "entrypoint.sh")
        _add_text(archive, "etc/passwd", _ACCOUNTS)
        _add_text(archive, "etc/group", _GROUPS)
        tmp = tarfile.TarInfo("tmp")
        tmp.type, tmp.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(tmp)
    engine.import_image(
        src=str(file),
        repository="postgres",
        tag=release(),
        changes=[
            f"ENV PATH={server.folder}:/usr/bin:/bin",
            f"ENV PGDATA={_DATA}",
            f"VOLUME {_DATA}",
            'ENTRYPOINT ["/entrypoint.sh"]',
            'CMD ["postgres"]',
            "EXPOSE 5432",
        ],
    )
    return f"postgres:{release()}"


def _files(folder: Path, version: str) -> Iterator[Path]:
    modules = [
        path
        for path in folder.with_name("lib").glob("*.so")
        if not path.name.startswith("llvmjit")  # larger than all the rest, and optional
    ]
    programs = [*(folder / name for name in _SERVER), *(Path("/") / name for name in _TOOLS)]
    linked = [*programs, *modules]
    data = (Path(f"/usr/share/postgresql/{version}"), Path("/usr/share/zoneinfo"))
    yield from sorted({*linked, *_libraries(linked), *(path for path in data if path.exists())})


def _libraries(linked: Iterable[Path]) -> set[Path]:
    told = subprocess.run(["ldd", *linked], capture_output=True, text=True, check=True).stdout
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", told)}


def _add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
