"""Runs pytest as a child, follows its journal, and writes the report if the child dies.

The child loads the configuration (`gate`); here it is loaded only if the child has died.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, Protocol

from readiness import __version__
from readiness.lib import watchdog
from readiness.lib.guardian import Guardian
from readiness.model.errors import ReadinessError
from readiness.model.measurement import now
from readiness.model.record import RunFacts, Selection, TargetFacts, load
from readiness.model.secrets import redact
from readiness.run.ending import Ended, Ending, refused
from readiness.run.gate import Request
from readiness.run.journal import FILE, REFUSAL, STOPPED, Reader
from readiness.run.ledger import Ledger
from readiness.run.progress import Progress

if TYPE_CHECKING:
    from readiness.config.loading import Loaded
    from readiness.report import EvidenceShown

_LOG: Final = "pytest.log"
_TIMEOUT_S: Final = 3600.0
"""Seconds that a run may take until its journal names `[gate] run_timeout_s`."""
_POLL_S: Final = 0.1
_GRACE_S: Final = 30


@dataclass(frozen=True, slots=True)
class File:
    """A configuration file that is not loaded yet."""

    path: Path


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `readiness run`."""

    loaded: "Loaded | File"
    reports: Path
    suites: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    confirm: str = ""
    workers: str = "auto"
    baseline: Path | None = None
    report_only: bool = False
    collect_only: bool = False
    record_only: bool = False
    evidence: "EvidenceShown" = "full"
    debug: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)


class Child(Protocol):
    """The process that pytest runs in; the leader of its own session."""

    @property
    def pid(self) -> int:
        """Its process id, also that of its process group."""

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""

    def wait(self) -> int:
        """The exit code, once it has ended."""

    def send_signal(self, sig: int, /) -> None:
        """Send a signal unless it has ended."""


Start = Callable[[Path, Mapping[str, str], Path], Child]
"""Starts `gate`; arguments: the run's folder, the whole environment, the log file."""


def run(options: Options, progress: Progress, start: Start | None = None) -> Ended:
    """Judge a target.

    Unless it was refused, a run always ends with a report: pytest writes it, or this process does
    from the journal if pytest was killed or hangs.

    Args:
        options: the options of the run.
        progress: receives every event.
        start: starts pytest; default: in a new process.

    Raises:
        ReadinessError: the reports cannot be written.
    """
    with Guardian() as guardian:
        folder = Path(tempfile.mkdtemp(prefix="readiness-run-"))
        guardian.remove(folder)
        # Short, for the paths of sockets; readable, for servers of other accounts.
        scratch = Path(tempfile.mkdtemp(prefix="rdy-"))
        guardian.remove(scratch)
        scratch.chmod(0o1777)
        environ = _environment(options) | guardian.environ | {"TMPDIR": str(scratch)}
        _request(options).write(folder)
        begin = partial(start or _start, folder, environ, folder / _LOG)
        try:
            return _run(options, progress, folder, guardian, begin)
        finally:
            for made in (scratch, folder):
                watchdog.remove(made)


def _run(
    options: Options,
    progress: Progress,
    folder: Path,
    guardian: Guardian,
    start: Callable[[], Child],
) -> Ended:
    ledger = Ledger()
    with _interruptible():
        child = start()
        guardian.kill(child.pid, signal.SIGINT)
        follower = _Follower(child, folder, ledger, progress)
        try:
            follower.follow()
        finally:
            _end_group(child)
            progress.close()
    if ledger.ended is not None:
        record = load(options.reports / "readiness.json")
        return Ended(child.wait(), record, "", ledger, str(ledger.ended.get("note", "")))
    refusal = _read(folder / REFUSAL)
    if refusal:
        return refused(refusal, ledger)
    return _salvage(options, ledger, follower, _read(folder / _LOG))


