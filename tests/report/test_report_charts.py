import pytest

from readiness.model.measurement import Limit, Moment, Value, at_least, at_most, equal_to
from readiness.report import charts
from readiness.report.trends import Point
from tests.support.records import make_measurement


def test_a_bar_is_to_scale() -> None:
    bar = charts.bar(make_measurement(50, at_most(100)))
    assert bar is not None
    assert bar.kept
    assert bar.value * 2 == pytest.approx(bar.limit, abs=1)


def test_a_missed_limit_reaches_over_its_mark() -> None:
    bar = charts.bar(make_measurement(200, at_most(100)))
    assert bar is not None
    assert not bar.kept
    assert bar.value > bar.limit


@pytest.mark.parametrize("value", ["text", True, float("nan"), float("inf"), -1])
def test_no_bar_of_what_has_no_scale(value: Value) -> None:
    assert charts.bar(make_measurement(value, at_least(5))) is None


def test_no_bar_without_a_limit_or_of_nothing() -> None:
    assert charts.bar(make_measurement(5)) is None
    assert charts.bar(make_measurement(0, at_most(0))) is None


@pytest.mark.parametrize("limit", [at_most(0), equal_to(0)])
def test_a_limit_of_zero_is_drawn_at_the_left_edge(limit: Limit) -> None:
    bar = charts.bar(make_measurement(19, limit))
    assert bar is not None
    assert (bar.limit, bar.kept) == (1, False)
    assert bar.value > 100


def test_sparkline_ends_with_this_run_and_draws_the_limit() -> None:
    past = (Point(50), Point(100, ready=False))
    spark = charts.sparkline(make_measurement(150, at_most(100)), past)
    assert spark is not None
    assert spark.text == "last 3 runs: 50 ms, 100 ms, 150 ms; not READY: 1 (dots)"
    assert spark.path == "M4 22L55 13L106 4"
    assert (spark.x, spark.y, spark.limit_y) == (106, 4, 13)
    assert spark.marks == "M55 13h0"


def test_fifty_runs_are_said_by_their_range_and_the_last_three() -> None:
    spark = charts.sparkline(make_measurement(60), [Point(float(n)) for n in range(11, 60)])
    assert spark is not None
    assert spark.text == "last 50 runs: 11 ms to 60 ms, lately 58 ms, 59 ms, 60 ms"
    assert spark.marks == ""


def test_no_sparkline_without_earlier_figures_or_of_what_has_no_scale() -> None:
    assert charts.sparkline(make_measurement(150, at_most(100)), ()) is None
    assert charts.sparkline(make_measurement("text"), (Point(1), Point(2))) is None
    assert charts.sparkline(make_measurement(1), (Point(float("nan")),)) is None


def test_sparkline_of_equal_figures_is_level() -> None:
    spark = charts.sparkline(make_measurement(5), (Point(5), Point(5)))
    assert spark is not None
    assert spark.path == "M4 13L55 13L106 13"


def test_quantiles_grow_with_their_values() -> None:
    found = charts.distribution(
        make_measurement(20, at_most(15), quantiles=[(0.999, 40), (0.5, 10), (0.95, 20)])
    )
    assert found is not None
    assert [(bar.label, bar.text) for bar in found.bars] == [
        ("p50", "10 ms"), ("p95", "20 ms"), ("p99.9", "40 ms"),
    ]  # fmt: skip
    assert [bar.missed for bar in found.bars] == [False, True, False]
    widths = [bar.width for bar in found.bars]
    assert widths == sorted(widths)
    assert found.limit_text == "limit 15 ms"


def test_no_distribution_of_nothing() -> None:
    assert charts.distribution(make_measurement()) is None
    assert charts.distribution(make_measurement(quantiles=[(0.5, float("nan"))])) is None


def test_the_time_not_well_is_added_up() -> None:
    found = charts.timeline(
        make_measurement(
            timeline=[
                Moment(0, "a", True), Moment(2, "b", False), Moment(3, "c"), Moment(4, "d", True),
                Moment(6, "e", False), Moment(10, "f"),
            ]
        )
    )  # fmt: skip
    assert found is not None
    assert (found.end, found.unwell) == ("10 s", "6 s")
    assert [s.state for s in found.stretches] == ["well", "unwell", "well", "unwell"]


def test_moments_at_one_time_are_stacked() -> None:
    found = charts.timeline(make_measurement(timeline=[Moment(5, "a"), Moment(5, "b")]))
    assert found is not None
    assert found.events[0].y < found.events[1].y


def test_no_timeline_without_moments() -> None:
    assert charts.timeline(make_measurement()) is None
