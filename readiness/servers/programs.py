"""Finds programs: on PATH, in an unpacked Debian package, or in a wheel.

Checks call `find`, which downloads nothing. The reference system, the tests and `readiness doctor
--reference` call `fetch` and `get`, which download missing programs.
"""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from readiness.model.errors import ReferenceSystemError
from readiness.servers import unpacking

Program = unpacking.Program
POSTGRES_FOLDER: Final = "READINESS_POSTGRES_BIN"
"""The variable that names a folder with the programs of PostgreSQL."""
INSTALLED_POSTGRES: Final = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/opt/homebrew/opt/postgresql/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/local/pgsql/bin",
)
"""Where PostgreSQL is installed when it is not on PATH."""
POSTGRES_PROGRAMS: Final = ("initdb", "postgres", "pg_dump", "pg_restore")
"""The programs that a folder must have to be used."""

# Debian installs servers in folders that are only on the PATH of root.
_SERVER_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
WITHOUT: Final = "READINESS_WITHOUT"
"""The variable with programs and PostgreSQL extensions that must not be used, comma-separated."""
_HIDDEN: Final = f"is disabled by ${WITHOUT}"
_TEMPLATE: Final = "/usr/share/prometheus/alertmanager/default.tmpl"


PROMETHEUS: Final = Program(("prometheus",), "prometheus")
PROMTOOL: Final = Program(("promtool",), "prometheus")
ALERTMANAGER: Final = Program(
    ("alertmanager", "prometheus-alertmanager"),
    "prometheus-alertmanager",
    needs=_TEMPLATE,
    extra=("proot",),
)
AMTOOL: Final = Program(("amtool",), "prometheus-alertmanager", needs=_TEMPLATE, extra=("proot",))
POSTGRES_EXPORTER: Final = Program(
    ("postgres_exporter", "prometheus-postgres-exporter"), "prometheus-postgres-exporter"
)
NODE_EXPORTER: Final = Program(
    ("node_exporter", "prometheus-node-exporter"), "prometheus-node-exporter"
)
BLACKBOX_EXPORTER: Final = Program(
    ("blackbox_exporter", "prometheus-blackbox-exporter"), "prometheus-blackbox-exporter"
)
POSTGRES: Final = Program(("postgres",), "postgresql")
PGBACKREST: Final = Program(("pgbackrest",), "pgbackrest", version=("version",))
PGBOUNCER: Final = Program(("pgbouncer",), "pgbouncer")
HAPROXY: Final = Program(("haproxy",), "haproxy", version=("-v",))
NGINX: Final = Program(("nginx",), "nginx", version=("-v",))
REDIS: Final = Program(("redis-server",), "redis-server", extra=("redis-tools",))
OPENSSL: Final = Program(("openssl",), "openssl", version=("version",))
SQUAWK: Final = Program(("squawk",), wheel="squawk-cli")
BARMAN: Final = Program(("barman",), "barman", extra=("python3-barman", "rsync"))
DOVECOT: Final = Program(("dovecot",), "dovecot-imapd", extra=("proot",))
BUSYBOX: Final = Program(("busybox",), "busybox-static", version=("true",))
CHROMIUM: Final = Program(("chromium", "google-chrome"), "chromium", extra=("fonts-dejavu-core",))
PDFTOTEXT: Final = Program(("pdftotext",), "poppler-utils", version=("-v",))

REFERENCE: Final = (
    PROMETHEUS,
    PROMTOOL,
    ALERTMANAGER,
    AMTOOL,
    POSTGRES_EXPORTER,
    NODE_EXPORTER,
    BLACKBOX_EXPORTER,
    POSTGRES,
    PGBACKREST,
    PGBOUNCER,
    HAPROXY,
    NGINX,
    REDIS,
    OPENSSL,
)
"""What the reference system consists of; downloaded together."""
TESTS: Final = (BARMAN, DOVECOT, BUSYBOX)
"""What only the tests start."""
BROWSER: Final = (CHROMIUM, PDFTOTEXT)
"""What the test that prints a page needs; large, so that it is a download of its own."""
_TOGETHER: Final = (REFERENCE, TESTS, BROWSER)
ALL: Final = (*REFERENCE, *TESTS, *BROWSER)
"""All programs that may come from a Debian package."""
# The result of each download of this process: empty, or why it failed. None is repeated, as it may
# take long.
_tried: dict[tuple[str, ...], str] = {}


class AbsentError(ReferenceSystemError):
    """A program that is not available; the remedy is the command that installs it."""


