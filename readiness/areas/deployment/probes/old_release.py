"""Starts the release before on a scratch database, asks it a few things, and ends it again."""

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, Final

from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.config_before import RELEASE, Compatibility
from readiness.areas.deployment.probes.usage import Usage
from readiness.lib import http
from readiness.lib.guardian import Guardian
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.secrets import Dsn
from readiness.servers.ports import free_port

_ASK_S: Final = 10.0
_POLL_S: Final = 0.1
_GRACE_S: Final = 10.0
_SAID: Final = 300


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of it.

    Attributes:
        ready: whether it was ready in time.
        why: why it was not, with the end of what it said; empty if it was.
        answers: of each path that was asked, what is wrong with its answer; empty if nothing is.
        used: whether anybody used the scratch database while it ran.
        source: the command.
    """

    ready: bool
    why: str
    answers: tuple[tuple[str, str], ...]
    used: bool
    source: str


def how_to_start(deployment: Deployment) -> tuple[Compatibility, str]:
    """How the release before is started, and which one that is.

    Raises:
        NoData: nobody says.
    """
    if deployment.compatibility is None or deployment.previous is None:
        raise NoData("needs [deployment.compatibility] and [deployment] previous")
    return deployment.compatibility, deployment.previous


def tried(
    settings: Compatibility, release: str, database: Dsn, server: Dsn, guardian: Guardian
) -> Tried:
    """Start a release on a database, ask, and end it.

    Args:
        settings: how it is started, and what it is asked.
        release: which one.
        database: a scratch database that nobody else uses.
        server: another database of the same server.
        guardian: ends it when we die.

    Raises:
        CouldNotMeasure: it cannot be started.
    """
    port = free_port()
    words = {"{dsn}": database.reveal(), "{port}": str(port), RELEASE: release}
    usage = Usage(server, database)
    before = usage.settled()
    with _started([_filled(w, words) for w in settings.start], settings, guardian) as running:
        base = f"http://127.0.0.1:{port}"
        why = _await_ready(running, f"{base}{settings.ready}", settings.ready_within_s)
        answers = () if why else tuple((path, _wrong(base, path)) for path in settings.smoke)
    return Tried(not why, why, answers, usage.grew(before), shlex.join(settings.start))


@dataclass(frozen=True, slots=True)
class _Running:
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def said(self) -> str:
        """The end of what it printed."""
        self.log.seek(max(0, self.log.seek(0, os.SEEK_END) - _SAID))
        return clean(self.log.read().decode("utf-8", "replace"), _SAID) or "it said nothing"


def _filled(word: str, words: dict[str, str]) -> str:
    for placeholder, text in words.items():
        word = word.replace(placeholder, text)
    return word


@contextlib.contextmanager
def _started(
    argv: Sequence[str], settings: Compatibility, guardian: Guardian
) -> Iterator[_Running]:
    """While the block runs, so does the release, with all that it starts."""
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **guardian.environ},
                start_new_session=True,
            )
        except OSError as error:
            raise CouldNotMeasure(
                f"the release before cannot be started: {error.strerror}",
                where=shlex.join(settings.start),
                remedy="see `start` in [deployment.compatibility]",
            ) from None
        try:
            token = guardian.kill(process.pid)
            yield _Running(process, log)
        finally:
            _end(process)
        guardian.forget(token)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask its whole group to end, and make it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
    process.wait(_GRACE_S)


def _await_ready(running: _Running, url: str, within_s: float) -> str:
    """Why it is not ready; empty if it is."""
    deadline = time.monotonic() + within_s
    last = "no answer"
    while time.monotonic() < deadline:
        if (status := running.process.poll()) is not None:
            return f"it ended with {status}: {running.said()}"
        try:
            answer = http.get(url, timeout_s=_ASK_S)
        except CouldNotMeasure as error:
            last = error.message
        else:
            if answer.status == HTTPStatus.OK:
                return ""
            last = str(answer)
        time.sleep(_POLL_S)
    return f"not ready within {within_s:g} s: {last}; {running.said()}"


def _wrong(base: str, path: str) -> str:
    try:
        answer = http.get(f"{base}{path}", timeout_s=_ASK_S)
    except CouldNotMeasure as error:
        return f"{path}: {error.message}"
    return "" if answer.status == HTTPStatus.OK else str(answer)
