"""What the page says of earlier runs, and which figures it warns of before they miss."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from readiness.model.measurement import Limit, at_least, at_most
from readiness.model.record import Facts, RunRecord, Selection
from readiness.model.verdict import judge
from readiness.report import html, markdown
from readiness.report.trends import Drift, PastRun, past_run, trends
from tests.support.page_records import of_size
from tests.support.records import BEGAN, make_check, make_measurement, make_record

_LIMIT = at_most(100)


def _run(value: float, day: int, limit: Limit = _LIMIT, outcome: str = "pass") -> RunRecord:
    check = make_check(
        severity="blocker", outcome=outcome, measurements=[make_measurement(value, limit)]
    )
    return make_record([check], began=BEGAN + timedelta(days=day), run_id=f"run-{day}")


def _earlier(records: Sequence[RunRecord]) -> list[PastRun]:
    return [past_run(record.to_json()) for record in reversed(records)]


def _drifts(values: Sequence[float], limit: Limit = _LIMIT) -> tuple[Drift, ...]:
    *past, now = (_run(value, day, limit) for day, value in enumerate(values))
    return trends(now, _earlier(past)).drifts


@pytest.mark.parametrize(
    ("values", "limit", "drifts"),
    [
        ((40, 45, 50, 55, 60, 65), _LIMIT, True),
        ((240, 220, 200, 180, 160, 140), at_least(100), True),
        ((40, 45, 50, 55, 60), _LIMIT, False),  # too few runs to tell
        ((65, 60, 55, 50, 45, 40), _LIMIT, False),  # away from its limit
        ((10, 15, 20, 25, 30, 35), _LIMIT, False),  # far from it
        ((60, 61, 62, 63, 64, 65), _LIMIT, False),  # hardly
        ((40, 90, 50, 40, 45, 95), _LIMIT, False),  # up and down
    ],
)
def test_a_figure_that_moves_towards_its_limit_is_named(
    values: Sequence[float], limit: Limit, drifts: bool
) -> None:
    assert bool(_drifts(values, limit)) == drifts


def test_days_until_the_limit_are_those_at_the_rate_so_far() -> None:
    (found,) = _drifts((40, 45, 50, 55, 60, 65))
    assert found.used == pytest.approx(0.65)
    assert found.days_left == 7  # 5 ms a day, 35 ms are left


def test_red_and_partial_runs_are_no_baseline_of_a_drift() -> None:
    values = (40, 45, 50, 55, 60)
    records = [_run(value, day) for day, value in enumerate(values)]
    now = _run(65, 9)
    assert trends(now, _earlier(records)).drifts
    records[0] = _run(140, 0, outcome="fail")
    assert not trends(now, _earlier(records)).drifts
    records[0] = _partial(_run(40, 0))
    assert not trends(now, _earlier(records)).drifts


def _partial(record: RunRecord) -> RunRecord:
    known = {name: getattr(record, name) for name in Facts.model_fields}
    chosen = Selection(select=("performance",), partial=True)
    run = record.run.model_copy(update={"selection": chosen})
    return judge(Facts(**{**known, "run": run}))


def test_the_page_marks_red_and_partial_runs_and_draws_the_drift() -> None:
    values = (40, 45, 50, 55, 60)
    records = [_run(value, day) for day, value in enumerate(values)]
    records += [_run(140, 6, outcome="fail"), _partial(_run(61, 7))]
    text = "".join(html.render(_run(65, 10), earlier=_earlier(records)))
    section = text[text.index('id="history"') : text.index('id="areas"')]
    assert "READY</b> 5 times, 20 Nov 2026 to 24 Nov 2026" in section
    assert "NOT READY</b> 26 Nov 2026" in section
    assert "INCOMPLETE, partial</b> 27 Nov 2026" in section
    assert "(65 % of it used)" in section
    assert "last 6 runs: 40 ms, 45 ms, 50 ms, 55 ms, 60 ms, 65 ms" in section
    assert "reaches the limit in about 11 days at this rate" in section


def test_of_runs_that_come_and_go_the_newest_streaks_are_named() -> None:
    records = [
        _run(140 if day % 2 else 40, day, outcome="fail" if day % 2 else "pass")
        for day in range(20)
    ]
    text = "".join(html.render(_run(40, 20), earlier=_earlier(records)))
    section = text[text.index('id="history"') : text.index('id="areas"')]
    assert section.count("READY</b>") == 8
    assert "oldest first: …, then" in section
    assert "09 Dec 2026" in section


def test_the_summary_of_a_job_names_the_drift() -> None:
    records = [_run(value, day) for day, value in enumerate((40, 45, 50, 55, 60))]
    text = markdown.render(_run(65, 5), _earlier(records))
    assert "## Figures that move towards their limit\n" in text
    assert "p95 latency 65 ms, limit ≤ 100 ms (65 % of it); about 7 days at this rate" in text


def test_300_checks_and_50_runs_of_history_fit_into_200_kilobytes() -> None:
    record, earlier = of_size(300, 50)
    assert len(record.checks) == 300
    text = "".join(html.render(record, earlier=earlier))
    assert "last 51 runs" in text
    assert "Figures that move towards their limit" in text
    assert len(text.encode()) < 200_000
