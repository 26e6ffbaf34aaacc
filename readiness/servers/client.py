"""Runs PostgreSQL's own programs: bounded in time, no password among their arguments."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Final

from psycopg.conninfo import make_conninfo

from readiness.lib.command import Account
from readiness.model.conninfo import SECRET_WORDS
from readiness.model.errors import CouldNotMeasure
from readiness.model.secrets import Dsn, redact
from readiness.servers.binaries import Binaries

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
