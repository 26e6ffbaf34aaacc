"""How often something is executed, and what is concluded from the times."""

import pytest

from readiness import Evidence
from readiness.areas.performance.judging import Plan, Times, judge_percentile, plan
from readiness.lib.noise import SILENCE, Noise
from readiness.model.errors import CouldNotMeasure
from readiness.model.evidence import CheckFailed, Outcome
from readiness.model.measurement import at_most


@pytest.mark.parametrize(
    ("execution_s", "expected"),
    [
        (0.0001, Plan(400, 20)),
        (0.05, Plan(280, 20)),
        (0.15, Plan(80, 20)),
        (0.25, Plan(59, 20)),
        (0.7, Plan(59, 20)),
        (5, Plan(12, 0)),
        (100, Plan(2, 0)),
    ],
)
def test_what_is_slow_is_executed_less_often(execution_s: float, expected: Plan) -> None:
    assert plan(400, 15, execution_s) == expected


def _judge(times_ms: list[float], limit_ms: float, noise: Noise = SILENCE) -> Outcome:
    evidence = Evidence()
    times = Times(times_ms, "select 1")
    judge_percentile(evidence, 0.95, times, at_most(limit_ms), noise, "raise `samples`")
    return evidence.conclude()


def test_all_times_below_the_limit_pass() -> None:
    assert _judge([50.0] * 59, 100) is Outcome.PASS


def test_p95_at_the_limit_passes() -> None:
    assert _judge([125.0] * 59, 125) is Outcome.PASS
    with pytest.raises(CheckFailed):
        _judge([125.0] * 59, 124.999)


@pytest.mark.parametrize("n", [1, 12, 58])
def test_too_few_samples_never_pass(n: int) -> None:
    with pytest.raises(CouldNotMeasure, match="cannot be told apart"):
        _judge([50.0] * n, 100)


@pytest.mark.parametrize("n", [2, 12, 58, 400])
def test_few_samples_can_fail(n: int) -> None:
    with pytest.raises(
        CheckFailed, match=r"p95 is at least 200 ms \(95 % confidence\); limit 100 ms"
    ):
        _judge([200.0] * n, 100)


def test_p95_near_the_limit_is_too_close_to_call() -> None:
    times = [90.0] * 190 + [110.0] * 10
    with pytest.raises(CouldNotMeasure, match=r"between 90 and 110 ms, and the limit is 100"):
        _judge(times, 100)


def test_a_miss_that_noise_explains_is_an_error() -> None:
    noise = Noise(usual_s=0.015, worst_s=0.055, lost=0.25)
    with pytest.raises(CouldNotMeasure, match=r"noise of this machine: 25% of the time lost"):
        _judge([9.0, *[145.0] * 400], 100, noise)
    with pytest.raises(CheckFailed):
        _judge([145.0] * 400, 100, noise)


def test_slow_tail_beyond_the_percentile_passes() -> None:
    assert _judge([50.0] * 990 + [5000.0] * 10, 100) is Outcome.PASS
