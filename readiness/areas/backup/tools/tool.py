"""The interface of every tool, and how the command of a tool is called."""

import json
import os
import pwd
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from readiness.areas.backup.config import Backup, Physical
from readiness.lib import command
from readiness.lib.command import Account, Answer
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted
from readiness.servers.binaries import server_account

VERIFY_S: Final = 3600.0
PIECES: Final = 5
"""How many of the largest files of a backup are looked at."""
_QUICK_S: Final = 120.0
_HEAD_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class PhysicalBackup:
    """One backup, as its tool reports it.

    Attributes:
        taken_at: when it was complete.
        size: in bytes, as stored in the repository; 0 where the tool does not report it.
        failed: whether the tool reports a problem with it.
        first_segment: the WAL file that its restore begins with; None where none is needed.
        restored_bytes: how large it is once restored; 0 where the tool does not report it.
        where: the backup, for a message.
        dated_by: what `taken_at` was taken from, in words.
        whole: whether it needs no backup before it; others are much smaller.
        system: the system identifier of the server; empty where the tool does not report it.
    """

    label: str
    taken_at: datetime
    size: int
    failed: bool
    first_segment: str | None
    restored_bytes: int
    where: str
    dated_by: str
    whole: bool = True
    system: str = ""

    @property
    def data_at(self) -> datetime:
        """As `taken_at`: with its WAL it holds what was committed until then."""
        return self.taken_at


@dataclass(frozen=True, slots=True)
class Verified:
    """What a tool's own check found, read from its output.

    Attributes:
        status: its exit status, only shown: several tools end with 0 whatever they find.
    """

    good: bool
    problems: tuple[str, ...]
    status: int
    source: str


@dataclass(frozen=True, slots=True)
class Piece:
    """The first bytes of a file of the repository, as stored."""

    name: str
    head: bytes


class Tool(Protocol):
    """One tool, as a backup declares it. All of these raise CouldNotMeasure and its kinds."""

    def backups(self) -> list[PhysicalBackup]:
        """All backups, the newest first."""
        ...

    def verify(self) -> Verified:
        """The tool's own check of its repository."""
        ...

    def segments(self) -> list[str]:
        """The names of all archived WAL files; without compression suffix and checksum."""
        ...

    def pieces(self) -> list[Piece]:
        """The first bytes of the largest files of the newest backup."""
        ...

    def restore(self, folder: Path, point: str) -> Answer:
        """Restore the newest backup into an empty folder; to a restore point unless that is ''."""
        ...


def physical_of(backup: Backup) -> Physical:
    """The table `physical`: every tool has one, `dump` has none."""
    if backup.physical is None:
        raise NoData("the table `physical` is missing", where=f"[backup.{backup.name}]")
    return backup.physical


def account_of(physical: Physical) -> Account:
    """The account that the tool and the restored server run as."""
    us = os.geteuid()
    if physical.account is None:
        return server_account() if us == 0 else Account(us, os.getegid(), other=False)
    try:
        entry = pwd.getpwnam(physical.account)
    except KeyError:
        raise CouldNotMeasure(
            f"the user {physical.account!r} does not exist", where="account"
        ) from None
    if us not in (0, entry.pw_uid):
        raise NotPermitted(
            f"the tool must run as {physical.account}, and the gate runs as another user",
            where="account",
            remedy=f"run the gate as that user: sudo -u {physical.account} readiness run",
        )
    return Account(entry.pw_uid, entry.pw_gid, other=entry.pw_uid != us)


class CommandTool:
    """What the tools have in common that are called by a command, as the right user."""

    def __init__(self, backup: Backup) -> None:
        self.backup = backup
        self.physical = physical_of(backup)

    def argv(self, *words: str) -> list[str]:
        """The tool's command with these arguments."""
        return [*(self.physical.command or []), *words]

    def source(self, *words: str) -> str:
        """The same, for a message."""
        return shlex.join(self.argv(*words))

    def ask(self, *words: str, verb: str, timeout_s: float = _QUICK_S) -> Answer:
        """Run the tool with these arguments, whatever its exit status is."""
        return self.run(self.argv(*words), verb, timeout_s)

    def run(self, argv: Sequence[str], verb: str, timeout_s: float = _QUICK_S) -> Answer:
        """Run any command as that user, whatever its exit status is."""
        remedy = f"run it by hand as the user of the backups: {shlex.join(argv)}"
        account = account_of(self.physical)
        return command.ask(argv, verb, remedy, timeout_s=timeout_s, account=account)

    def json(self, *words: str, verb: str) -> Any:
        """The JSON that the tool prints."""
        return parsed(self.ask(*words, verb=verb), self.argv(*words), verb)

    def lines(self, argv: Sequence[str], verb: str) -> list[str]:
        """The lines that a command prints, without the space around them."""
        output = _succeeded(self.run(argv, verb), argv, verb).output
        return [line.strip() for line in output.splitlines()]

    def head(self, *words: str, verb: str) -> bytes:
        """The first bytes that the tool prints; it is stopped then.

        Raises:
            CouldNotMeasure: it cannot be started, or printed nothing.
        """
        argv = self.argv(*words)
        try:
            with subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                **account_of(self.physical).popen,
            ) as process:
                found = process.stdout.read(_HEAD_BYTES) if process.stdout else b""
                process.kill()
        except OSError as error:
            raise CouldNotMeasure(
                f"the command to {verb} cannot be started: {error.strerror}", where=argv[0]
            ) from error
        if not found:
            raise CouldNotMeasure(f"the command to {verb} printed nothing", where=shlex.join(argv))
        return found


def parsed(answer: Answer, argv: Sequence[str], verb: str) -> Any:
    """The JSON that a command printed.

    Raises:
        CouldNotMeasure: it ended with an error, or printed something else.
    """
    try:
        return json.loads(_succeeded(answer, argv, verb).output)
    except ValueError:
        raise CouldNotMeasure(
            f"the command to {verb} did not print JSON: {answer.said}", where=shlex.join(argv)
        ) from None


def _succeeded(answer: Answer, argv: Sequence[str], verb: str) -> Answer:
    if answer.status != 0:
        raise CouldNotMeasure(
            f"the command to {verb} ended with {answer.status}: {answer.said}",
            where=shlex.join(argv),
        )
    return answer


def no_backup(backup: Backup) -> NoData:
    """The error of what cannot be measured without any backup."""
    return NoData("no backup found", where=backup.path, remedy="see backup.fresh")


def unknown_format(what: str, where: str) -> CouldNotMeasure:
    """The error for an answer in another format than the tool's known ones."""
    return CouldNotMeasure(
        f"the tool's answer has {what}: its release is not supported", where=where
    )


def at(seconds: float) -> datetime:
    """A time, from seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def time_of(text: object, where: str) -> datetime:
    """A time, from RFC 3339.

    Raises:
        CouldNotMeasure: it is not a time, or has no zone.
    """
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        raise unknown_format(f"{text!r} where a time should be", where) from None
    if found.tzinfo is None:
        raise unknown_format(f"a time without a zone, {text!r}", where)
    return found
