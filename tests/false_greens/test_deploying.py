"""M8 to M11: how deployment drills have passed what they must not, and that these do not."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from readiness.areas.deployment.drill.change import Change
from readiness.areas.deployment.judging import judge_requests
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import MODES, UNANSWERED, Plan, Sample
from readiness.model.errors import NoData
from readiness.model.evidence import CheckFailed, Evidence
from tests.support.drilled_target import NEW, OLD, DrilledTarget, drilled_target
from tests.support.small_servers import Reply

PLAN = Plan(url="http://shop/version", rate_per_s=50)
OUTAGE_S, WHOLE_S = 9, 180


def change(
    *,
    problem: Callable[[float], str] = lambda _: "",
    late_s: float = 0,
    version: Callable[[float], str] = lambda at: OLD if at < WHOLE_S / 2 else NEW,
) -> Change:
    """Three minutes of a change, by what became of the request due at each second."""
    samples = tuple(
        Sample(slot, MODES[slot % 2], at, at + late_s, at + late_s + 0.01, 200, problem(at),
               "" if problem(at) else version(at))
        for slot in range(WHOLE_S * 50)
        for at in [slot / 50]
    )  # fmt: skip
    return Change(
        name=f"deploy {NEW}", before=OLD, goal=NEW, back=False, began=0.0, command_s=90.0, status=0,
        problem="", ended=float(WHOLE_S), steady_s=10.0, state=None, counts=(),
        seen=Observation(PLAN, samples, ()),
    )  # fmt: skip


def judged(found: Change) -> Evidence:
    evidence = Evidence()
    judge_requests(found, evidence)
    return evidence


@pytest.fixture
def target(tmp_path: Path) -> Iterator[DrilledTarget]:
    with drilled_target(tmp_path) as running:
        yield running


def test_a_good_change_passes() -> None:
    good = change()
    good.must_be_whole()
    judged(good).conclude()


def test_m8_an_outage_of_5_percent_of_the_time_fails() -> None:
    outage = judged(change(problem=lambda at: "refused" if 80 <= at < 80 + OUTAGE_S else ""))
    figures = {m.name: m.value for m in outage.measurements}
    assert figures[f"failed requests, deploy {NEW}"] == OUTAGE_S * 50
    assert figures[f"longest gap, deploy {NEW}"] == pytest.approx(OUTAGE_S, abs=0.05)
    with pytest.raises(CheckFailed, match="450"):
        outage.conclude()


def test_m8_one_failed_request_of_nine_thousand_fails() -> None:
    with pytest.raises(CheckFailed, match="1 x refused"):
        judged(change(problem=lambda at: "refused" if at == 80 else "")).conclude()


def test_m9_a_restart_of_the_same_release_is_not_a_deployment() -> None:
    for release in (OLD, NEW):
        restart = change(version=lambda _, release=release: release)  # type: ignore[misc]
        with pytest.raises(NoData, match="never answered: the release did not change"):
            restart.must_be_whole()


def test_m9_a_service_that_always_reports_the_new_release_is_an_error(
    target: DrilledTarget,
) -> None:
    """Its answers are cached, or the balancer reports its own release."""
    target = target.again(change_within_s="3")
    target.server.routes["/version"] = Reply(f'{{"version": "{NEW}"}}')
    first = target.drill().changes[0]
    with pytest.raises(NoData, match="stopped, and the release restored"):
        first.must_be_whole()


def test_m10_a_starved_prober_is_an_error() -> None:
    with pytest.raises(NoData, match="starved"):
        change(late_s=0.2).must_be_whole()


def test_m11_a_stall_that_outlasts_the_time_out_is_a_failure() -> None:
    stall = judged(change(problem=lambda at: UNANSWERED if 80 <= at < 80.5 else ""))
    with pytest.raises(CheckFailed, match=UNANSWERED):
        stall.conclude()


def test_m11_a_change_that_takes_too_long_is_an_error(target: DrilledTarget) -> None:
    target = target.again(change_within_s="2")
    target.behave("hang")
    broken = target.drill().changes[-1]
    assert "not complete after 2 s" in broken.problem
    with pytest.raises(NoData, match="stopped, and the release restored"):
        broken.must_be_whole()
    assert target.version == NEW
