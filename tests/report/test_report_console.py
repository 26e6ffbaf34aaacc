import re

import pytest

from readiness.report.console import summary
from tests.support.records import make_check, make_many, make_record, small_record


@pytest.mark.parametrize("width", [80, 100, 40, 5])
def test_lines_keep_to_the_width(width: int) -> None:
    text = summary(small_record(), width=width, color=False)
    assert max(map(len, text.splitlines())) <= max(width, 40)


def test_colour_changes_nothing_but_colour() -> None:
    plain = summary(small_record(), width=80, color=False)
    colourful = summary(small_record(), width=80, color=True)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", colourful) == plain
    assert colourful.startswith("\x1b[1;31m✗ NOT READY\x1b[0m\n")


def test_the_target_cannot_send_escapes() -> None:
    record = make_record([make_check(outcome="fail", message="\x1b[2J\x1b]0;t\x07gone\x9b1m")])
    assert "\x1b" not in summary(record, width=80, color=False)
    assert "\x9b" not in summary(record, width=80, color=True)


@pytest.mark.parametrize("text", ["::stop-commands::x", "##[group]x", "say ##vso[x] ##[error]"])
def test_no_line_is_a_command_to_the_runner(text: str) -> None:
    printed = summary(
        make_record([make_check(outcome="fail", message=text)]), width=80, color=False
    )
    for row in printed.splitlines():
        assert not row.lstrip().startswith("::")
        assert "##[" not in row


def test_a_command_in_a_fix_stays_on_its_line() -> None:
    command = "psql --command 'select 1' " + "--set=x " * 12
    record = make_record([make_check(outcome="fail", fix=f"Run:\n\n    {command}")])
    assert command.strip() in summary(record, width=60, color=False)


def test_a_large_run_stays_short_and_counts_what_it_leaves_out() -> None:
    text = summary(make_many(3000), width=80, color=False, report="reports/readiness.html")
    assert len(text.splitlines()) < 200
    assert "more checks, in the report" in text
    assert "30 fail, 2,970 pass" in text
    assert text.endswith("Report: reports/readiness.html\n")
