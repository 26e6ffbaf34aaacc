"""What is made of the record of a change."""

from collections.abc import Sequence

import pytest

from readiness.areas.deployment.drill.change import IN_A_ROW, Change, tail
from readiness.areas.deployment.drill.chart import timeline
from readiness.areas.deployment.drill.drill import Drilled, legs
from readiness.areas.deployment.drill.restoring import Restored
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import MODES, Plan, Sample
from readiness.model.errors import NoData

PLAN = Plan(url="http://shop/version", rate_per_s=50)
OLD, NEW, LOST = "1.4.0", "1.5.0", ""


def seen(versions: Sequence[str]) -> Observation:
    """One request each 20 ms; what is LOST was refused."""
    samples = tuple(
        Sample(slot, MODES[slot % 2], slot / 50, slot / 50, slot / 50 + 0.01, 200,
               "" if version else "refused", version)
        for slot, version in enumerate(versions)
    )  # fmt: skip
    return Observation(PLAN, samples, ())


def change(versions: Sequence[str], *, problem: str = "") -> Change:
    return Change(
        name=f"deploy {NEW}", before=OLD, goal=NEW, back=False, began=0.2, told_s=1.0, status=0,
        problem=problem, ended=len(versions) / 50, steady_s=0.5, state=None,
        counts=((0.3, 3), (0.6, 2), (0.9, 3)), seen=seen(versions),
    )  # fmt: skip


GOOD = [OLD] * 20 + [OLD, NEW] * 10 + [NEW] * 60


def test_the_times_of_a_change() -> None:
    good = change(GOOD)
    assert good.first_seen_s == pytest.approx(21 / 50 + 0.01 - 0.2)
    assert good.arrived_s == pytest.approx(39 / 50 + 0.01 - 0.2)
    assert len(good.settled) == 61
    assert not good.others_in_the_end
    assert not good.strays
    good.must_be_whole()


def test_too_few_good_answers_are_no_arrival() -> None:
    few = change([OLD] * 20 + [NEW] * (IN_A_ROW - 1))
    assert few.arrived_s is None
    assert few.first_seen_s is not None


def test_one_old_answer_in_the_end_is_no_arrival() -> None:
    late = change([*GOOD, OLD])
    assert late.arrived_s is None
    assert [s.version for s in late.others_in_the_end] == [OLD]


def test_a_third_release_is_a_stray() -> None:
    assert [s.version for s in change([*GOOD, "2.0", *[NEW] * 40]).strays] == ["2.0"]


@pytest.mark.parametrize("versions", [[OLD] * 90, [NEW] * 90, []])
def test_without_both_releases_it_was_no_change(versions: list[str]) -> None:
    with pytest.raises(NoData, match="never answered"):
        change(versions).must_be_whole()


def test_what_was_broken_off_is_told_with_its_phase() -> None:
    with pytest.raises(NoData, match=r"deploy 1\.5\.0: the change was stopped.*hangs"):
        change(GOOD, problem="it hangs").must_be_whole()


def test_the_tail() -> None:
    assert tail([], NEW) == []
    assert len(tail(seen([NEW] * 3).samples, NEW)) == 3
    assert len(tail(seen([NEW, LOST, NEW]).samples, NEW)) == 1


@pytest.mark.parametrize("origin", [OLD, NEW])
def test_every_drill_deploys_rolls_back_deploys_and_ends_where_it_began(origin: str) -> None:
    found = list(legs(origin, NEW, OLD))
    assert [leg.before for leg in found] == [origin, *(leg.goal for leg in found[:-1])]
    assert found[-1].goal == origin
    there = [(leg.goal, leg.back) for leg in found]
    wanted = [(NEW, False), (OLD, True), (NEW, False)]
    assert wanted in [there[i : i + 3] for i in range(len(there))]
    assert len({leg.name for leg in found}) == len(found)


def test_the_story_of_a_drill() -> None:
    versions = [OLD] * 20 + [LOST] * 5 + [NEW] * 60
    broken = change(versions, problem="it hangs")
    drilled = Drilled(
        origin=OLD, given=seen([OLD] * 9), changes=(broken,), state=None, reads=(),
        row_problem=None, count_problem=None, counts=broken.counts, whole=seen(versions),
        restored=Restored(already=False, began=1.7, arrived=2.0, ended=3.0),
    )  # fmt: skip
    story = timeline(drilled, 3)
    assert [moment.at_s for moment in story] == sorted(moment.at_s for moment in story)
    told = [moment.label for moment in story]
    assert told[0] == "steady: release 1.4.0 answers"
    for label in (
        "requests fail: 5 x refused",
        "all answered",
        "too few replicas serve for 0.3 s: at worst 2 of 3",
        "deploy 1.5.0: 1.5.0 answers after 0.31 s, the command ends after 1.00 s",
        "deploy 1.5.0: stopped, it hangs",
        "restored: only 1.4.0 answers after 0.30 s",
    ):
        assert label in told
