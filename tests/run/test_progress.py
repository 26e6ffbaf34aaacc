"""What a person sees while a run goes on."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from readiness.model.evidence import Outcome
from readiness.report import history
from readiness.run.journal import Event
from readiness.run.progress import Lines, Live, Overall, choose
from tests.plugin.events import ledger_of, plan_event, report_event
from tests.support.records import make_check, make_record

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


BEGIN: Event = {"event": "begin", "target": {"name": "orders"}}


def earlier(folder: Path) -> Path:
    """A record of a run of 702.3 s: 100 s of checks beside each other, then 300 s alone."""
    record = make_record(
        [
            make_check("own.a", "demo", duration_s=75),
            make_check("own.b", "demo", duration_s=25),
            make_check("own.c", "demo", duration_s=300, effect="load"),
        ]
    )
    history.store(record, folder)
    return folder


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


def test_no_line_for_a_check_that_nobody_asked_for() -> None:
    plan = plan_event("a", "b")
    plan["items"][0]["asked"] = False  # type: ignore[index]
    out = io.StringIO()
    progress, ledger = Lines(out), ledger_of(plan)
    for event in (plan, START, FAILED, END):
        ledger.apply(event)
        progress.event(event, ledger)
    assert out.getvalue().splitlines() == ["1 check planned"]


def test_the_beginning_names_target_profile_and_fingerprint_in_80_columns() -> None:
    out = io.StringIO()
    target = {"name": "orders", "release": "2.4.0+" + "b" * 40, "environment": "staging"}
    begin: Event = {"event": "begin", "profile": "core",
                    "target": {**target, "fingerprint": "0c9e4b1f6a27"}}  # fmt: skip
    Lines(out).event(PLAN, ledger_of(begin, PLAN))
    first, second, planned = out.getvalue().splitlines()
    assert planned == "2 checks planned"
    assert first.startswith("orders 2.4.0+b")
    assert len(first) <= 80
    assert f"{first}{second}".endswith("· staging · profile core ·  fingerprint 0c9e4b1f6a27")


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


def test_the_rest_is_estimated_from_the_latest_record(tmp_path: Path) -> None:
    overall = Overall(earlier(tmp_path))
    plan = plan_event("a", "b", "c")
    plan["items"][2]["spec"]["effect"] = "load"  # type: ignore[index]
    # 402 s went by for 100 s of checks, side by side; then 300 s for the one that runs alone.
    assert overall.of(ledger_of(BEGIN, plan)) == "0 of 3 checks, 1 s, about 11 min 42 s left"
    ended = ledger_of(BEGIN, plan, FAILED, END)
    assert overall.of(ended) == "1 of 3 checks, 1 s, about 6 min 41 s left"
    all_ended = ledger_of(
        BEGIN, plan, *(report_event(name, when="teardown") for name in ("a", "b", "c"))
    )
    assert overall.of(all_ended) == "3 of 3 checks, 1 s"


@pytest.mark.parametrize("target", ["orders", "another"])
def test_without_a_record_of_the_target_nothing_is_estimated(tmp_path: Path, target: str) -> None:
    folder = tmp_path if target == "orders" else earlier(tmp_path)
    begin: Event = {"event": "begin", "target": {"name": target}}
    assert Overall(folder).of(ledger_of(begin, PLAN)) == "0 of 2 checks, 1 s"
    assert Overall().of(ledger_of(begin, PLAN)) == "0 of 2 checks, 1 s"


def test_a_ci_log_has_no_line_about_what_does_not_apply() -> None:
    skipped: Event = {
        **report_event("b"),
        "finding": {
            "outcome": Outcome.NOT_APPLICABLE, "message": "no replica", "measurements": [],
            "duration_s": 0.1,
        },
    }  # fmt: skip
    end = report_event("b", when="teardown")
    printed = []
    for brief in (False, True):
        out = io.StringIO()
        progress, ledger = Lines(out, brief=brief), ledger_of()
        for event in (PLAN, skipped, end):
            ledger.apply(event)
            progress.event(event, ledger)
        printed.append(out.getvalue().splitlines())
    assert printed[0] == ["2 checks planned", "not-applicable own.b[demo]  (0.1 s)  no replica"]
    assert printed[1] == ["2 checks planned"]


def test_live_lines_begin_with_how_far_the_run_is_and_keep_to_the_width() -> None:
    progress = Live()
    progress.close()
    ledger = ledger_of(plan_event(*(f"a-check-of-a-long-name-{n}" * 4 for n in range(3))), START)
    out = io.StringIO()
    Console(file=out, width=80).print(progress._view(ledger))
    rows = out.getvalue().splitlines()
    assert rows[0] == "0 of 3 checks, 1 s"
    assert len(rows) == 2


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
