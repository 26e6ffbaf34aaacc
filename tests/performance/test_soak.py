"""What grows under a long load, and what only looks so."""

import random
from collections.abc import Callable

import pytest

from readiness.areas.performance import soak
from readiness.areas.performance.config import Load, Soak
from readiness.areas.performance.load import Asked, Loaded
from readiness.areas.performance.soak import Grown, Soaked, grown, soaked
from readiness.config.models import Config
from readiness.model.errors import CouldNotMeasure, NoData, Unreachable
from readiness.model.evidence import CheckFailed, Evidence, Outcome
from suites.performance import test_soak as suite
from tests.support.small_servers import Reply, SmallServer

SOAK = Soak(max_memory_growth=0.1, duration_s=100, settle_s=10)
LOAD = Load.model_validate(
    {
        "name": "shop",
        "service": "api",
        "requests": [{"path": "/a"}],
        "rate": 20,
        "max_p95_ms": 500,
        "soak": SOAK,
    }
)


def values(*, slope: float = 0.0, spread: float = 0.0, seed: int = 1) -> Grown:
    draw = random.Random(seed)  # noqa: S311 - the same in each run
    found = [(float(t), 100 + slope * t + draw.gauss(0, spread)) for t in range(120)]
    return grown("memory", "bytes", "made up", found)


def test_what_is_constant_does_not_grow() -> None:
    growth = values().growth
    assert (growth.lower, growth.value, growth.upper) == (0, 0, 0)


def test_growth_is_that_from_the_first_block_to_the_last() -> None:
    growth = values(slope=0.5).growth
    assert growth.value == pytest.approx(55)
    assert growth.lower == pytest.approx(growth.upper)


def test_the_true_growth_is_within_the_bounds_in_nine_of_ten_cases() -> None:
    true = 0.1 * 110
    seen = [values(slope=0.1, spread=5, seed=seed).growth for seed in range(300)]
    assert sum((one.lower or 0) <= true <= (one.upper or 0) for one in seen) >= 255


@pytest.mark.parametrize(
    ("moments", "says"),
    [
        ([(float(t), 0.0) for t in range(24)], "is 0 all the time"),
        ([(float(t), 100.0 if t < 12 else 40.0) for t in range(24)], "a process ended meanwhile"),
    ],
)
def test_what_shows_nothing_is_an_error(moments: list[tuple[float, float]], says: str) -> None:
    with pytest.raises(NoData, match=says):
        grown("memory", "bytes", "made up", moments)


@pytest.mark.contract
@pytest.mark.parametrize("lost", [40, 200])
def test_what_is_not_seen_for_a_while_is_an_error(lost: int) -> None:
    seen = [(float(n), [1.0]) for n in range(240 - lost)]
    gone = [(float(n), Unreachable("metrics are away")) for n in range(240 - lost, 240)]
    with pytest.raises(Unreachable, match="metrics are away"):
        soak._require_whole([*seen, *gone])
    soak._require_whole([*seen, *seen[:5]])


def test_a_metric_that_is_not_there_is_noticed_before_the_load() -> None:
    with SmallServer(
        {"/metrics": Reply("other 1\n", content_type="text/plain; version=0.0.4")}
    ) as server:
        with pytest.raises(NoData, match="process_resident_memory_bytes"):
            soaked(LOAD, SOAK, config(server.url))
        assert {path for _, path, _ in server.requests} == {"/metrics"}


def config(url: str) -> Config:
    return Config.model_validate({"target": {"name": "t"}, "services": {"api": {"url": url}}})


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Evidence]:
    """Runs the check on values that were made up."""

    def judge(memory: Grown, connections: Grown | None = None, problem: str = "") -> Evidence:
        asked = tuple(Asked(n / 20, n / 20, 10.0, "GET /a", problem) for n in range(2000))
        seen = Soaked(Loaded(asked, None, 100.0, 0.1, "made up"), memory, connections)
        monkeypatch.setattr(suite, "soaked", lambda *_: seen)
        evidence = Evidence()
        suite.test_soak(LOAD, config("http://127.0.0.1:1"), evidence)
        return evidence

    return judge


def test_nothing_grows(judged: Callable[..., Evidence]) -> None:
    assert judged(values(), values()).conclude() is Outcome.PASS


def test_memory_grows(judged: Callable[..., Evidence]) -> None:
    with pytest.raises(CheckFailed, match=r"Memory grew by 0.* of itself"):
        judged(values(slope=0.5)).conclude()


def test_connections_grow(judged: Callable[..., Evidence]) -> None:
    with pytest.raises(CheckFailed, match="Connections grew by 2"):
        judged(values(), values(slope=0.2)).conclude()


def test_a_limit_within_the_bounds_is_an_error(judged: Callable[..., Evidence]) -> None:
    with pytest.raises(CouldNotMeasure, match="cannot be told apart: memory grew by"):
        judged(values(slope=0.1, spread=10)).conclude()


def test_a_load_that_is_not_answered_proves_nothing(judged: Callable[..., Evidence]) -> None:
    with pytest.raises(CouldNotMeasure, match="2000 of 2000 requests failed"):
        judged(values(), problem="status 503")
