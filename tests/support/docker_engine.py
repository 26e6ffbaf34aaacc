"""A Docker engine of our own, which leaves nothing, and images of what this machine has.

It lives in namespaces of its own: its processes, its mounts and its /run end with it. Only the
bridge and the control groups are the machine's; the guardian removes them. The images
need no registry: they hold programs and the libraries that they are linked with.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import re2

from readiness.lib.guardian import Guardian
from readiness.model.errors import ReadinessError, Unreachable
from readiness.servers.binaries import find_binaries
from readiness.servers.docker import knock

if TYPE_CHECKING:
    from docker.api import APIClient  # type: ignore[import-untyped]

NEEDED: Final = "READINESS_TEST_NEEDS_DOCKER"
"""With this variable, a machine without an engine is a failure."""
_CGROUPS: Final = Path("/sys/fs/cgroup")
_START_TIMEOUT_S: Final = 60


@contextmanager
def docker_engine() -> Iterator[str]:
    """Run an engine; gives its address, as for DOCKER_HOST.

    Raises:
        ReadinessError: none can be started here.
    """
    _need_means()
    guardian = Guardian()
    process = None
    try:
        folder = Path(tempfile.mkdtemp(prefix="readiness-docker-"))
        guardian.remove(folder)
        name = f"docker-{os.getpid()}"  # short: it is an interface's too
        for group in (_CGROUPS, *_CGROUPS.glob("*/")):
            if (group / "cgroup.procs").exists():
                guardian.remove(group / name)
        guardian.run(["ip", "link", "delete", name])
        _make_bridge(name)
        process = _start(folder, name)
        guardian.kill(process.pid)
        host = f"unix://{folder}/docker.sock"
        _wait_for(host, process, folder / "log")
        yield host
    finally:
        guardian.undo()
        if process is not None:
            process.wait()


def _need_means() -> None:
    if os.geteuid() != 0:
        raise ReadinessError("a Docker engine of our own needs root")
    absent = [name for name in ("dockerd", "unshare", "ip") if not shutil.which(name)]
    if absent:
        raise ReadinessError(
            f"{', '.join(absent)} not found", remedy="apt-get install docker.io iproute2"
        )


def _make_bridge(name: str) -> None:
    # The addresses are set aside for tests (RFC 2544), and every process has others.
    address = f"198.18.{os.getpid() % 256}.1/24"
    for command in (
        ["link", "add", "name", name, "type", "bridge"],
        ["address", "add", address, "dev", name],
        ["link", "set", name, "up"],
    ):
        done = subprocess.run(["ip", *command], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ReadinessError(f"a bridge cannot be made: {done.stderr.strip()}")


def _start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    config = folder / "daemon.json"
    config.write_text("{}")  # and not the machine's
    engine = [
        *("dockerd", f"--config-file={config}", f"--host=unix://{folder}/docker.sock"),
        *(f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"),
        # Ports are published by its proxy alone: the machine's packet filter stays as it is.
        f"--bridge={name}",
        *("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
        *(f"--cgroup-parent=/{name}", "--exec-opt=native.cgroupdriver=cgroupfs"),
    ]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [
                *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
                *("sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh", *engine),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_for(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            knock(host)
        except Unreachable:
            time.sleep(0.05)
        else:
            return
    raise ReadinessError(f"the engine did not start: {log.read_text()[-3000:]}")


_ENTRYPOINT: Final = Path(__file__).with_name("postgres_entrypoint.sh")
_SERVER: Final = ("postgres", "initdb", "pg_ctl", "pg_isready", "psql")
_TOOLS: Final = (
    *("bin/sh", "bin/cat", "bin/chmod", "bin/chown", "bin/mkdir", "usr/bin/install"),
    *("usr/bin/id", "usr/bin/setpriv"),
)
_PARTS_OF_C: Final = ("libdl", "libm", "libpthread", "libresolv", "librt", "libutil")
_ACCOUNTS: Final = "root:x:0:0::/:/bin/sh\npostgres:x:999:999::/:/bin/sh\n"
_GROUPS: Final = "root:x:0:\npostgres:x:999:\n"
_DATA: Final = "/var/lib/postgresql/data"


def release() -> str:
    """The major release of this machine's PostgreSQL, which is the tag of the image."""
    return find_binaries("local").version.partition(".")[0]


def build(engine: "APIClient", file: Path) -> str:
    """Give the engine the image `postgres:RELEASE`; gives its name. The file is for its layer."""
    server = find_binaries("local")
    with tarfile.open(file, "w", dereference=True) as archive:
        for path in _files(server.folder, release()):
            archive.add(path)
        archive.add(_ENTRYPOINT, "entrypoint.sh")
        _add_what_each_has(archive)
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


def build_python(engine: "APIClient", file: Path, wheels: Path) -> str:
    """Give the engine an image of this Python; gives its name.

    Its pip knows no index but the folder of wheels, as that of a company knows its mirror.
    """
    library, program = Path(sysconfig.get_path("stdlib")), Path(sys.executable).resolve()
    modules = [file for file in library.glob("lib-dynload/*.so") if "tkinter" not in file.name]
    tools = [Path("/") / name for name in _TOOLS]
    # Wheels expect the libraries of C and C++ of the machine.
    linked = [program, *tools, *modules, *Path(re2.__file__).parent.glob("*.so")]
    with tarfile.open(file, "w", dereference=True) as archive:
        archive.add(library, filter=_needed)
        libraries = _libraries(linked)
        (c,) = (path for path in libraries if path.name == "libc.so.6")
        parts = {path for name in _PARTS_OF_C for path in c.parent.glob(f"{name}.so.*")}
        for path in sorted({program, *tools, *libraries, *parts}):
            archive.add(path)
        archive.add(program, program.with_name("python3"))
        # Where Debian has the wheels of ensurepip.
        if (bundled := Path("/usr/share/python-wheels")).exists():
            archive.add(bundled)
        archive.add(wheels, "wheels")
        _add_what_each_has(archive)
    changes = [
        f"ENV PATH={program.parent}:/usr/bin:/bin",
        "ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels",
    ]
    engine.import_image(src=str(file), repository="python", tag="here", changes=changes)
    return "python:here"


def _needed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """The standard library without what was installed into it, and what no image has."""
    absent = ("site-packages", "dist-packages", "test", "idlelib", "tkinter", "__pycache__")
    parts = entry.name.split("/")
    return None if set(absent) & {*parts} or entry.name.endswith(".a") else entry


def _add_what_each_has(archive: tarfile.TarFile) -> None:
    _add_text(archive, "etc/passwd", _ACCOUNTS)
    _add_text(archive, "etc/group", _GROUPS)
    tmp = tarfile.TarInfo("tmp")
    tmp.type, tmp.mode = tarfile.DIRTYPE, 0o1777
    archive.addfile(tmp)


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
