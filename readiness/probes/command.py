"""Runs a command of the user's: bounded in time, as a list, and nobody types into it."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Final

from readiness.errors import CouldNotMeasure
from readiness.probes.text import clean
from readiness.servers.account import Account

TIMEOUT_S: Final = 60.0
_LONGEST: Final = 16 * 1024 * 1024
_SAID: Final = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended.

    Attributes:
        status: its exit status.
        output: what it printed.
        said: the end of its errors, else of what it printed; cleaned, for a message.
    """

    status: int
    output: str
    said: str


def run(argv: Sequence[str], verb: str, remedy: str, *, timeout_s: float = TIMEOUT_S) -> str:
    """Run a command to its end, and give what it printed; its errors are not among that.

    Args:
        argv: the program and its arguments.
        verb: what it is to do, as in `the command to VERB failed`.
        remedy: what to do when it fails.
        timeout_s: how long it may take.

    Raises:
        CouldNotMeasure: it cannot be started, fails, or is not done in time.
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
) -> Answer:
    """Run a command to its end, whatever its exit status is.

    Args:
        argv: the program and its arguments.
        verb: what it is to do, as in `the command to VERB failed`.
        remedy: what to do when it cannot be run.
        timeout_s: how long it may take.
        account: who runs it; default: whoever we are.

    Raises:
        CouldNotMeasure: it cannot be started, or is not done in time.
    """
    # Files, not pipes: a daemon that the command starts would hold a pipe open for ever.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                timeout=timeout_s,
                check=False,
                start_new_session=True,  # a Ctrl-C must not end the command that brings it back
                **(account.popen if account else {}),
            )
        except subprocess.TimeoutExpired:
            problem = f"is not done after {timeout_s:g} s"
        except OSError as error:
            problem = f"cannot be started: {error.strerror}"
        else:
            output.seek(0)
            printed = output.read(_LONGEST).decode("utf-8", "replace")
            return Answer(done.returncode, printed, _end_of(errors) or _end_of(output))
    raise CouldNotMeasure(f"the command to {verb} {problem}", where=shlex.join(argv), remedy=remedy)


def _end_of(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - _SAID))
    return clean(file.read().decode("utf-8", "replace"), _SAID)
