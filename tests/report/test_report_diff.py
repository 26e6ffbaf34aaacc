import html
from collections.abc import Callable
from datetime import date, timedelta

import pytest

from readiness.model.decision import Decision, Kind
from readiness.model.measurement import Limit, at_least, at_most
from readiness.model.record import NotAsked, RunRecord
from readiness.report import compare
from readiness.report.compare import Comparison
from readiness.report.diff import changes
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
        ("fail", "not-applicable", [("not-applicable", "fail", "not-applicable")]),
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


def _shown(old: RunRecord, new: RunRecord, width: int = 300) -> str:
    return compare.text(Comparison.of(old, new), width)


def test_the_text_names_each_check_under_its_kind() -> None:
    text = _shown(_record("pass", 100), _record("fail", 200, days=1), 80)
    assert text == (
        "Since INCOMPLETE: orders 2026.11.3 · staging, run run-0 of 2026-11-20 14:03:07\n"
        "  UTC\n"
        "Now   NOT READY: orders 2026.11.3 · staging, run run-1 of 2026-11-21 14:03:07\n"
        "  UTC\n"
        "!! The earlier run was INCOMPLETE: it is not a READY baseline.\n"
        "\n"
        "Newly failing (1)\n"
        "  performance.query-latency[orders-db]: pass → fail\n"
        "\n"
        "Changed limits (1)\n"
        "  performance.query-latency[orders-db]: p95 latency ≤ 100 ms → ≤ 200 ms\n"
    )


def test_runs_that_do_not_compare_are_named() -> None:
    new = _record("pass", days=1)
    other = new.target.model_copy(update={"environment": "production"})
    found = Comparison.of(_record("pass"), new.model_copy(update={"target": other}))
    assert "The runs are of different targets: orders (staging) and orders (production)." in list(
        found.notes
    )


@pytest.mark.parametrize("form", [compare.markdown, compare.page])
def test_markdown_and_page_say_the_same(form: Callable[[Comparison], str]) -> None:
    shown = html.unescape(form(Comparison.of(_record("pass", 100), _record("fail", 200, days=1))))
    for text in ("Newly failing (1)", "Changed limits (1)", "p95 latency ≤ 100 ms → ≤ 200 ms",
                 "NOT READY", "INCOMPLETE: it is not a READY baseline"):  # fmt: skip
        assert text in shown
    same = form(Comparison.of(_record("pass"), _record("pass", days=1)))
    assert "Nothing changed." in same


@pytest.mark.parametrize("after", ["not-applicable", None])
def test_what_is_no_longer_judged_is_named(after: str | None) -> None:
    (found,) = changes(_record("pass"), _record(after, days=1)).items
    assert found.lost == 'major "The promised queries answer within their limit"'
    assert f"no longer judged: {found.lost}" in _shown(_record("pass"), _record(after, days=1))


def test_nothing_is_lost_of_what_was_not_judged_before() -> None:
    (found,) = changes(_record("error"), _record("not-applicable", days=1)).items
    assert found.lost == ""


def test_decision_behind_what_became_not_applicable_is_named() -> None:
    decision = Decision(
        kind=Kind.NOT_APPLICABLE, what="performance", owner="ana", reason="no database",
        expires=date(2027, 1, 31),
    )  # fmt: skip
    new = make_check(outcome="not-applicable").model_copy(update={"decision": decision})
    (found, _) = changes(_record("pass"), make_record([new])).items
    assert found.kind == "not-applicable"
    assert found.after == "not-applicable until 2027-01-31 (ana): no database"


def test_what_is_not_asked_for_any_more_gives_the_reason() -> None:
    new = make_record(
        [make_check(subject="other")],
        not_asked=[NotAsked(id="performance.query-latency", subject="orders-db", reason="core")],
    )
    (found,) = changes(_record("pass"), new).items
    assert (found.kind, found.after) == ("removed", "not asked for: core")


@pytest.mark.parametrize(
    ("before", "after", "limit", "moved"),
    [
        (12, 60, at_most(100), True),
        (12, 140, at_most(100), True),
        (12, 40, at_most(100), False),
        (50, 60, at_most(100), False),
        (200, 120, at_least(100), True),
        (200, 190, at_least(100), False),
        (12, 60, None, False),
        (0, 60, at_most(100), False),
        (12, float("nan"), at_most(100), False),
    ],
)
def test_figures_that_came_near_their_limit_are_named(
    before: float, after: float, limit: Limit | None, moved: bool
) -> None:
    old, new = (make_record([make_check(measurements=[make_measurement(value, limit)])])
                for value in (before, after))  # fmt: skip
    found = [c for c in changes(old, new).items if c.kind == "figure-moved"]
    assert [(c.before, c.after) for c in found] == (
        [(f"p95 latency {before} ms", f"{after} ms")] if moved else []
    )


def test_the_release_that_was_ready_is_named() -> None:
    assert changes(_record("pass"), _record("pass")).since_release == "2026.11.3"
