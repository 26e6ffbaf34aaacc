"""Runs checks and turns what happened into findings; in the controller or a worker."""

import json
import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from types import FrameType
from typing import Any, Final

import pytest

from readiness.config.subjects import absence
from readiness.model.errors import Cause, ReadinessError, TookTooLong
from readiness.model.evidence import (
    PROPERTY,
    CheckFailed,
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
)
from readiness.model.measurement import now
from readiness.model.secrets import redact
from readiness.run.ledger import Planned
from readiness.run.plugin import collection
from readiness.run.plugin.state import State

EVIDENCE: Final = pytest.StashKey[Evidence]()
_STARTED: Final = pytest.StashKey[datetime]()
_CONCLUDED: Final = pytest.StashKey[tuple[Outcome, str]]()
_LONGEST_MESSAGE: Final = 2000
_UNJUDGED: Final = {Outcome.ERROR, Outcome.FAIL}
"""A check that failed may also have parts that could not be judged."""


class Running:
    """The hooks of the process that runs the checks."""

    def __init__(self, state: State) -> None:
        self.state = state

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Parametrize each check by its subjects."""
        collection.parametrize(metafunc, self.state)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Prepare the evidence; skip a check whose outcome is settled."""
        planned = item.stash[collection.PLANNED]
        item.stash[EVIDENCE] = Evidence(judgements=planned.spec.judgements)
        item.stash[_STARTED] = now()
        if planned.settled:
            with self._deadline(item.nodeid):
                item.stash[_CONCLUDED] = self._settled(planned)
            pytest.skip(planned.reason)
        with self._deadline(item.nodeid):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Run the check and conclude from its evidence."""
        evidence = item.stash[EVIDENCE]
        try:
            with self._deadline(item.nodeid):
                result = yield
        except NotApplicable as reason:
            item.stash[_CONCLUDED] = (Outcome.NOT_APPLICABLE, str(reason))
            return None
        item.stash[_CONCLUDED] = (evidence.conclude(), "; ".join(evidence.warnings))
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Clean up within the same deadline."""
        with self._deadline(item.nodeid):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add the finding to the report, and redact the report."""
        report = yield
        finding = self._finding(item, call)
        if finding is not None:
            report.user_properties.append((PROPERTY, finding.to_json()))
        _redact_report(report)
        return report

    def _settled(self, planned: Planned) -> tuple[Outcome, str]:
        """The outcome of a check that does not run: nobody has to declare what does not exist."""
        look = absence(planned.id) if planned.looks else None
        with suppress(ReadinessError):
            if look and (shown := look(self.state.loaded.config)):
                return Outcome.NOT_APPLICABLE, shown
        return Outcome(planned.settled), planned.reason

    def _finding(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Finding | None:
        error = call.excinfo.value if call.excinfo else None
        if error is None and call.when != "call":
            return None
        evidence = item.stash.get(EVIDENCE, Evidence())
        outcome, message = item.stash.get(_CONCLUDED, (Outcome.ERROR, "it did not start"))
        settled = item.stash[collection.PLANNED].settled
        if error is not None and not (settled and call.when == "setup"):
            outcome, message = _classify(error, evidence, str(call.when))
        return Finding(
            outcome=outcome,
            message=message[:_LONGEST_MESSAGE],
            measurements=tuple(evidence.measurements) if call.when == "call" else (),
            started=item.stash.get(_STARTED, now()),
            duration_s=call.duration,
            causes=tuple(_causes(error, evidence)) if outcome in _UNJUDGED else (),
            commands=tuple(evidence.commands) if outcome is Outcome.FAIL else (),
        )

    @contextmanager
    def _deadline(self, nodeid: str) -> Iterator[None]:
        """Interrupt the check after [gate] check_timeout_s."""
        seconds = self.state.loaded.config.gate.check_timeout_s
        if threading.current_thread() is not threading.main_thread():
            yield  # signals reach the main thread only; the deadline of the run still applies
            return

        def too_long(_signal: int, _frame: FrameType | None) -> None:
            raise TookTooLong(
                f"took longer than {seconds:g} s",
                where=nodeid,
                remedy="find out what it waits for, or increase [gate] check_timeout_s",
            )

        before = signal.signal(signal.SIGALRM, too_long)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _classify(error: BaseException, evidence: Evidence, phase: str) -> tuple[Outcome, str]:
    """The outcome and message of a check that raised."""
    in_call = phase == "call"
    misses = "; ".join(evidence.failures)
    if in_call and misses:
        # A measured miss outranks a later error.
        if isinstance(error, CheckFailed):
            return Outcome.FAIL, str(error)
        return Outcome.FAIL, f"{misses}; then {_describe(error)}"
    if isinstance(error, pytest.skip.Exception):
        return Outcome.NOT_RUN, f"skipped: {error}"
    if isinstance(error, AssertionError | pytest.fail.Exception) and in_call:
        return Outcome.FAIL, _first_line(error)
    if phase == "teardown":
        return Outcome.ERROR, f"cleaning up failed: {_describe(error)}"
    return Outcome.ERROR, _describe(error)


def _causes(error: BaseException | None, evidence: Evidence) -> Iterator[Cause]:
    """Why the check, or a part of it, could not be judged."""
    if isinstance(error, ReadinessError) and error not in evidence.lost:
        yield error.cause
    elif error is not None and not isinstance(error, ReadinessError | CheckFailed):
        yield Cause(_describe(error))
    yield from (lost.cause for lost in evidence.lost)


def _describe(error: BaseException) -> str:
    if isinstance(error, ReadinessError):
        return "; ".join(dict.fromkeys([error.sentence, *getattr(error, "__notes__", ())]))
    return f"unexpected {type(error).__name__}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _redact_report(report: pytest.TestReport) -> None:
    if isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        report.longrepr = (path, line, redact(reason))
    elif report.longrepr is not None:
        shown = str(report.longrepr)
        if redact(shown) != shown:
            report.longrepr = redact(shown)
    report.sections = [(title, redact(text)) for title, text in report.sections]


def finding_of(report: pytest.TestReport) -> dict[str, object] | None:
    """The finding in a report, as JSON types; None if there is none.

    If there are several (another plugin copied the report), the last one counts.
    """
    found = [value for name, value in report.user_properties if name == PROPERTY]
    if not found or not isinstance(found[-1], str):
        return None
    finding = json.loads(found[-1])
    return finding if isinstance(finding, dict) else None