def find(program: Program) -> str:
    """The path of a program that is available: on PATH, unpacked before, or from a wheel.

    Raises:
        AbsentError: it is missing or does not run.
    """
    if refused(*program.names):
        raise AbsentError(f"{program.name} {_HIDDEN}", remedy=program.remedy)
    if found := _installed(program):
        return found
    unpacked = unpacking.launcher(program.names)
    why = _why_not(unpacked, program) if unpacked else unpacking.why_absent(program.names)
    if unpacked and not why:
        return unpacked
    if found := _from_wheel(program):
        return found
    raise AbsentError(f"{program.name} {why or 'is not installed'}", remedy=program.remedy)


def is_here(program: Program) -> bool:
    """Whether `find` finds it."""
    try:
        find(program)
    except AbsentError:
        return False
    return True


def get(program: Program) -> str:
    """The path of a program; it is downloaded with its group if it is not available.

    Raises:
        AbsentError: it is missing and cannot be downloaded.
    """
    try:
        return find(program)
    except AbsentError as absent:
        if refused(*program.names):
            raise
        group = next((group for group in _TOGETHER if program in group), (program,))
        why = fetch(group)
        if not why:
            return find(program)
        raise AbsentError(f"{absent.message}, and {why}", remedy=absent.remedy) from None


def fetch(group: Sequence[Program], say: Callable[[str], None] = lambda _: None) -> str:
    """Download and unpack the missing programs of a group, all at once.

    Args:
        group: the programs.
        say: called with a line about the download and its size.

    Returns:
        Why they cannot be downloaded; empty on success. Whether each of them runs is not included:
        `find` reports that.
    """
    wanted = [p for p in group if p.debian and not refused(*p.names)]
    absent = [p for p in wanted if not _is_provided(p)]
    if not absent:
        return ""
    if refused("apt-get"):
        return f"apt-get {_HIDDEN}"
    packages = tuple(sorted({name for p in absent for name in (p.debian, *p.extra)}))
    if packages not in _tried:
        _tried[packages] = unpacking.unpack(packages, absent, ALL, say)
    return _tried[packages]


def postgres_folders() -> Iterator[Path]:
    """Folders that may have PostgreSQL's programs: of PATH, installed, unpacked; newest first."""
    if initdb := shutil.which("initdb"):
        yield Path(initdb).resolve().parent
    for pattern in INSTALLED_POSTGRES:
        yield from sorted(Path("/").glob(pattern[1:]), key=release_number, reverse=True)
    yield from unpacking.postgres_folders()


def release_number(folder: Path) -> float:
    """The release in the path of a folder with programs, such as 16.4; 0 if it has none."""
    numbers = re.findall(r"\d+(?:\.\d+)?", folder.parent.name)
    return float(numbers[-1]) if numbers else 0.0


def _is_provided(program: Program) -> bool:
    if program != POSTGRES:
        return is_here(program)
    chosen = os.environ.get(POSTGRES_FOLDER)
    folders = (*([Path(chosen)] if chosen else []), *postgres_folders())
    return any(all((f / name).is_file() for name in POSTGRES_PROGRAMS) for f in folders)


def _installed(program: Program) -> str:
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SERVER_FOLDERS))
    return next((path for name in program.names if (path := shutil.which(name, path=places))), "")


def _why_not(path: str, program: Program) -> str:
    """Why an unpacked program does not run. All were tested when they were unpacked.

    Only one that needs a file at a fixed path depends on the rights of this process.
    """
    if not program.needs or Path(program.needs).exists():
        return ""
    why = _tried_again(path, program.version)
    return f"was downloaded but does not run here: {why}" if why else ""


@cache
def _tried_again(path: str, arguments: tuple[str, ...]) -> str:
    return unpacking.why_not(path, arguments)


def _from_wheel(program: Program) -> str:
    if not program.wheel:
        return ""
    # pip installs it into the folder of Python, which need not be on PATH.
    path = Path(sys.executable).with_name(program.name)
    return str(path) if path.is_file() else ""


def main() -> int:
    """Download what the tests use; with the argument `browser` that too. For the Makefile."""
    groups = [REFERENCE, TESTS, *([BROWSER] if "browser" in sys.argv[1:] else [])]
    for group in groups:
        why = fetch(group, lambda line: print(line, flush=True))  # noqa: T201 - a command
        if why:
            print(f"without {', '.join(p.name for p in group if not is_here(p))}: {why}")  # noqa: T201
    return 0


def refused(*names: str) -> bool:
    """Whether one of these names is disabled."""
    hidden = {name.strip() for name in os.environ.get(WITHOUT, "").split(",")}
    return not hidden.isdisjoint(names)


if __name__ == "__main__":
    raise SystemExit(main())
