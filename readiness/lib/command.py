"""Runs a command of the user's: as a list, with a deadline, without input, as any account."""

import os
import re
import shlex
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, TypedDict

from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, TookTooLong
from readiness.model.secrets import PLACEHOLDER


class AsAccount(TypedDict, total=False):
    """The arguments of `subprocess.Popen` that change the account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group id; `other` means that they are not ours."""

    uid: int
    gid: int
    other: bool

    @property
    def popen(self) -> AsAccount:
        """The arguments for `subprocess.Popen`."""
        if not self.other:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Make the account the owner of this file or folder, without access for others."""
        path.chmod(0o700 if path.is_dir() else 0o600)
        if self.other:
            os.chown(path, self.uid, self.gid)

    def reaches(self, path: Path) -> bool:
        """Whether the account may enter this folder and all above it."""
        if not self.other:
            return True
        return all(self._passes(folder) for folder in (path, *path.parents) if folder.exists())

    def _passes(self, folder: Path) -> bool:
        info = folder.stat()
        if info.st_uid == self.uid:
            return bool(info.st_mode & stat.S_IXUSR)
        if info.st_gid == self.gid:
            return bool(info.st_mode & stat.S_IXGRP)
        return bool(info.st_mode & stat.S_IXOTH)


TIMEOUT_S: Final = 60.0
ASK_S: Final = 30.0
"""Seconds that a query to a tool may take."""
_MIB: Final = 2**20
_SAID: Final = 300
_ERRORS: Final = 8192
# What Go tools log before they say what is wrong: `E1201 12:57:46.051653 816 memcache.go:265] `.
_LOGGED: Final = re.compile(r"[ \w.:]*\b\w+\.go:\d+\] ")
_LOOK_S: Final = 0.2
_CREDENTIAL: Final = re.compile(
    r"(\b\w*(?:password|passwd|secret|token|api[_-]?key|authorization)\w*[\"']?\s*[=:]\s*"
    r"(?:bearer\s+)?|://[^/\s:@]*:(?=\S*@))[^\s@,;]+",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended; `said` is the end of stderr, else of stdout, fit for a message."""

    status: int
    output: str
    said: str


def run(argv: Sequence[str], verb: str, remedy: str, *, timeout_s: float = TIMEOUT_S) -> str:
    """Run a command and return its stdout; arguments as for `started`.

    Raises:
        CouldNotMeasure: it cannot be started, fails, or exceeds the time.
    """
    answer = ask(argv, verb, remedy, timeout_s=timeout_s)
    if answer.status == 0:
        return answer.output
    raise CouldNotMeasure(
        f"the command to {verb} ended with {answer.status}: {answer.said}",
        where=shlex.join(argv),
        remedy=remedy,
    )


def ask(
    argv: Sequence[str],
    verb: str,
    remedy: str,
    *,
    timeout_s: float = TIMEOUT_S,
    account: Account | None = None,
    most_mib: int = 16,
) -> Answer:
    """Run a command, whatever its exit status; arguments as for `started`.

    Raises:
        CouldNotMeasure: it cannot be started, or is not done in time.
    """
    with started(argv, verb, remedy, account=account, most_mib=most_mib) as running:
        return running.wait(timeout_s)


class Started:
    """A running command; made by `started`."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        files: tuple[IO[bytes], IO[bytes]],
        most_mib: int,
        broken: Callable[[str, type[CouldNotMeasure]], CouldNotMeasure],
    ) -> None:
        self._process = process
        self._output, self._errors = files
        self._most_mib = most_mib
        self._broken = broken

    @property
    def pid(self) -> int:
        """Its process, the leader of a group of its own."""
        return self._process.pid

    def wait(self, timeout_s: float) -> Answer:
        """Wait for its end.

        Raises:
            TookTooLong: it exceeds the time.
            CouldNotMeasure: `poll` raises.
        """
        deadline = time.monotonic() + timeout_s
        while (answer := self.poll()) is None:
            if time.monotonic() > deadline:
                raise self._broken(f"did not end within {timeout_s:g} s", TookTooLong)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_LOOK_S)
        return answer

    def poll(self) -> Answer | None:
        """How it ended; None while it runs.

        Raises:
            CouldNotMeasure: it printed more than `most_mib`.
        """
        status = self._process.poll()  # before the size: its last output counts too
        for file in (self._output, self._errors):
            if os.fstat(file.fileno()).st_size > self._most_mib * _MIB:
                problem = f"printed more than {self._most_mib} MiB"
                raise self._broken(problem, CouldNotMeasure)
        return None if status is None else self._answer(status)

    def _answer(self, status: int) -> Answer:
        self._output.seek(0)
        printed = self._output.read(self._most_mib * _MIB).decode("utf-8", "replace")
        return Answer(status, printed, _end_of(self._errors) or _end_of(self._output))

    def kill(self) -> None:
        """Kill it and its children if it still runs."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@contextmanager
def started(
    argv: Sequence[str],
    verb: str,
    remedy: str,
    *,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    most_mib: int = 16,
) -> Iterator[Started]:
    """Start a command; it is killed at the end of the block if it still runs.

    Args:
        argv: the program and its arguments.
        verb: its purpose, as in `the command to VERB failed`.
        remedy: what to do when it cannot be run.
        account: the account it runs as; default: our own.
        env: variables on top of our own.
        cwd: the folder that it runs in; default: our own.
        most_mib: what it may print.

    Raises:
        CouldNotMeasure: it cannot be started.
    """

    def broken(problem: str, kind: type[CouldNotMeasure]) -> CouldNotMeasure:
        return kind(f"the command to {verb} {problem}", where=shlex.join(argv), remedy=remedy)

    # Files, not pipes: a daemon that the command starts would keep a pipe open.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env={**os.environ, **env} if env else None,
                cwd=cwd,
                start_new_session=True,  # Ctrl-C must not end a command that restores the target
                **(account.popen if account else {}),
            )
        except OSError as error:
            problem = f"cannot be started: {error.strerror}"
            raise broken(problem, CouldNotMeasure) from None
        running = Started(process, (output, errors), most_mib, broken)
        try:
            yield running
        finally:
            running.kill()


def _end_of(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - _ERRORS))
    lines = veiled(file.read().decode("utf-8", "replace")).splitlines()
    said = [line for line in lines if not _LOGGED.match(line)] or lines
    return clean("\n".join(said).strip()[-_SAID:], _SAID)


def veiled(text: str) -> str:
    """Hide what looks like a credential: a tool may print ones that are not registered."""
    return _CREDENTIAL.sub(rf"\1{PLACEHOLDER}", text)
