"""How a drill is judged: what several of its checks hold against the same figures."""

from collections.abc import Sequence

from readiness.areas.deployment.adapters.adapter import State
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.drill.change import Change
from readiness.areas.deployment.drill.course import course
from readiness.areas.deployment.drill.drill import Drilled
from readiness.areas.deployment.drill.timeline import timeline
from readiness.lib.prober.judging import asked, figure, judge_served
from readiness.lib.text import listed
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement, at_least, equal_to


def story(drilled: Drilled, settings: Deployment) -> Measurement:
    """How long the drill took, with the story of it and its picture."""
    whole = drilled.whole
    seconds = whole.samples[-1].due - whole.samples[0].due
    return Measurement(
        "drill: deploy and roll back", seconds, "s", whole.plan.url, samples=len(whole.samples),
        timeline=timeline(drilled, settings.replicas),
        course=course(drilled, settings.replicas),
    )  # fmt: skip


def record_putting_back(drilled: Drilled, evidence: Evidence) -> None:
    """How long it took, where a drill was broken off, until it was seen, decided and put back."""
    restored, last = drilled.restored, drilled.changes[-1]
    if not last.problem or restored.already:
        return
    wrong = [s for s in last.seen.samples if s.failed]
    if wrong:
        evidence.record(
            figure("time until it was seen", wrong[0].ended - last.began, "s", last.name)
        )
    for name, value_s in (
        ("time until it was decided", last.ended - last.began),
        ("time to put it back", restored.arrived - restored.began),
        ("time to be sure of it", restored.ended - restored.began),
    ):
        evidence.record(figure(name, value_s, "s", last.name))


def deployed(drilled: Drilled) -> list[Change]:
    """The changes by the way of deployments."""
    return [change for change in drilled.changes if not change.back]


def whole(drilled: Drilled, settings: Deployment) -> list[Change]:
    """The changes that came to their end, among them one to the release that is judged.

    Raises:
        NoData: there is none.
    """
    whole = [change for change in drilled.changes if not change.problem]
    if not any(change.goal == settings.release and not change.back for change in whole):
        raise broken_off(drilled)
    return whole


def rolled_back(drilled: Drilled) -> list[Change]:
    """The changes by the way back.

    Raises:
        NoData: the drill did not come so far.
    """
    first_rolled_back(drilled)
    return [change for change in drilled.changes if change.back]


def first_rolled_back(drilled: Drilled) -> Change:
    """The first change by the way back; raises as `rolled_back`."""
    for change in drilled.changes:
        if change.back:
            return change
    raise broken_off(drilled)


def broken_off(drilled: Drilled) -> NoData:
    """Why there is no more of the drill."""
    last = drilled.changes[-1]
    return NoData(
        f"the drill was broken off before, and everything put back: {last.problem}",
        where=last.name,
        remedy="do the same by hand, and see why it does not come to its end",
    )


def judge_requests(change: Change, evidence: Evidence) -> None:
    """What users saw of one change."""
    judge_served(change.name, change.seen, evidence)
    evidence.judge(
        "answers-neither-release",
        figure(
            f"answers of neither release, {change.name}",
            len(change.strays),
            "count",
            asked(change.seen),
        ),
        equal_to(0),
        listed(dict.fromkeys(s.version or "no release" for s in change.strays)),
    )


def judge_arrival(change: Change, settings: Deployment, evidence: Evidence) -> None:
    """Who answers in the end, and what the tool had said."""
    status = "none" if change.status is None else str(change.status)
    evidence.judge(
        "exit-status",
        Measurement(f"exit status, {change.name}", status, "status", "the tool"),
        equal_to("0"),
        change.problem,
    )
    others = change.others_in_the_end
    evidence.judge(
        "answers-others-end",
        figure(
            f"answers of others in the end, {change.name}", len(others), "count", asked(change.seen)
        ),
        equal_to(0),
        listed(dict.fromkeys(s.problem or f"release {s.version}" for s in others)),
    )
    if settings.replica_header and not change.problem:
        evidence.judge(
            "replicas-answer",
            figure(
                f"replicas that answer, {change.name}",
                len(change.after.replicas),
                "count",
                f"header {settings.replica_header}",
            ),
            at_least(settings.replicas),
            listed(change.after.replicas),
        )


def judge_state(
    name: str,
    before: State | CouldNotMeasure | None,
    after: State | CouldNotMeasure | None,
    evidence: Evidence,
) -> None:
    """Hold what a release runs with against what it ran with.

    Raises:
        CouldNotMeasure: nobody told.
    """
    known = told(before)
    found = differences(known, told(after))
    evidence.judge(
        "name",
        Measurement(name, len(found), "count", "state", samples=len(known)),
        equal_to(0),
        listed(found),
    )


def told(state: State | CouldNotMeasure | None) -> State:
    """What a release runs with.

    Raises:
        CouldNotMeasure: nobody told.
    """
    if isinstance(state, CouldNotMeasure):
        raise state
    if not state:
        raise NoData("nobody tells what the release runs with", where="[deployment.command] state")
    return state


def differences(before: State, after: State) -> Sequence[str]:
    """The keys whose values differ, or that are only on one side."""
    keys = sorted(before.keys() | after.keys())
    return [key for key in keys if before.get(key) != after.get(key)]
