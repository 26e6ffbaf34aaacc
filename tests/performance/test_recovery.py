"""What comes after a spike, and that the spike was sent."""

import pytest

from readiness.areas.performance import recovery
from readiness.areas.performance.config import Load, Spike
from readiness.areas.performance.load import Asked, Loaded
from readiness.areas.performance.recovery import recover
from readiness.config.base.tables import Service
from readiness.model.errors import TookTooLong
from tests.support.small_servers import Reply, SmallServer

SERVICE = Service(url="http://127.0.0.1:1")
SPIKE = Spike(rate=60, seconds=1, within_s=1)
LOAD = Load.model_validate(
    {
        "name": "shop",
        "service": "api",
        "requests": [{"path": "/a"}],
        "rate": 20,
        "duration_s": 1,
        "warm_up_s": 0.2,
        "max_p95_ms": 500,
        "max_late_ms": 2000,
        "spike": SPIKE,
    }
)


@pytest.mark.contract
def test_the_spike_comes_between_what_was_before_and_what_is_judged() -> None:
    with SmallServer({"/a": Reply("{}")}) as server:
        seen = recover(LOAD, SPIKE, Service(url=server.url), seconds=1)
    assert [len(part.asked) for part in (seen.peak, seen.calming, seen.after)] == [60, 40, 20]
    assert len(seen.whole.asked) == 40 + 60 + 40
    assert [(band.begin_s, band.end_s) for band in seen.bands(SPIKE)] == [
        (0, 2), (2, 3), (3, 4), (4, 5),
    ]  # fmt: skip
    assert seen.recovered_s(LOAD) == 0


def made_up(*, slow_until_s: float = 0.0, behind_s: float = 0.0) -> Loaded:
    """As it is planned; slow for a while after the spike, or sent behind the plan during it."""
    moments = [
        *(n / 20 for n in range(40)),
        *(2 + n / 60 for n in range(60)),
        *(3 + n / 20 for n in range(40)),
    ]
    asked = tuple(
        Asked(
            due,
            due + (behind_s if 2 <= due < 3 else 0),
            900.0 if 3 <= due < 3 + slow_until_s else 10.0,
            "GET /a",
            "",
        )
        for due in moments
    )
    return Loaded(asked, len(asked), 5.0, 0.1, "made up")


@pytest.mark.parametrize(("slow_until_s", "recovered_s"), [(0.0, 0), (0.4, 1), (1.5, 2)])
def test_it_has_recovered_after_the_last_second_that_missed(
    monkeypatch: pytest.MonkeyPatch, slow_until_s: float, recovered_s: float
) -> None:
    monkeypatch.setattr(recovery, "staged", lambda *_: made_up(slow_until_s=slow_until_s))
    assert recover(LOAD, SPIKE, SERVICE, seconds=1).recovered_s(LOAD) == recovered_s


def test_a_spike_that_was_not_sent_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    late = LOAD.model_copy(update={"max_late_ms": 50})
    monkeypatch.setattr(recovery, "staged", lambda *_: made_up(behind_s=0.1))
    with pytest.raises(TookTooLong, match=r"it sent 5. of the 60 requests of the spike in time"):
        recover(late, SPIKE, SERVICE, seconds=1)
