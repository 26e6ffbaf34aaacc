"""Holds pytest as a child: follows its journal, and writes the report if it cannot any more."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

from readiness import __version__, bundle, watchdog
from readiness.conclude import conclude
from readiness.config.loading import Loaded
from readiness.errors import UsageError
from readiness.exitcodes import ExitCode, exit_code
from readiness.guardian import Guardian
from readiness.journal import FILE, Reader
from readiness.ledger import Ledger
from readiness.measurement import now
from readiness.plugin.state import REFUSAL, STOPPED
from readiness.progress import Progress
from readiness.record import RunFacts, RunRecord, Selection, TargetFacts, load
from readiness.report import write_all

_LOG: Final = "pytest.log"
_POLL_S: Final = 0.1
_GRACE_S: Final = 30


@dataclass(frozen=True, slots=True)
class Options:
    """What `readiness run` was asked for."""

    loaded: Loaded
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
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended.

    Attributes:
        code: the exit code.
        record: the judged record; None if nothing was judged.
        refusal: why nothing was judged.
        ledger: all that is known of the run.
    """

    code: int
    record: RunRecord | None
    refusal: str
    ledger: Ledger


def run(options: Options, progress: Progress) -> Ended:
    """Judge a target.

    The run always ends in a report, unless it was refused: pytest writes it, or, if pytest was
    killed or hangs, this process does, from the journal.

    Raises:
        ReadinessError: the reports cannot be written.
    """
    with Guardian() as guardian:
        folder = Path(tempfile.mkdtemp(prefix="readiness-run-"))
        guardian.remove(folder)
        # A short name: sockets are in it. Other accounts, too, run servers there.
        scratch = Path(tempfile.mkdtemp(prefix="rdy-"))
        guardian.remove(scratch)
        scratch.chmod(0o1777)
        environ = {**guardian.environ, "TMPDIR": str(scratch)}
        try:
            return _run(options, progress, folder, guardian, environ)
        finally:
            for made in (scratch, folder):
                watchdog.remove(made)


