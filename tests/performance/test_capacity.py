"""The steps of a load, and the law through them."""

import math
from collections.abc import Callable

import pytest

from readiness.areas.performance import load as probe
from readiness.areas.performance.capacity import Scalability, fitted, rates
from readiness.areas.performance.config import Capacity, Load
from readiness.areas.performance.load import Asked, Loaded
from readiness.config.models import Config
from readiness.lib import retry
from readiness.model.errors import CouldNotMeasure
from readiness.model.evidence import CheckFailed, Evidence, Outcome
from suites.performance import test_headroom

LOAD = Load(name="shop", service="api", rate=100, max_p95_ms=500)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"min_headroom": 1.5, "steps": 3}, [100, 150, 200, 300]),
        ({"min_headroom": 2, "max_rate": 200, "steps": 2}, [100, 200]),
    ],
)
def test_the_steps_rise_from_the_peak_over_what_is_needed(
    settings: dict[str, float], expected: list[float]
) -> None:
    assert rates(LOAD, Capacity.model_validate(settings)) == expected


@pytest.mark.parametrize(
    "law",
    [
        Scalability(1000, 0.05, 0.0004),
        Scalability(1000, 0.2, 0),
        Scalability(1000, 0, 0.001),
        Scalability(1000, 0, 0),
    ],
)
def test_the_law_is_found_again(law: Scalability) -> None:
    found = fitted([(n, law.per_s(n)) for n in (1, 2, 4, 8, 16, 32)])
    assert found
    assert (found.speed, found.contention, found.coherency) == pytest.approx(
        (law.speed, law.contention, law.coherency), abs=1e-9
    )


def test_no_share_is_negative() -> None:
    """Two clients of one idle core were seen to be more than twice as fast as one."""
    found = fitted([(1, 900), (2, 2000), (4, 3900), (8, 7000), (16, 9000)])
    assert found
    assert min(found.contention, found.coherency) >= 0


def test_the_peak_is_where_more_begins_to_hurt() -> None:
    law = Scalability(1000, 0.05, 0.0004)
    n = law.most_under_way
    assert n == pytest.approx(48.7, abs=0.1)
    assert law.per_s(n) > max(law.per_s(n - 1), law.per_s(n + 1))
    assert math.isinf(Scalability(1000, 0.05, 0).most_under_way)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Evidence]:
    """Runs the check on a service that answers in 10 ms, and in 900 ms above some rate."""

    def judge(slow_above: float, **seen: float) -> Evidence:
        def load(one: Load, *_: object, **__: object) -> Loaded:
            rate = one.rate or 0
            took = 900.0 if rate > slow_above else 10.0
            moments = [number / rate for number in range(round(rate * 3))]
            late_s = seen.get("late_s", 0.0)
            asked = tuple(Asked(due, due + late_s, took, "GET /", "") for due in moments)
            return Loaded(asked, None, 3.0, 0.1, "made up")

        monkeypatch.setattr(probe, "load", load)
        config = Config.model_validate(
            {"target": {"name": "t"}, "services": {"api": {"url": "http://127.0.0.1:1"}}}
        )
        wanted = Capacity(min_headroom=1.5, max_rate=300, steps=5)
        evidence = Evidence()
        test_headroom.test_capacity(
            LOAD.model_copy(update={"capacity": wanted, "duration_s": 3}), config, evidence
        )
        return evidence

    return judge


def test_headroom_above_the_peak(judged: Callable[..., Evidence]) -> None:
    evidence = judged(220)
    assert evidence.conclude() is Outcome.PASS
    [headroom] = [one for one in evidence.measurements if one.key == "headroom"]
    assert headroom.value == 2


def test_too_little_headroom_names_the_step_that_missed(judged: Callable[..., Evidence]) -> None:
    with pytest.raises(CheckFailed, match=r"up to 100 requests/s, 1 times the peak") as caught:
        judged(120).conclude()
    assert "at 150 requests/s: p95 900 ms, 0 of 450 failed" in str(caught.value)


def test_a_starved_generator_is_an_error(
    judged: Callable[..., Evidence], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "_await_quiet", lambda: None)
    with pytest.raises(CouldNotMeasure, match="the load generator was the bottleneck"):
        judged(220, late_s=0.2)


def test_few_points_have_no_law() -> None:
    assert fitted([(1, 100), (2, 190), (3, 270), (4, 340)]) is None
    assert fitted([(0, 0)] * 6) is None
