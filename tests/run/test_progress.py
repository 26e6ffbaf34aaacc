"""What a person sees while a run goes on."""

import io

from readiness.run.progress import Lines, Live, choose
from tests.plugin.events import ledger_of, plan_event, report_event

PLAN = plan_event("a", "b")
START = {"event": "start", "nodeid": "a", "at": "2026-11-20T12:00:00+00:00"}
FAILED = {
    **report_event("a", status="failed"),
    "finding": {
        "outcome": "fail", "message": "too slow \x1b[31mred", "measurements": [],
        "duration_s": 2.0,
    },
}  # fmt: skip
END = report_event("a", when="teardown")


def follow(progress: Lines | Live) -> None:
    ledger = ledger_of()
    for event in (PLAN, START, FAILED, END):
        ledger.apply(event)
        progress.event(event, ledger)
        progress.tick(ledger)
    progress.close()


def test_a_line_for_every_check_that_ended_and_no_escape_from_the_target() -> None:
    out = io.StringIO()
    follow(Lines(out))
    lines = out.getvalue().splitlines()
    assert lines == ["2 checks planned", "fail           own.a[demo]  (2.0 s)  too slow red"]


def test_a_heartbeat_says_what_runs() -> None:
    out = io.StringIO()
    progress = Lines(out, heartbeat_s=0)
    ledger = ledger_of(PLAN, START)
    progress.event(START, ledger)
    progress.tick(ledger)
    assert out.getvalue() == "... running own.a[demo] for 0 s; 0 of 2 checks, 1 s\n"


def test_a_heartbeat_before_anything_is_planned() -> None:
    out = io.StringIO()
    Lines(out, heartbeat_s=0).tick(ledger_of())
    assert out.getvalue() == "... collecting the checks\n"


def test_live_lines_show_each_suite_and_what_runs() -> None:
    progress = Live()
    ledger = ledger_of(PLAN, START)
    progress.event(START, ledger)
    table = progress._table(ledger)
    cells = [str(cell) for column in table.columns for cell in column.cells]
    assert cells[:2] == ["own", "0/2"]
    assert cells[3].startswith("a[demo]")
    follow(progress)


def test_plain_lines_where_there_is_no_terminal() -> None:
    assert isinstance(choose(io.StringIO()), Lines)
