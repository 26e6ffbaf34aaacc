"""Judges drills of deployments, and shows them: timelines, charts, and what would improve."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from readiness.areas.deployment.adapters.adapter import State
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.drill.bad_release import BadRelease
from readiness.areas.deployment.drill.change import IN_A_ROW, Change
from readiness.areas.deployment.drill.drill import Drilled
from readiness.lib.prober.judging import asked, figure, judge_served, lost
from readiness.lib.prober.observation import (
    Observation,
    Slots,
    answers,
    dips,
    failed,
    failures,
    replicas,
    since,
)
from readiness.lib.text import listed
from readiness.model.course import Band, Course
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement, Moment, at_least, equal_to


def timeline(drilled: Drilled, needed: int) -> tuple[Moment, ...]:
    """The moments of a drill, in order, in seconds since its first request."""
    began = drilled.whole.samples[0].due
    moments = [Moment(began, f"steady: release {drilled.origin} answers", good=True)]
    for change in drilled.changes:
        moments += _of_change(change)
    moments += dips(drilled.counts, needed)
    moments += failures(drilled.whole)
    restored = drilled.restored
    if not restored.already:
        took_s = restored.arrived - restored.began
        label = f"restored: only {drilled.origin} answers after {took_s:.2f} s"
        moments.append(Moment(restored.began, label))
    return tuple(sorted(since(began, moments), key=lambda moment: moment.at_s))


def timeline_of_bad(done: BadRelease) -> tuple[Moment, ...]:
    """The moments of a bad release, in seconds since the command that deployed it."""
    moments = [Moment(0.0, f"deploy {done.bad}: the command starts", good=True)]
    if done.noticed_s is not None:
        moments.append(Moment(done.noticed_s, "users notice it", good=False))
    if done.command_s is not None:
        moments.append(Moment(done.command_s, f"the command exits with {done.status}"))
    if done.over_s is not None:
        moments.append(Moment(done.over_s, "all is as before", good=True))
    return tuple(sorted(moments, key=lambda moment: moment.at_s))


def _of_change(change: Change) -> Iterator[Moment]:
    """On the clock of the record, in one sentence; the chart shows the order."""
    yield Moment(change.began, f"{change.name}: {', '.join(_steps(change))}")
    if change.problem:
        yield Moment(change.ended, f"{change.name}: stopped, {change.problem}")


def _steps(change: Change) -> Iterator[str]:
    """What users and the tool saw, in order."""
    last = None if change.problem else change.last_before_s
    if change.first_seen_s is None:
        yield f"{change.goal} never answers"
    ends = (
        (change.first_seen_s, f"{change.goal} answers"),
        (last, f"{change.before} for the last time"),
        (change.command_s, "the command ends"),
    )
    for at_s, what in sorted((at_s, what) for at_s, what in ends if at_s is not None):
        yield f"{what} after {at_s:.2f} s"


def course(drilled: Drilled, needed: int) -> Course:
    """The chart of a drill, in seconds since its first request."""
    whole = drilled.whole
    slots = Slots.of(whole)
    tracks = (
        answers(whole, slots),
        failed(whole, slots),
        *replicas(drilled.counts, slots, needed, f"{needed} needed"),
    )
    return Course(slots.step_s, tuple(_bands(drilled)), tracks, better(drilled, needed))


def course_of_bad(done: BadRelease) -> Course | None:
    """The chart of a bad release since its deployment; None if no request was sent."""
    if not done.seen.samples:
        return None
    slots = Slots.of(done.seen)
    end_s = slots.step_s * slots.count
    over_s = end_s if done.over_s is None else done.over_s
    bands = [Band(0.0, over_s, f"deploy {done.bad}")]
    if over_s < end_s:
        bands.append(Band(over_s, end_s, "as before"))
    tracks = (answers(done.seen, slots), failed(done.seen, slots))
    return Course(slots.step_s, tuple(bands), tracks, better_automation(done))


def _bands(drilled: Drilled) -> Iterator[Band]:
    """A change lasts until the next one begins, or until it was stopped."""
    samples, changes, restored = drilled.whole.samples, drilled.changes, drilled.restored
    began, end_s = samples[0].due, samples[-1].due - samples[0].due
    begins = [change.began - began for change in changes]
    yield Band(0.0, begins[0], "steady")
    for change, begin_s, next_s in zip(changes, begins, [*begins[1:], end_s], strict=True):
        yield Band(begin_s, change.ended - began if change.problem else next_s, change.name)
    if not restored.already:
        yield Band(restored.began - began, end_s, f"restore {drilled.origin}")


_FIRST_A_NEW_ONE = "start a new replica before an old one is stopped (maxUnavailable 0, maxSurge 1)"


def better(drilled: Drilled, needed: int) -> tuple[str, ...]:
    """What would improve a deployment; nothing if the prober was starved."""
    found = (*_broken(drilled), *lost(_stretches(drilled)), *_few(drilled, needed))
    if found or drilled.whole.starved or drilled.whole.failed:
        return found
    return ("nothing: no request was lost", *_slowest(drilled))


def better_automation(done: BadRelease) -> tuple[str, ...]:
    """What would improve the automatic rollback."""
    shown = sum(sample.version == done.bad for sample in done.seen.samples)
    errors = sum(sample.failed and sample.status > 0 for sample in done.seen.samples)
    found = []
    if done.problem:
        found.append(
            f"the target did not roll {done.bad} back: do so automatically when the new release"
            " answers with errors"
        )
    if shown or errors:
        found.append(
            f"{errors} requests were answered with errors, and {shown} by {done.bad}: send no user"
            " to a new replica before it answers well what users ask"
        )
    if found or done.seen.failed or done.seen.starved:
        return tuple(found)
    return (f"nothing: {done.bad} reached no user, and was rolled back after {done.over_s:.1f} s",)


def _stretches(drilled: Drilled) -> dict[str, Observation]:
    found = {change.name: change.seen for change in drilled.changes}
    if not drilled.restored.already:
        found["restore"] = drilled.whole.between(drilled.changes[-1].ended)
    return found


def _broken(drilled: Drilled) -> Iterator[str]:
    for change in drilled.changes:
        if change.problem:
            yield f"{change.name} did not complete: {change.problem}"


def _few(drilled: Drilled, needed: int) -> Iterator[str]:
    least = {c.name: min((n for _, n in c.counts), default=needed) for c in drilled.changes}
    short = [f"{name} ({count} of {needed})" for name, count in least.items() if count < needed]
    if short:
        yield f"{', '.join(short)}: fewer replicas than needed: {_FIRST_A_NEW_ONE}"


def _slowest(drilled: Drilled) -> Iterator[str]:
    """Which change took longest, and which part of it."""
    known = [(marks[-1][0], change.name, marks) for change in drilled.changes
             if (marks := _marks(change))]  # fmt: skip
    if known:
        took_s, name, marks = max(known)
        part_s, (_, begin), (_, end) = max(
            ((b[0] - a[0], a, b) for a, b in pairwise(marks)), key=lambda part: part[0]
        )
        yield (
            f"the slowest change was {name}, {took_s:.1f} s, of which {part_s:.1f} s were between"
            f" {begin} and {end}"
        )


def _marks(change: Change) -> list[tuple[float, str]]:
    """The steps of a change, in order; empty if it did not complete."""
    ends = (
        (change.first_seen_s, f"the first answer of {change.goal}"),
        (change.last_before_s, f"the last one of {change.before}"),
        (change.command_s, "the end of the command"),
    )
    known = sorted((at_s, what) for at_s, what in ends if at_s is not None)
    return [(0.0, "the command"), *known] if len(known) == len(ends) else []


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
