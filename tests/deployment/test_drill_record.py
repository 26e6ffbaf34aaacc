"""What is computed from the record of a drill: its changes, timeline, chart and advice."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from readiness.areas.deployment.drill.bad_release import BadRelease
from readiness.areas.deployment.drill.change import IN_A_ROW, Change, tail
from readiness.areas.deployment.drill.drill import Drilled, legs
from readiness.areas.deployment.drill.restoring import Restored
from readiness.areas.deployment.judging import (
    better,
    better_automation,
    course,
    course_of_bad,
    timeline,
    timeline_of_bad,
)
from readiness.lib.prober.observation import Observation, Slots, replicas
from readiness.lib.prober.plan import MODES, Hangup, Plan, Sample
from readiness.model.course import MOST_SLOTS, Track
from readiness.model.errors import NoData

OLD, NEW, BAD, LOST = "1.4.0", "1.5.0", "1.6.0-bad", ""
PLAN = Plan(url="http://shop/version", rate_per_s=50)
AWAY = Restored(already=False, began=4.1, arrived=4.5, ended=5)
GOOD = [OLD] * 50 + [OLD, NEW] * 25 + [NEW] * 100


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
        name=f"deploy {NEW}", before=OLD, goal=NEW, back=False, began=0.2, command_s=1.0, status=0,
        problem=problem, ended=len(versions) / 50, steady_s=0.5, state=None,
        counts=((0.3, 3), (0.6, 2), (0.9, 3)), seen=seen(versions),
    )  # fmt: skip


def drilled_by(change: Change, restored: Restored) -> Drilled:
    return Drilled(
        origin=OLD, given=seen([OLD] * 9), changes=(change,), state=None, reads=(),
        row_problem=None, count_problem=None, counts=change.counts, whole=change.seen,
        restored=restored,
    )  # fmt: skip


ARRIVED = [OLD] * 20 + [OLD, NEW] * 10 + [NEW] * 60


def test_the_times_of_a_change() -> None:
    good = change(ARRIVED)
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


def test_one_old_answer_at_the_end_is_no_arrival() -> None:
    late = change([*ARRIVED, OLD])
    assert late.arrived_s is None
    assert [s.version for s in late.others_in_the_end] == [OLD]


def test_answer_of_a_third_release_is_found() -> None:
    assert [s.version for s in change([*ARRIVED, "2.0", *[NEW] * 40]).strays] == ["2.0"]


@pytest.mark.parametrize("versions", [[OLD] * 90, [NEW] * 90, []])
def test_a_change_needs_answers_of_both_releases(versions: list[str]) -> None:
    with pytest.raises(NoData, match="never answered"):
        change(versions).must_be_whole()


def test_a_stopped_change_names_its_phase() -> None:
    with pytest.raises(NoData, match=r"deploy 1\.5\.0: the change was stopped.*hangs"):
        change(ARRIVED, problem="it hangs").must_be_whole()


def test_the_tail_has_good_answers_of_one_release() -> None:
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


def test_the_timeline_of_a_drill() -> None:
    broken = change([OLD] * 20 + [LOST] * 5 + [NEW] * 60, problem="it hangs")
    restored = Restored(already=False, began=1.7, arrived=2.0, ended=3.0)
    story = timeline(drilled_by(broken, restored), 3)
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


def drilled(
    versions: Sequence[str],
    *,
    counts: tuple[tuple[float, int], ...] = ((0.0, 3), (3.0, 3)),
    problem: str = "",
    restored: Restored | None = None,
) -> Drilled:
    made = replace(change(versions, problem=problem), began=0.8, command_s=1.5, counts=counts)
    return drilled_by(made, restored or Restored.untouched())


def track(tracks: Sequence[Track], name: str) -> Track:
    return next(found for found in tracks if found.name == name)


def test_each_request_is_in_one_slot_under_the_release_that_answered() -> None:
    found = course(drilled(GOOD), 3)
    parts = track(found.tracks, "answers by release").series
    assert [part.name for part in parts] == [OLD, NEW]
    totals = [sum(filter(None, part.values)) for part in parts]
    assert totals == [GOOD.count(OLD), GOOD.count(NEW)]
    each = {a + b for a, b in zip(parts[0].values, parts[1].values, strict=True)}  # type: ignore[operator]
    assert len(each) == 1


def test_failed_requests_are_no_answers() -> None:
    found = course(drilled([OLD] * 100 + [LOST] * 7 + [NEW] * 93), 3)
    answers = track(found.tracks, "answers by release").series
    failed = track(found.tracks, "failed requests").series[0].values
    assert sum(filter(None, failed)) == 7
    assert [part.name for part in answers] == [OLD, NEW]
    assert 2.0 / found.step_s <= next(i for i, v in enumerate(failed) if v) + 1


def test_answers_without_a_release_are_shown_as_such() -> None:
    whole = seen([OLD] * 20)
    whole = replace(whole, samples=tuple(replace(s, version="") for s in whole.samples))
    found = course(replace(drilled(GOOD), whole=whole), 3)
    assert [p.name for p in track(found.tracks, "answers by release").series] == ["no release"]


def test_the_bands_end_with_the_restore() -> None:
    broken = drilled(GOOD, problem="it hangs", restored=AWAY)
    assert [band.label for band in course(broken, 3).bands] == [
        "steady", f"deploy {NEW}", f"restore {OLD}",
    ]  # fmt: skip
    assert [band.label for band in course(drilled(GOOD), 3).bands] == ["steady", f"deploy {NEW}"]


def test_a_slot_shows_its_fewest_replicas() -> None:
    slots = Slots(0.0, 1.0, 6)
    found = replicas(((1.0, 3), (2.2, 2), (2.4, 3), (4.0, 3)), slots, 3, "3 needed")[0]
    assert found.series[0].values == (None, 3, 2, 3, 3, None)
    assert (found.limit, found.limit_label) == (3, "3 needed")
    assert replicas((), slots, 3, "") == []


@pytest.mark.parametrize("requests", [1, 7, 119, 1200, 30_000])
def test_there_are_never_too_many_slots_and_none_is_lost(requests: int) -> None:
    slots = Slots.of(seen([OLD] * requests))
    assert 1 <= slots.count <= MOST_SLOTS
    assert slots.count * slots.step_s * 50 >= requests - 1e-6
    assert slots.index(-1) == 0
    assert slots.index(1e9) == slots.count - 1


def test_no_advice_where_no_request_was_lost() -> None:
    nothing, slowest = better(drilled(GOOD), 3)
    assert nothing == "nothing: no request was lost"
    assert slowest == (
        "the slowest change was deploy 1.5.0, 1.5 s, of which 0.9 s were between"
        " the first answer of 1.5.0 and the last one of 1.4.0"
    )


def test_the_slowest_part_may_be_the_start() -> None:
    found = better(drilled([OLD] * 110 + [OLD, NEW] * 2 + [NEW] * 50), 3)
    assert found[1].endswith("1.4 s were between the command and the first answer of 1.5.0")


@pytest.mark.parametrize(
    ("versions", "words"),
    [
        ([OLD] * 50 + [LOST] * 20 + [NEW] * 50, "no request was served for a while: start the new"),
        (
            [OLD] * 50 + [LOST, LOST, OLD, OLD, OLD, OLD] * 5 + [NEW] * 50,
            "requests were sent to replicas that",
        ),
    ],
)
def test_failures_come_with_their_number_and_their_remedy(versions: list[str], words: str) -> None:
    found = better(drilled(versions), 3)
    assert len(found) == 1
    assert found[0].startswith(f"deploy {NEW} ({versions.count(LOST)} failed): ")
    assert words in found[0]


def test_closed_connections_are_reported_without_lost_requests() -> None:
    done = drilled(GOOD)
    change = done.changes[0]
    hung = replace(change.seen, hangups=(Hangup(1.0, idle=True),))
    (found,) = better(replace(done, changes=(replace(change, seen=hung),)), 3)
    assert found.startswith(f"deploy {NEW}: kept connections were closed without notice")
    assert "failed" not in found


def test_too_few_replicas_are_reported() -> None:
    (found,) = better(drilled(GOOD, counts=((0.5, 3), (1.0, 2), (2.0, 3))), 3)
    assert found.startswith(f"deploy {NEW} (2 of 3): fewer replicas than needed")


def test_a_stopped_change_is_named_first() -> None:
    versions = [OLD] * 50 + [LOST] * 30 + [OLD] * 170
    found = better(drilled(versions, problem="it hangs", restored=AWAY), 3)
    assert found[0] == f"deploy {NEW} did not complete: it hangs"
    assert "no request was served" in found[1]


def test_a_starved_prober_gives_no_advice() -> None:
    whole = seen(GOOD)
    late = replace(whole, samples=tuple(replace(s, sent=s.due + 1) for s in whole.samples))
    assert late.starved
    assert better(replace(drilled(GOOD), whole=late), 3) == ()


def test_the_timeline_names_each_dip_once() -> None:
    counts = ((0.0, 3), (1.0, 1), (2.0, 2), (3.0, 3), (4.0, 0))
    told = {m.at_s: m.label for m in timeline(drilled(GOOD, counts=counts), 3)}
    assert told[1.0] == "too few replicas serve for 2.0 s: at worst 1 of 3"
    assert told[4.0] == "too few replicas serve to the end: at worst 0 of 3"
    assert len(told) == 4


def test_the_timeline_names_the_steps_in_order() -> None:
    versions = [OLD] * 45 + [LOST] * 20 + [NEW] * 60
    told = [moment.label for moment in timeline(drilled(versions), 3)]
    assert (
        "deploy 1.5.0: 1.4.0 for the last time after 0.09 s, 1.5.0 answers after 0.51 s,"
        " the command ends after 1.50 s"
    ) in told


def test_the_timeline_of_a_change_that_never_arrived() -> None:
    told = [moment.label for moment in timeline(drilled([OLD] * 100, problem="it hangs"), 3)]
    assert "deploy 1.5.0: 1.5.0 never answers, the command ends after 1.50 s" in told


def bad(versions: Sequence[str], *, problem: str = "") -> BadRelease:
    return BadRelease(
        origin=OLD, bad=BAD, noticed_s=0.6 if BAD in versions else None, command_s=0.8, status=1,
        over_s=None if problem else 0.9, problem=problem, restored=Restored.untouched(),
        seen=seen(versions),
    )  # fmt: skip


def test_bad_release_that_reached_no_user_needs_no_improvement() -> None:
    done = bad([OLD] * 100)
    found = course_of_bad(done)
    assert found
    assert [band.label for band in found.bands] == [f"deploy {BAD}", "as before"]
    assert found.better == (f"nothing: {BAD} reached no user, and was rolled back after 0.9 s",)
    assert [m.label for m in timeline_of_bad(done)] == [
        f"deploy {BAD}: the command starts", "the command exits with 1",
        "all is as before",
    ]  # fmt: skip


def test_bad_release_that_stayed_is_explained() -> None:
    done = bad([OLD] * 30 + [BAD] * 10 + [LOST] * 10, problem="not complete after 5 s")
    found = course_of_bad(done)
    assert found
    assert [band.label for band in found.bands] == [f"deploy {BAD}"]
    first, second = better_automation(done)
    assert first.startswith(f"the target did not roll {BAD} back")
    assert second.startswith(
        f"10 requests were answered with errors, and 10 by {BAD}: send no user"
    )


def test_no_chart_without_requests() -> None:
    assert course_of_bad(bad([])) is None
    with pytest.raises(NoData):
        bad([]).seen.must_be_fair()