def _start(folder: Path, environ: Mapping[str, str], log: Path) -> Child:
    with log.open("wb") as output:
        return subprocess.Popen(
            # -P: modules in the current folder must not shadow ours.
            [sys.executable, "-P", "-m", "readiness.run.gate", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environ,
            start_new_session=True,  # only we receive Ctrl-C, and pass it on once
        )


def _salvage(options: Options, ledger: Ledger, follower: "_Follower", log: str) -> Ended:
    """Judge the journal of a pytest that has died."""
    try:
        loaded = _loaded(options)
    except ReadinessError as error:
        return refused(str(error), ledger)
    if ledger.begun is None:
        ledger.apply(_begin(loaded, options))
    # The child may have logged secrets, which are known only now.
    message = redact(follower.exit_reason(log))
    ledger.apply({"event": "incident", "kind": "killed", "message": message})
    if follower.interrupted:
        ledger.apply({"event": "interrupted"})
    from readiness.run.conclude import finish  # loads every model: rarely needed here

    ending = Ending(
        options.reports, baseline=options.baseline, environ={}, evidence=options.evidence
    )
    return finish(ledger, loaded.config, ending)


class _Follower:
    """Follows a child's journal until it ends, is stopped, or takes too long."""

    def __init__(self, child: Child, folder: Path, ledger: Ledger, progress: Progress) -> None:
        self._child = child
        self._folder = folder
        self._reader = Reader(folder / FILE)
        self._ledger = ledger
        self._progress = progress
        self.interrupted = False
        self._stopped = ""

    def follow(self) -> None:
        """Return when the child has ended."""
        began = time.monotonic()
        try:
            if not self._until_end(lambda: began + self._timeout_s()):
                self._stopped = (
                    f"The run was stopped after {self._timeout_s():g} s ([gate] run_timeout_s)."
                )
                # The child reads it when it is asked to end.
                (self._folder / STOPPED).write_text(self._stopped, encoding="utf-8")
                self._stop()
        except KeyboardInterrupt:
            self.interrupted = True
            self._stop()
        self._take()

    def exit_reason(self, log: str) -> str:
        """Why the child ended, in a sentence."""
        lines = [line for line in log.strip().splitlines() if line.strip()]
        last = f" Last log line: {lines[-1]}" if lines else ""
        if self._stopped:
            return self._stopped
        if self.interrupted:
            return "The run was interrupted and had to be killed."
        code = self._child.wait()
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
        return f"pytest ended {how} before the verdict.{last}"

    def _timeout_s(self) -> float:
        begun = self._ledger.begun or {}
        return float(str(begun.get("run_timeout_s", _TIMEOUT_S)))

    def _until_end(self, deadline: Callable[[], float]) -> bool:
        while self._child.poll() is None:
            self._take()
            self._progress.tick(self._ledger)
            if time.monotonic() > deadline():
                return False
            time.sleep(_POLL_S)
        return True

    def _take(self) -> None:
        for event in self._reader.new():
            self._ledger.apply(event)
            self._progress.event(event, self._ledger)

    def _stop(self) -> None:
        """Ask the child to end as on Ctrl-C, and wait; a second Ctrl-C kills it."""
        self._child.send_signal(signal.SIGINT)
        last = time.monotonic() + _GRACE_S
        try:
            self._until_end(lambda: last)
        except KeyboardInterrupt:
            return


@contextmanager
def _interruptible() -> Iterator[None]:
    """End with a report on Ctrl-C and on SIGTERM, which CI systems send.

    Also if we were started with SIGINT ignored, as in the background of a script: the child would
    inherit that and could not be asked to end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    asked = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, interrupt) for number in asked]
    try:
        yield
    finally:
        for number, handler in zip(asked, before, strict=True):
            signal.signal(number, handler)


def _end_group(child: Child) -> None:
    """Kill workers that the child left behind."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _request(options: Options) -> Request:
    return Request(
        config=str(options.loaded.path),
        reports=str(options.reports),
        suite=list(options.suites),
        select=list(options.select),
        ignore=list(options.ignore),
        allow=list(options.allow),
        confirm=options.confirm,
        workers=options.workers,
        baseline=str(options.baseline or ""),
        report_only=options.report_only,
        collect_only=options.collect_only,
        record_only=options.record_only,
        evidence=options.evidence,
        debug=options.debug,
    )


def _loaded(options: Options) -> "Loaded":
    if not isinstance(options.loaded, File):
        return options.loaded
    from readiness.config.loading import load as load_config

    return load_config(options.loaded.path, os.environ)


def _environment(options: Options) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    # No other installed plugin may take part: `gate` names those that are needed.
    ours = {"PYTHONUNBUFFERED": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return inherited | ours | dict(options.environ)


def _begin(loaded: "Loaded", options: Options) -> dict[str, object]:
    """The first event of a run whose pytest died before writing one."""
    moment = now()
    target = loaded.config.target
    run_facts = RunFacts(
        id=f"{moment:%Y%m%dT%H%M%SZ}-lost",
        started=moment,
        finished=moment,
        duration_s=0.0,
        tool_version=__version__,
        config_sha256=loaded.sha256,
        selection=Selection(),
        report_only=options.report_only,
    )
    facts = TargetFacts(
        name=target.name,
        environment="unknown",
        release=target.release,
        image=target.image or "",
        fingerprint="unknown",
    )
    return {
        "event": "begin",
        "run": run_facts.model_dump(mode="json"),
        "target": facts.model_dump(mode="json"),
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
