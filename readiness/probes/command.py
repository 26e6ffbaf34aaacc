"""Runs a command of the user's: bounded in time, as a list, and nobody types into it."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO, Final

from readiness.errors import CouldNotMeasure
from readiness.probes.text import clean

TIMEOUT_S: Final = 60.0
_LONGEST: Final = 16 * 1024 * 1024
_SAID: Final = 300


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
            )
        except subprocess.TimeoutExpired:
            problem = f"is not done after {timeout_s:g} s"
        except OSError as error:
            problem = f"cannot be started: {error.strerror}"
        else:
            if done.returncode == 0:
                output.seek(0)
                return output.read(_LONGEST).decode("utf-8", "replace")
            problem = f"ended with {done.returncode}: {_end_of(errors) or _end_of(output)}"
    raise CouldNotMeasure(f"the command to {verb} {problem}", where=shlex.join(argv), remedy=remedy)


def _end_of(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - _SAID))
    return clean(file.read().decode("utf-8", "replace"), _SAID)
