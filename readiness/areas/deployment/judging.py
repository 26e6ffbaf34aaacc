"""Judges drills of deployments: what several checks judge by the same figures."""

from collections.abc import Sequence

from readiness.areas.deployment.adapters.adapter import State
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.drill.bad_release import BadRelease
from readiness.areas.deployment.drill.change import IN_A_ROW, Change
from readiness.areas.deployment.drill.chart import course, course_of_bad, timeline, timeline_of_bad
from readiness.areas.deployment.drill.drill import Drilled
from readiness.lib.prober.judging import asked, figure, judge_served
from readiness.lib.text import listed
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement, at_least, equal_to


def drill_summary(drilled: Drilled, settings: Deployment) -> Measurement:
    """The duration of the drill, with its timeline and chart."""
    whole = drilled.whole
    seconds = whole.samples[-1].due - whole.samples[0].due
    return Measurement(
        "drill: deploy and roll back", seconds, "s", whole.plan.url, samples=len(whole.samples),
        timeline=timeline(drilled, settings.replicas),
        course=course(drilled, settings.replicas),
    )  # fmt: skip


def summary_of_bad_release(done: BadRelease) -> Measurement:
    """How long the bad release was watched, with its timeline and chart."""
    seen, source = done.seen, f"deploy {done.bad}"
    seconds = seen.samples[-1].due - seen.samples[0].due if seen.samples else 0.0
    return Measurement(
        "drill: a bad release", seconds, "s", source, samples=len(seen.samples),
        timeline=timeline_of_bad(done), course=course_of_bad(done),
    )  # fmt: skip


def record_restoring(drilled: Drilled, evidence: Evidence) -> None:
    """How long it took until a failing change was noticed, stopped and reverted."""
    restored, last = drilled.restored, drilled.changes[-1]
    if not last.problem or restored.already:
        return
    wrong = [s for s in last.seen.samples if s.failed]
    if wrong:
        evidence.record(
            figure("time until a request failed", wrong[0].ended - last.began, "s", last.name)
        )
    for name, value_s in (
        ("time until the change was stopped", last.ended - last.began),
        ("time to restore", restored.arrived - restored.began),
        ("time until restored for certain", restored.ended - restored.began),
    ):
        evidence.record(figure(name, value_s, "s", last.name))


def deployments(drilled: Drilled) -> list[Change]:
    """The changes that were made by a deployment."""
    return [change for change in drilled.changes if not change.back]


def completed(drilled: Drilled, settings: Deployment) -> list[Change]:
    """The changes that completed.

    Raises:
        NoData: no deployment of the release under test is among them.
    """
    found = [change for change in drilled.changes if not change.problem]
    if not any(change.goal == settings.release and not change.back for change in found):
        raise broken_off(drilled)
    return found


def rollbacks(drilled: Drilled) -> list[Change]:
    """The changes that were made by a rollback.

    Raises:
        NoData: the drill ended before the first one.
    """
    found = [change for change in drilled.changes if change.back]
    if not found:
        raise broken_off(drilled)
    return found


def broken_off(drilled: Drilled) -> NoData:
    """Why the drill ended early."""
    last = drilled.changes[-1]
    return NoData(
        f"the drill was stopped here, and the release restored: {last.problem}",
        where=last.name,
        remedy="run the same command by hand, and see why it does not complete",
    )


def judge_requests(change: Change, evidence: Evidence) -> None:
    """Judge how users were served during one change."""
    judge_served(change.name, change.seen, evidence)
    name = f"answers of neither release, {change.name}"
    evidence.judge(
        "wrong-release",
        figure(name, len(change.strays), "count", asked(change.seen)),
        equal_to(0),
        listed(dict.fromkeys(s.version or "no release" for s in change.strays)),
        says=f"{change.name}: {len(change.strays)} answers were from neither release",
    )


def judge_arrival(
    change: Change, settings: Deployment, evidence: Evidence, *, key: str = ""
) -> None:
    """Judge the exit status, and which release and replicas answer in the end.

    Args:
        change: it may have been stopped.
        settings: how many replicas are needed.
        evidence: receives the judgements.
        key: the judgement that all of this decides; by default each part has its own.
    """
    name, source = change.name, asked(change.seen)
    status = "none" if change.status is None else str(change.status)
    evidence.judge(
        key or "exit-status",
        Measurement(f"exit status, {name}", status, "status", "the tool"),
        equal_to("0"),
        says=f"{name}: {change.problem or f'the command ended with {status}'}",
    )
    others = change.others_in_the_end
    arrived = evidence.judge(
        key or "arrival",
        figure(f"last answers not of {change.goal}, {name}", len(others), "count", source),
        equal_to(0),
        listed(dict.fromkeys(s.problem or f"release {s.version}" for s in others)),
        says=f"{name}: {len(others)} of the last answers were not from {change.goal}",
    )
    if arrived:
        evidence.judge(
            key or "arrival",
            figure(f"good answers in a row, {name}", len(change.settled), "count", source),
            at_least(IN_A_ROW),
            change.problem,
        )
    if settings.replica_header and not change.problem:
        answering = change.after.replicas
        header = f"header {settings.replica_header}"
        evidence.judge(
            key or "replicas",
            figure(f"replicas that answer, {name}", len(answering), "count", header),
            at_least(settings.replicas, settings.deciding("replicas")),
            listed(answering),
            says=f"{name}: only {len(answering)} replicas answer",
        )


def judge_state(
    key: str,
    name: str,
    before: State | CouldNotMeasure | None,
    after: State | CouldNotMeasure | None,
    evidence: Evidence,
) -> None:
    """Compare the configuration that a release runs with to that of before.

    Raises:
        CouldNotMeasure: the tool does not print it.
    """
    known = known_state(before)
    found = differences(known, known_state(after))
    evidence.judge(
        key,
        figure(f"configuration keys that differ, {name}", len(found), "count", "state", len(known)),
        equal_to(0),
        listed(found),
        says=f"{name}: {len(found)} configuration keys differ from before",
    )


def known_state(state: State | CouldNotMeasure | None) -> State:
    """The configuration that a release runs with.

    Raises:
        CouldNotMeasure: the tool does not print it.
    """
    if isinstance(state, CouldNotMeasure):
        raise state
    if not state:
        raise NoData(
            "no command prints what the release runs with", where="[deployment.command] state"
        )
    return state


def differences(before: State, after: State) -> Sequence[str]:
    """The keys whose values differ, or that are only on one side."""
    keys = sorted(before.keys() | after.keys())
    return [key for key in keys if before.get(key) != after.get(key)]
