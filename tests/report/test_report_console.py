"""The end of a run on the terminal: short, the verdict last, and nothing that breaks."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date

import pytest

from readiness.model.decision import Decision, Kind
from readiness.model.measurement import at_most
from readiness.model.record import CauseNote, Incident, RunRecord, SuiteResult, SuiteState
from readiness.report.console import MOST_LINES, summary
from readiness.report.layout import height
from tests.support.records import make_check, make_many, make_record, sample, small_record

PAGE = "reports/readiness.html"


def _rows(record: RunRecord, **how: bool) -> list[str]:
    return summary(record, width=80, color=False, report=PAGE, **how).splitlines()


def _many_causes(causes: int, checks: int) -> RunRecord:
    """A run that could judge nothing, in eleven areas."""
    return make_record(
        make_check(
            f"area-{n % 11}.check-{n}", "", "error", severity="blocker", measurements=[],
            message=f"server {n % causes} refused the connection; check {n} cannot be judged",
        ).model_copy(
            update={"causes": (CauseNote(what=f"server {n % causes} refused the connection",
                                         remedy=f"start it: systemctl start server-{n % causes}"),)}
        )
        for n in range(checks)
    )  # fmt: skip


RECORDS: dict[str, Callable[[], RunRecord]] = {
    "small": small_record,
    "sample": sample,
    "ready": lambda: make_record([make_check(severity="blocker")]),
    "large": lambda: make_many(3000),
    "empty": lambda: make_record([]),
    "causes": lambda: _many_causes(7, 25),
    "many-causes": lambda: _many_causes(60, 120),
    "incidents": lambda: make_record(
        [make_check(outcome="error", message="x" * 3000)],
        incidents=[Incident(kind="lost", message=f"Worker {n} died {'y ' * 90}") for n in range(9)],
        suites=[
            SuiteResult(name=f"suite-{n}", state=SuiteState.NOT_VERIFIED, reason="z " * 200)
            for n in range(40)
        ],
        report_only=True,
    ),
}


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("width", [80, 100])
def test_the_end_of_a_run_has_at_most_25_lines_on_the_screen(name: str, width: int) -> None:
    rows = summary(RECORDS[name](), width=width, color=False, report=PAGE).splitlines()
    assert sum(height(row, width) for row in rows) <= MOST_LINES


@pytest.mark.parametrize("width", [80, 100, 40, 5])
def test_lines_keep_to_the_width_except_commands(width: int) -> None:
    rows = summary(small_record(), width=width, color=False).splitlines()
    assert all(len(row) <= max(width, 40) or row.startswith("   $ ") for row in rows)


@pytest.mark.parametrize("name", ["small", "sample", "causes"])
def test_every_word_is_a_word_of_the_record(name: str) -> None:
    """No line breaks a word, which nobody could search for or paste."""
    wide = set(summary(RECORDS[name](), width=1000, color=False).split())
    narrow = summary(RECORDS[name](), width=80, color=False).split()
    assert set(narrow) - wide <= {"…"}


def test_the_verdict_is_the_last_line_with_the_exit_code() -> None:
    *_, covered, page, last = _rows(small_record())
    assert last == "✗ NOT READY  orders 2026.11.3 · staging · exit 1"
    assert page == "Page reports/readiness.html · took 11 min 42 s"
    assert covered == "Judged 4 of 6 required (profile full); 1 accepted by a waiver"


def test_a_run_that_is_ready_says_so_in_few_lines() -> None:
    assert _rows(make_record([make_check(severity="blocker")])) == [
        "✓ performance  1 of 1 judged",
        "",
        "All 1 required checks were judged, and none failed.",
        "Judged 1 of 1 required (profile full)",
        "Page reports/readiness.html · took 11 min 42 s",
        "✓ READY  orders 2026.11.3 · staging · exit 0",
    ]


def test_each_step_says_what_it_unblocks_and_one_command() -> None:
    rows = _rows(_many_causes(7, 25))
    work = [row for row in rows if re.match(r" *\d BLOCKER", row)]
    assert len(work) == 7
    assert work[0] == " 1 BLOCKER  server 0 refused the connection" + " " * 28 + " 4 checks"
    assert "   $ systemctl start server-0" in rows


def test_what_no_step_says_is_said_before_the_verdict() -> None:
    rows = _rows(small_record())
    assert "!! Worker gw1 died, and its check." in rows
    assert "!! Suite backup is not verified: nothing configured." in rows
    assert not [row for row in rows if row.startswith("!!") and "rollback-lossless" in row]


def test_report_only_is_said_and_changes_the_exit_code() -> None:
    rows = _rows(make_record([make_check(outcome="fail")], report_only=True))
    assert rows[-1].endswith("· exit 0 (--report-only)")
    assert any(row.startswith("!! --report-only") for row in rows)


def test_a_ci_log_gets_nothing_about_what_does_not_apply() -> None:
    assert "– not judged here: security" in _rows(small_record())
    assert not any("security" in row for row in _rows(small_record(), in_ci=True))


def test_color_changes_nothing_but_color() -> None:
    plain = summary(small_record(), width=80, color=False)
    colorful = summary(small_record(), width=80, color=True)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", colorful) == plain
    assert "\n\x1b[1;31m✗ NOT READY\x1b[0m  orders" in colorful


def test_the_target_cannot_send_escapes() -> None:
    record = make_record([make_check(outcome="fail", message="\x1b[2J\x1b]0;t\x07gone\x9b1m")])
    assert "\x1b" not in summary(record, width=80, color=False)
    assert "\x9b" not in summary(record, width=80, color=True)


@pytest.mark.parametrize("text", ["::stop-commands::x", "##[group]x", "say ##vso[x] ##[error]"])
def test_no_line_is_a_command_to_the_runner(text: str) -> None:
    record = make_record([make_check(outcome="fail", message=text, fix=f"    {text}")])
    for row in summary(record, width=80, color=False).splitlines():
        assert not row.lstrip().startswith("::")
        assert "##[" not in row


def _command_of(fix: str, missed: Iterable[str] = ()) -> str:
    check = make_check("a.b", "", "fail", fix=fix)
    lost = check.measurements[0]
    kept = tuple(replace(lost, key=key, value=9.0, limit=at_most(1)) for key in missed)
    record = make_record([check.model_copy(update={"measurements": kept})])
    (found,) = [row for row in _rows(record) if row.startswith("   $ ")]
    return found.removeprefix("   $ ")


def test_a_command_is_that_of_the_judgement_that_missed() -> None:
    fix = "age: look at the job\n    systemctl list-timers --all\nsize: compare\n    ls -l FOLDER\n"
    assert _command_of(fix, ["size"]) == "ls -l FOLDER"
    assert _command_of(fix, ["age"]) == "systemctl list-timers --all"
    assert _command_of(fix) == "systemctl list-timers --all"


def test_a_statement_over_several_lines_is_one_command() -> None:
    fix = "Look:\n    select a,\n      b from t\n    where c = 1;\n    drop table t;\n"
    assert _command_of(fix) == "select a, b from t where c = 1;"


@pytest.mark.parametrize(
    "fix",
    ["Read the manual.", "Add a rule:\n    - alert: Down\n", "Long:\n    " + "cat --x " * 60],
)
def test_where_the_fix_has_no_short_command_the_check_is_shown(fix: str) -> None:
    assert _command_of(fix) == "readiness show --check a.b"


@pytest.mark.parametrize(
    ("remedy", "command"),
    [
        ("check that it listens: pg_isready -h db -p 5432", "   $ pg_isready -h db -p 5432"),
        ("apt-get install pgbackrest", "   $ apt-get install pgbackrest"),
        ("grant pg_monitor to shop", "   $ grant pg_monitor to shop"),
        ("set `role` in [backup.shop]", "          → set role in [backup.shop]"),
        ("make it: a -x; or name one: --config F", "          → make it: a -x; or name one: --c"),
    ],
)
def test_a_remedy_is_a_command_or_a_sentence(remedy: str, command: str) -> None:
    cause = CauseNote(what="nobody answered", remedy=remedy)
    check = make_check("a.b", "", "error").model_copy(update={"causes": (cause,)})
    rows = _rows(make_record([check]))
    assert [row for row in rows if row.startswith(command)]


def test_an_area_says_what_decisions_excuse() -> None:
    decision = Decision(
        kind=Kind.NOT_APPLICABLE, what="a.*", owner="ana", reason="none", expires=date(2027, 1, 1)
    )
    excused = make_check("a.b", "", "not-applicable").model_copy(update={"decision": decision})
    by_itself = make_check("a.c", "", "not-applicable")
    rows = _rows(make_record([make_check("a.a", severity="blocker"), excused, by_itself]))
    assert rows[0] == "✓ a  1 of 2 judged, 1 excused"
    assert rows[3] == (
        "Judged 1 of 2 required (profile full); 1 declared not applicable by 1 decision"
    )


def test_a_command_stays_on_its_line() -> None:
    command = "psql --command 'select 1' " + "--set=x " * 12
    record = make_record([make_check(outcome="fail", fix=f"Run:\n\n    {command}")])
    assert command.strip() in summary(record, width=60, color=False)


def test_a_large_run_counts_what_it_leaves_out() -> None:
    rows = _rows(make_many(3000))
    shown = sum(" MAJOR " in row for row in rows)
    assert shown > 5
    assert f"   and {30 - shown} more: readiness show --causes" in rows


@pytest.mark.parametrize("areas", range(4, 14))
def test_one_area_is_shown_rather_than_counted(areas: int) -> None:
    rows = _rows(make_record(
        make_check(f"ill-{n % areas}.check-{n}", outcome="fail", severity="blocker")
        for n in range(60)
    ))  # fmt: skip
    named = [row for row in rows if row.startswith("✗ ill-")]
    counted = [row for row in rows if row.endswith(" more areas")]
    assert counted == ([f"  and {areas - len(named)} more areas"] if len(named) < areas else [])
    assert len(named) != areas - 1


def test_areas_that_are_well_share_a_line_where_room_is_short() -> None:
    checks = [make_check(f"well-{n:02}.a", severity="blocker") for n in range(30)]
    rows = _rows(make_record([*checks, make_check("ill.a", outcome="fail")]))
    assert rows[0] == "✗ ill  1 of 1 judged, 1 fail"
    assert rows[1].startswith("✓ all 30 passed: well-00, well-01")
