"""Runs the prober beside a change, and reads its record while it grows."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, cast

from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import End, Hangup, Plan, Sample, decode
from readiness.model.errors import CouldNotMeasure, TookTooLong

_START_TIMEOUT_S: Final = 15.0
_GRACE_S: Final = 10.0
_POLL_S: Final = 0.02


class Prober:
    """A running prober; made by `probing`."""

    def __init__(self, plan: Plan, process: subprocess.Popen[bytes], record: IO[str]) -> None:
        self.plan = plan
        self._process = process
        self._stdin = cast("IO[bytes]", process.stdin)
        self._record = record
        self._rest = ""
        self._samples: dict[int, Sample] = {}
        self._hangups: list[Hangup] = []
        self._end: End | None = None

    def begin(self) -> None:
        """Send it the plan; not as an argument, since it may contain a token."""
        with suppress(BrokenPipeError):  # it died, which `seen` reports
            self._stdin.write(self.plan.model_dump_json().encode() + b"\n")
            self._stdin.flush()

    def seen(self) -> Observation:
        """The outcome of all requests that have ended.

        Raises:
            CouldNotMeasure: the prober ended by itself.
        """
        self._read()
        if self._process.poll() is not None and self._end is None:
            self._read()  # its last lines may have arrived in between
            if self._end is None:
                raise self._died()
        samples = tuple(self._samples[slot] for slot in sorted(self._samples))
        return Observation(self.plan, samples, tuple(self._hangups))

    def wait(self, enough: Callable[[Observation], bool], within_s: float) -> Observation:
        """Wait until what was seen is enough, for at most `within_s` seconds.

        Raises:
            TookTooLong: it never was.
            CouldNotMeasure: the prober ended by itself.
        """
        deadline = time.monotonic() + within_s
        while not enough(seen := self.seen()):
            if time.monotonic() > deadline:
                raise TookTooLong(
                    f"what was waited for was not seen within {within_s:g} s", where=self.plan.url
                )
            time.sleep(_POLL_S)
        return seen

    def stop(self) -> Observation:
        """End it once the requests under way have ended; returns the whole record.

        Raises:
            CouldNotMeasure: it did not end, or its record is incomplete.
        """
        self._stdin.close()
        try:
            self._process.wait(self.plan.timeout_s + _GRACE_S)
        except subprocess.TimeoutExpired:
            raise CouldNotMeasure("the prober does not end", where=self.plan.url) from None
        whole = self.seen()
        if self._end is None or self._end.slots != len(whole.samples):
            raise self._died()
        return whole

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    @property
    def cpu_s(self) -> float:
        """Seconds of processor time that it took; 0 until it has ended."""
        return self._end.cpu_s if self._end else 0.0

    def _read(self) -> None:
        *lines, self._rest = (self._rest + self._record.read()).split("\n")
        for text in lines:
            line = decode(text)
            if isinstance(line, Sample):
                self._samples[line.slot] = line
            elif isinstance(line, Hangup):
                self._hangups.append(line)
            else:
                self._end = line

    def _died(self) -> CouldNotMeasure:
        return CouldNotMeasure(
            "the prober ended too early, and its record is incomplete",
            where=self.plan.url,
            remedy="see whether it was killed for lack of memory: dmesg | tail",
        )


@contextmanager
def probing(plan: Plan) -> Iterator[Prober]:
    """Probe a service while the block runs, which begins once the first request has ended.

    The prober's process ends with this one, even if this one is killed.

    Raises:
        CouldNotMeasure: it does not start.
    """
    writes, name = tempfile.mkstemp(prefix="readiness-prober-")
    try:
        with Path(name).open(encoding="utf-8") as record:
            # A file without a name is gone when both processes are, however they end.
            Path(name).unlink()
            with _started(writes) as process:
                prober = Prober(plan, process, record)
                prober.begin()
                prober.wait(lambda seen: bool(seen.samples), _START_TIMEOUT_S + plan.timeout_s)
                yield prober
    finally:
        os.close(writes)


@contextmanager
def _started(writes: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "readiness.lib.prober.child", str(writes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[writes],
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        with suppress(BrokenPipeError):
            process.communicate()
