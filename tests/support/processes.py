"""Programs and processes that tests start: found, awaited, registered for undo."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import pytest

from readiness.lib import watchdog
from readiness.lib.command import Account
from readiness.servers import programs
from readiness.servers.binaries import reachable_folder
from readiness.servers.programs import AbsentError, Program


def eventually(condition: Callable[[], bool], seconds: float = 40) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def gone(pid: int) -> bool:
    """Whether it runs no more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # An orphan may wait for a lazy init to be collected: it runs no more.
    return watchdog._stat(pid)[:1] == ["Z"]


class Undo:
    """Stands in for the guardian: what is registered now."""

    def __init__(self) -> None:
        self.commands: dict[int, list[str]] = {}
        self.processes: dict[int, int] = {}
        self.ever = 0

    def run(self, argv: Sequence[str], *, timeout_s: float = 30) -> int:  # noqa: ARG002
        self.ever += 1
        self.commands[self.ever] = list(argv)
        return self.ever

    def kill(self, pid: int) -> int:
        self.ever += 1
        self.processes[self.ever] = pid
        return self.ever

    def forget(self, token: int) -> None:
        if self.processes.pop(token, None) is None:
            del self.commands[token]


@contextmanager
def reachable(folder: Path, account: Account) -> Iterator[Path]:
    """The folder itself or one that the account can reach, which goes at the end."""
    place = reachable_folder(folder, account)
    try:
        yield place
    finally:
        if place != folder.resolve():
            shutil.rmtree(place)


NEEDED: Final = "READINESS_TEST_NEEDS_PROGRAMS"
"""The variable that makes a failure of what would be a skip: for a place that must have all."""


def needed(program: Program) -> str:
    """The path of a program. Skips the test where it cannot be had."""
    try:
        return programs.get(program)
    except AbsentError as problem:
        skip(problem)


def skip(problem: AbsentError) -> NoReturn:
    """Skip the test that needs what is absent, or fail it where all must be there."""
    if os.environ.get(NEEDED):
        pytest.fail(f"{NEEDED} is set: {problem.sentence}")
    pytest.skip(problem.sentence)
