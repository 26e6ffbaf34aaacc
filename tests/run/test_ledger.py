"""The ledger reconciles what was planned with what was reported."""

import json
from pathlib import Path

import pytest

from readiness.model.evidence import Outcome
from readiness.run.journal import Event, Journal, Reader
from readiness.run.ledger import Ledger
from tests.plugin.events import ledger_of, plan_event, report_event

START = {"event": "start", "nodeid": "a", "at": "2026-11-20T12:00:00+00:00"}


def outcome(*events: Event) -> Outcome:
    (result,) = ledger_of(plan_event("a"), *events).results()
    return result.outcome


def finding(what: str, when: str = "call") -> Event:
    body = {"outcome": what, "message": what, "measurements": [], "duration_s": 1.5}
    status = "passed" if what == "pass" else "failed"
    return {**report_event("a", status=status, when=when), "finding": body}


END = report_event("a", when="teardown")


def test_planned_and_never_started_did_not_run() -> None:
    assert outcome() is Outcome.NOT_RUN


def test_started_and_never_finished_is_an_error() -> None:
    assert outcome(START) is Outcome.ERROR
    assert outcome(START, finding("pass")) is Outcome.ERROR


def test_a_measured_failure_stands_though_the_run_died_after_it() -> None:
    assert outcome(START, finding("fail")) is Outcome.FAIL


def test_a_whole_pass_is_a_pass() -> None:
    assert outcome(START, finding("pass"), END) is Outcome.PASS


def test_a_crash_is_an_error_even_after_a_pass() -> None:
    assert outcome(START, finding("pass"), {"event": "crash", "nodeid": "a"}) is Outcome.ERROR


def test_pytests_word_lowers_ours_and_never_raises_it() -> None:
    assert outcome(finding("pass"), report_event("a", status="failed"), END) is Outcome.FAIL
    assert outcome(finding("fail"), report_event("a", status="passed"), END) is Outcome.FAIL


def test_an_unknown_status_is_not_a_pass() -> None:
    assert outcome(report_event("a", status="rerun"), END) is Outcome.NOT_RUN


def test_what_was_never_planned_is_an_incident() -> None:
    ledger = ledger_of(plan_event("a"), report_event("zz"))
    assert [i.kind for i in ledger.incidents] == ["unplanned"]


def test_workers_that_differ_are_an_incident() -> None:
    ledger = ledger_of(plan_event("a", "b"), plan_event("a", "c", worker="gw1"))
    assert [i.kind for i in ledger.incidents] == ["collection-differs"]
    assert {r.id for r in ledger.results()} == {"own.a", "own.b", "own.c"}


def test_the_journal_gives_the_same_ledger(tmp_path: Path) -> None:
    events = [plan_event("a"), START, finding("fail"), END]
    journal = Journal(tmp_path / "journal")
    for event in events:
        journal.write(event)
    journal.close()
    again = Ledger()
    for event in Reader(tmp_path / "journal").new():
        again.apply(event)
    assert again.results() == ledger_of(*events).results()


def test_a_line_that_is_not_whole_yet_waits(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    reader = Reader(path)
    assert list(reader.new()) == []
    whole = json.dumps({"event": "interrupted"})
    path.write_text(whole[:5])
    assert list(reader.new()) == []
    path.write_text(f"{whole}\nnot json\n{whole[:3]}")
    assert [event["event"] for event in reader.new()] == ["interrupted"]
    assert list(reader.new()) == []


@pytest.mark.parametrize("event", [{}, {"event": "from the future"}])
def test_an_unknown_event_is_passed_over(event: Event) -> None:
    assert ledger_of(event).results() == []