def _run(
    options: Options,
    progress: Progress,
    folder: Path,
    guardian: Guardian,
    environ: dict[str, str],
) -> Ended:
    ledger = Ledger()
    with _interruptible(), (folder / _LOG).open("wb") as log:
        child = subprocess.Popen(
            _command(options, folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(options) | environ,
            start_new_session=True,  # Ctrl-C reaches us alone; we pass it on, once
        )
        guardian.kill(child.pid, signal.SIGINT)
        follower = _Follower(child, folder, ledger, progress)
        try:
            follower.follow(options.loaded.config.gate.run_timeout_s)
        finally:
            _end_group(child)
            progress.close()
    if ledger.ended is not None:
        record = load(options.reports / "readiness.json")
        return Ended(child.returncode, record, "", ledger)
    refusal = _read(folder / REFUSAL)
    if refusal:
        return Ended(ExitCode.NOTHING_JUDGED, None, refusal, ledger)
    return _salvage(options, ledger, follower, _read(folder / _LOG))


def _salvage(options: Options, ledger: Ledger, follower: "_Follower", log: str) -> Ended:
    """Judge from the journal what a dead pytest has left."""
    if ledger.begun is None:
        ledger.apply(_begin(options))
    ledger.apply({"event": "incident", "kind": "killed", "message": follower.epitaph(log)})
    if follower.interrupted:
        ledger.apply({"event": "interrupted"})
    config = options.loaded.config
    record = conclude(ledger, config, options.reports, baseline=options.baseline)
    write_all(record, options.reports, environ={})
    code = exit_code(
        record.verdict, interrupted=follower.interrupted, report_only=options.report_only
    )
    return Ended(code, record, "", ledger)


class _Follower:
    """Follows a child's journal until it ends, is stopped, or takes too long."""

    def __init__(
        self, child: subprocess.Popen[bytes], folder: Path, ledger: Ledger, progress: Progress
    ) -> None:
        self._child = child
        self._folder = folder
        self._reader = Reader(folder / FILE)
        self._ledger = ledger
        self._progress = progress
        self.interrupted = False
        self._stopped = ""

    def follow(self, timeout_s: float) -> None:
        """Return when the child has ended."""
        try:
            if not self._until_end(timeout_s):
                self._stopped = f"The run was stopped after {timeout_s:g} s ([gate] run_timeout_s)."
                # The child reads it when it is told to end, and judges accordingly.
                (self._folder / STOPPED).write_text(self._stopped, encoding="utf-8")
                self._stop()
        except KeyboardInterrupt:
            self.interrupted = True
            self._stop()
        self._take()

    def epitaph(self, log: str) -> str:
        """What became of the child, in a sentence."""
        lines = [line for line in log.strip().splitlines() if line.strip()]
        last = f" Its last words: {lines[-1]}" if lines else ""
        if self._stopped:
            return self._stopped
        if self.interrupted:
            return "The run was interrupted and did not end by itself."
        code = self._child.returncode
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
        return f"pytest ended {how} before it could judge.{last}"

    def _until_end(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while self._child.poll() is None:
            self._take()
            self._progress.tick(self._ledger)
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def _take(self) -> None:
        for event in self._reader.new():
            self._ledger.apply(event)
            self._progress.event(event, self._ledger)

    def _stop(self) -> None:
        """Ask the child to end as on Ctrl-C, and wait; a second Ctrl-C ends the patience."""
        self._child.send_signal(signal.SIGINT)
        try:
            self._until_end(_GRACE_S)
        except KeyboardInterrupt:
            return


@contextmanager
def _interruptible() -> Iterator[None]:
    """End on Ctrl-C and on SIGTERM, with which CI systems stop a job; both with a report.

    Also where we were started with Ctrl-C ignored, as in the background of a script: the child
    would inherit that, and could not be asked to end.
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


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Leave no worker behind, however the child ended."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _command(options: Options, folder: Path) -> list[str]:
    package = Path(__file__).resolve().parent
    root = str(bundle.root())
    command = [
        # -P: the folder we are started in must not put modules before ours.
        *(sys.executable, "-P", "-m", "pytest", "-c", str(package / "gate.ini")),
        *("--rootdir", root, "--confcutdir", root),
        *("-n", options.workers, "--dist", "loadfile"),
        *("--readiness", "--readiness-folder", str(folder)),
        *("--basetemp", str(folder / "tmp")),  # what checks put down goes with the run
        *("--readiness-config", str(options.loaded.path)),
        *("--readiness-reports", str(options.reports)),
    ]
    for name, values in (
        ("suite", options.suites),
        ("select", options.select),
        ("ignore", options.ignore),
        ("allow", options.allow),
        ("confirm", [options.confirm] if options.confirm else []),
        ("baseline", [str(options.baseline)] if options.baseline else []),
    ):
        for value in values:
            command += [f"--readiness-{name}={value}"]
    command += ["--readiness-report-only"] if options.report_only else []
    command += ["--readiness-record-only"] if options.record_only else []
    command += ["--collect-only", "-q"] if options.collect_only else []
    return [*command, str(bundle.suites()), *_own_suites(options)]


def _own_suites(options: Options) -> Iterator[str]:
    base = options.loaded.path.parent
    for name in options.loaded.config.gate.suites:
        folder = (base / name).resolve()
        if not folder.exists():
            raise UsageError(
                f"there is no folder {name!r} beside it",
                where=f"{options.loaded.path.name} [gate] suites",
                remedy="name the folder relative to the file, or take it out of the list",
            )
        yield str(folder)


def _environment(options: Options) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return inherited | {"PYTHONUNBUFFERED": "1"} | dict(options.environ)


def _begin(options: Options) -> dict[str, object]:
    """The first event of a run whose pytest died before it could write one."""
    moment = now()
    target = options.loaded.config.target
    run_facts = RunFacts(
        id=f"{moment:%Y%m%dT%H%M%SZ}-lost",
        started=moment,
        finished=moment,
        duration_s=0.0,
        tool_version=__version__,
        config_sha256=options.loaded.sha256,
        selection=Selection(),
        report_only=options.report_only,
    )
    facts = TargetFacts(
        name=target.name, environment="unknown", release=target.release, fingerprint="unknown"
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
