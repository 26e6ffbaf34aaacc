"""Finds programs: on PATH, in an unpacked Debian package, or in a wheel.

Checks call `find`, which downloads nothing. The reference system, the tests and `readiness doctor
--reference` call `fetch` and `get`, which download missing programs.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from readiness.model.errors import ReferenceSystemError
from readiness.servers import unpacking

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
"""Where a PostgreSQL is that was installed, and is not on PATH."""
POSTGRES_PROGRAMS: Final = ("initdb", "postgres", "pg_dump", "pg_restore")
"""What makes a folder one of PostgreSQL's programs."""

# Debian installs servers where only root looks.
_BESIDE_PATH: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
WITHOUT: Final = "READINESS_WITHOUT"
"""Names of programs and of extensions of PostgreSQL, with commas between them."""
_HIDDEN: Final = f"is disabled by ${WITHOUT}"
_TEMPLATE: Final = "/usr/share/prometheus/alertmanager/default.tmpl"


@dataclass(frozen=True, slots=True)
class Program:
    """One program, and where it comes from.

    Attributes:
        names: what it is called on PATH; the first one names it in messages.
        debian: the Debian package that has it; empty if there is none.
        wheel: the Python package that has it; empty if there is none.
        version: the arguments with which it does nothing but show that it runs.
        needs: a file that the packaged program opens at exactly this path.
        beside: packages that go with it and on which it does not depend.
    """

    names: tuple[str, ...]
    debian: str = ""
    wheel: str = ""
    version: tuple[str, ...] = ("--version",)
    needs: str = ""
    beside: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self.names[0]

    @property
    def remedy(self) -> str:
        """The command that installs it."""
        return f"apt-get install {self.debian}" if self.debian else f"pip install {self.wheel}"


PROMETHEUS: Final = Program(("prometheus",), "prometheus")
PROMTOOL: Final = Program(("promtool",), "prometheus")
ALERTMANAGER: Final = Program(
    ("alertmanager", "prometheus-alertmanager"),
    "prometheus-alertmanager",
    needs=_TEMPLATE,
    beside=("proot",),
)
AMTOOL: Final = Program(("amtool",), "prometheus-alertmanager", needs=_TEMPLATE, beside=("proot",))
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
OPENSSL: Final = Program(("openssl",), "openssl", version=("version",))
SQUAWK: Final = Program(("squawk",), wheel="squawk-cli")
BARMAN: Final = Program(("barman",), "barman", beside=("python3-barman", "rsync"))
DOVECOT: Final = Program(("dovecot",), "dovecot-imapd", beside=("proot",))
BUSYBOX: Final = Program(("busybox",), "busybox-static", version=("true",))
CHROMIUM: Final = Program(("chromium", "google-chrome"), "chromium", beside=("fonts-dejavu-core",))
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
    OPENSSL,
)
"""What the reference system is made of. They come in one download."""
TESTS: Final = (BARMAN, DOVECOT, BUSYBOX)
"""What only our tests start."""
BROWSER: Final = (CHROMIUM, PDFTOTEXT)
"""What prints a page; large, so that it is downloaded only by the test that prints one."""
_TOGETHER: Final = (REFERENCE, TESTS, BROWSER)
ALL: Final = (*REFERENCE, *TESTS, *BROWSER)
"""What may come from a Debian package."""
# Why each download failed that this process tried; empty for what succeeded. None is tried again:
# it may have taken long.
_tried: dict[tuple[str, ...], str] = {}


class AbsentError(ReferenceSystemError):
    """A program that is not available; the remedy is the command that installs it."""


def find(program: Program) -> str:
    """The path of a program that is here: on PATH, unpacked before, or from a wheel.

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
    """The path of a program, which is downloaded, together with its group, if it is not here.

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
    """Download and unpack the programs that are not here, all in one plan.

    Args:
        group: what is wanted.
        say: is told what is downloaded, with sizes.

    Returns:
        Why they cannot be downloaded; empty if they were, or all are here. Why a single one does
        not run, `find` says.
    """
    wanted = [p for p in group if p.debian and not refused(*p.names)]
    absent = [p for p in wanted if not _is_provided(p)]
    if not absent:
        return ""
    if refused("apt-get"):
        return f"apt-get {_HIDDEN}"
    packages = tuple(sorted({name for p in absent for name in (p.debian, *p.beside)}))
    if packages not in _tried:
        others = [_try(p) for p in ALL]
        _tried[packages] = unpacking.unpack(packages, [_try(p) for p in absent], others, say)
    return _tried[packages]


def postgres_folders() -> Iterator[Path]:
    """The folders with programs of PostgreSQL that were unpacked, the newest release first."""
    yield from unpacking.postgres_folders()


def _try(program: Program) -> unpacking.Try:
    return unpacking.Try(program.names, program.debian, program.version, program.needs)


def _is_provided(program: Program) -> bool:
    return _is_postgres_here() if program == POSTGRES else is_here(program)


def _is_postgres_here() -> bool:
    folders = [Path(path) for path in (os.environ.get(POSTGRES_FOLDER),) if path]
    if initdb := shutil.which("initdb"):
        folders.append(Path(initdb).resolve().parent)
    for pattern in INSTALLED_POSTGRES:
        folders += Path("/").glob(pattern[1:])
    folders += unpacking.postgres_folders()
    return any(all((f / name).is_file() for name in POSTGRES_PROGRAMS) for f in folders)


def _installed(program: Program) -> str:
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), *_BESIDE_PATH))
    return next((path for name in program.names if (path := shutil.which(name, path=places))), "")


def _why_not(path: str, program: Program) -> str:
    """Why an unpacked program does not run. All were tried out when they were unpacked.

    Only what needs a file at a fixed path depends on what this process may do.
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
    # Installed with pip it lies beside Python, which need not be in PATH.
    beside = Path(sys.executable).with_name(program.name)
    return str(beside) if beside.is_file() else ""


def main() -> int:
    """Download what the tests use, with the browser only if that is named: for the Makefile."""
    groups = [REFERENCE, TESTS, *([BROWSER] if "browser" in sys.argv[1:] else [])]
    for group in groups:
        why = fetch(group, lambda line: print(line, flush=True))  # noqa: T201 - a command
        if why:
            print(f"without {', '.join(p.name for p in group if not is_here(p))}: {why}")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())


def refused(*names: str) -> bool:
    """Whether one of these names is disabled."""
    hidden = {name.strip() for name in os.environ.get(WITHOUT, "").split(",")}
    return not hidden.isdisjoint(names)
