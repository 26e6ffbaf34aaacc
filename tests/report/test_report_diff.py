from datetime import timedelta

import pytest

from readiness.model.measurement import at_most
from readiness.model.record import Changes, RunRecord
from readiness.report.diff import changes, render_diff
from tests.support.records import BEGAN, make_check, make_measurement, make_record


def _record(outcome: str | None, limit: float = 100, days: int = 0) -> RunRecord:
    checks = [make_check(subject="other")]
    if outcome:
        measured = [make_measurement(41.2, at_most(limit))] if outcome != "error" else []
        checks.append(make_check(outcome=outcome, measurements=measured))
    return make_record(checks, began=BEGAN + timedelta(days=days), run_id=f"run-{days}")


def _found(old: str | None, new: str | None) -> list[tuple[str, str, str]]:
    found = changes(_record(old), _record(new, days=1))
    return [(c.kind, c.before, c.after) for c in found.items]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("pass", "pass", []),
        ("pass", "warn", []),
        ("pass", "fail", [("newly-failing", "pass", "fail")]),
        ("pass", "error", [("newly-failing", "pass", "error")]),
        ("pass", "not-run", [("newly-failing", "pass", "not-run")]),
        (None, "fail", [("newly-failing", "", "fail")]),
        ("fail", "pass", [("fixed", "fail", "pass")]),
        ("fail", "fail", [("still-failing", "2026-11-20", "fail")]),
        ("fail", "waived", [("still-failing", "2026-11-20", "waived")]),
        ("pass", "waived", [("newly-failing", "pass", "waived")]),
        ("fail", "not-applicable", [("removed", "fail", "not-applicable")]),
        ("not-applicable", "pass", [("new", "not-applicable", "pass")]),
        (None, "pass", [("new", "", "pass")]),
        ("pass", None, [("removed", "pass", "")]),
        ("not-applicable", None, []),
    ],
)
def test_kinds(old: str | None, new: str | None, expected: list[tuple[str, str, str]]) -> None:
    assert _found(old, new) == expected


def test_a_limit_that_was_moved_is_told_even_if_all_pass() -> None:
    (found,) = changes(_record("pass", 100), _record("pass", 200, days=1)).items
    assert (found.kind, found.before, found.after) == (
        "limit-changed",
        "p95 latency ≤ 100 ms",
        "≤ 200 ms",
    )


def test_a_check_without_an_answer_has_not_changed_its_limit() -> None:
    assert [c.kind for c in changes(_record("pass"), _record("error")).items] == ["newly-failing"]


def test_still_failing_names_the_first_day_on_record() -> None:
    first, second = _record("fail"), _record("fail", days=3)
    second = second.model_copy(update={"changes": changes(first, second)})
    (found,) = changes(second, _record("fail", days=5)).items
    assert found.before == "2026-11-20"


def test_the_text_names_each_check_under_its_kind() -> None:
    text = render_diff(changes(_record("pass", 100), _record("fail", 200, days=1)))
    assert text == (
        "Since run run-0 of 2026-11-20 14:03:07 UTC (READY):\n"
        "\n"
        "Newly failing (1)\n"
        "  performance.query-latency[orders-db]: pass → fail\n"
        "\n"
        "Changed limits (1)\n"
        "  performance.query-latency[orders-db]: p95 latency ≤ 100 ms → ≤ 200 ms\n"
    )


def test_the_text_says_when_nothing_changed() -> None:
    same: Changes = changes(_record("pass"), _record("pass", days=1))
    assert "nothing changed" in render_diff(same)
