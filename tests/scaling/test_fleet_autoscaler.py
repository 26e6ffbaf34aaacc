"""The fleet's autoscaler, and a machine without HAProxy."""

from pathlib import Path

import pytest

from readiness.lib.guardian import Guardian
from readiness.servers import programs
from readiness.servers.fleet import starting
from readiness.servers.fleet.autoscaler import LEAST, MOST, PACES, PER_REPLICA, Autoscaler, wanted
from readiness.servers.fleet.behaviour import Scaler
from readiness.servers.programs import AbsentError, Program

TICK_S = 0.5


@pytest.mark.parametrize(
    ("rate", "count", "wish"),
    [
        (0, 3, LEAST),
        (3 * PER_REPLICA, 3, 3),
        (3.2 * PER_REPLICA, 3, 3),  # a tenth more is no reason
        (3.4 * PER_REPLICA, 3, 4),
        (1e6, 3, MOST),
    ],
)
def test_replica_count_for_a_request_rate(rate: float, count: int, wish: int) -> None:
    assert wanted(rate, count) == wish


def run(scaler: Scaler, count: int, wishes: list[int]) -> list[int]:
    """The counts, tick by tick; each change takes no time."""
    auto, found = Autoscaler(), []
    for tick, wish in enumerate(wishes):
        chosen = auto.next(tick * TICK_S, wish, count, PACES[scaler])
        if chosen != count:
            auto.busy(tick * TICK_S)
        count = chosen
        found.append(count)
    return found


def changes(counts: list[int]) -> list[tuple[float, int]]:
    """When it changed, in seconds, and to what."""
    told: list[tuple[float, int]] = []
    for tick, count in enumerate(counts):
        if not told or told[-1][1] != count:
            told.append((tick * TICK_S, count))
    return told


def test_two_replicas_are_added_per_period() -> None:
    assert changes(run(Scaler.NORMAL, 3, [8] * 20)) == [(0, 5), (2, 7), (4, 8)]


def test_one_replica_is_removed_per_period_after_a_lull() -> None:
    wishes = [8, *[3] * 40]
    assert changes(run(Scaler.NORMAL, 6, wishes)) == [(0, 8), (2.5, 7), (4.5, 6), (6.5, 5),
                                                      (8.5, 4), (10.5, 3)]  # fmt: skip


def test_short_lull_removes_no_replica() -> None:
    assert set(run(Scaler.NORMAL, 6, [6, 3, 3, 6] * 10)) == {6}


def test_careless_autoscalers() -> None:
    wishes = [8] * 10 + [3] * 10
    assert changes(run(Scaler.HASTY, 3, wishes)) == [(0, 8), (5, 3)]
    assert changes(run(Scaler.GREEDY, 3, wishes))[:2] == [(0, 8), (7, 7)]
    assert changes(run(Scaler.OVERSHOOTING, 6, [6, *[3] * 14])) == [(0, 6), (2.5, 4), (4.5, 2),
                                                                    (6.5, 3)]  # fmt: skip
    assert set(run(Scaler.STUCK, 8, wishes)) == {8}
    assert set(run(Scaler.NONE, 3, wishes)) == {3}
    assert changes(run(Scaler.SLOW, 3, wishes)) == [(0, 5)]


def test_missing_haproxy_has_a_reason_and_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(program: Program) -> str:
        raise AbsentError("haproxy is not installed", remedy=program.remedy)

    monkeypatch.setattr(programs, "get", absent)
    with Guardian() as guardian:
        why = starting.start_fleet("", "1.5.0", tmp_path / "fleet", guardian)
    assert why == "haproxy is not installed. apt-get install haproxy"
    assert not list(tmp_path.iterdir())
