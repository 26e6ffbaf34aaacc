"""Tests of all rules at once: what fires when the targets of a job are down, or are gone."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from readiness.areas.alerting.promql.drive import Inputs
from readiness.areas.alerting.promql.selectors import Selector, selectors
from readiness.areas.alerting.promql.series import Key, Line, Undrivable, key_for
from readiness.areas.alerting.promql.trial import Files, control, written_test

_STEP_S: Final = 15.0
_SETTLING_S: Final = 600.0
_LONGEST_FOR_S: Final = 3600.0
_SLACK_STEPS: Final = 8
_FIRING: Final = 'ALERTS{alertstate="firing"}'


def job_trial_files(
    rules: Sequence[Mapping[str, object]],
    job: str,
    targets: Sequence[Mapping[str, str]],
    others: Sequence[Mapping[str, str]],
) -> Files:
    """Tests whether some rule fires that did not while all was well.

    Args:
        rules: the alerting rules, as `alert`, `expr`, `for_s` and `labels`.
        job: the job that is lost.
        targets: the labels of its targets, as `up` has them.
        others: those of all other targets, which stay up.

    Returns:
        `down.yml` passes if one fires when the targets are down, `gone.yml` if one does when
        there is no `up` of the job any more, `well.yml` if the rules can be evaluated at all
        while nothing is wrong. A rule that waits longer than an hour is too late.
    """
    waits = [float(str(rule["for_s"])) for rule in rules]
    patience = max((w for w in waits if w <= _LONGEST_FOR_S), default=0.0)
    # Well for as long, so that what fires all the time has begun to.
    settled = -(-(patience + _SETTLING_S) // _STEP_S) * _STEP_S
    end = settled + -(-patience // _STEP_S) * _STEP_S + _SLACK_STEPS * _STEP_S
    up = {_up(labels): Line(1.0) for labels in [*targets, *others]}
    exported = {key: Line(1.0) for key in _series_of(rules, job, targets)}
    down = up | {_up(labels): Line(0.0) for labels in targets}
    gone = {key: line for key, line in up.items() if key not in {_up(t) for t in targets}}
    before = end - settled
    new = f"count({_FIRING} unless {_FIRING} offset {round(before)}s) > bool 0"
    files = control([_rule(rule) for rule in rules], _STEP_S)
    well: list[tuple[Inputs, float]] = [(up | exported, settled)]
    files["well.yml"] = written_test(_STEP_S, well, {"vector(1)": (settled, 1)}, rules=True)
    for name, after in (("down.yml", down), ("gone.yml", gone)):
        stretches: list[tuple[Inputs, float]] = [(up | exported, settled), (after, end)]
        files[name] = written_test(_STEP_S, stretches, {new: (end, 1)}, rules=True, ends=True)
    return files


def _rule(rule: Mapping[str, object]) -> dict[str, object]:
    seconds = float(str(rule["for_s"]))
    return {
        "alert": rule["alert"],
        "expr": rule["expr"],
        "for": f"{round(seconds * 1000)}ms",
        "labels": rule["labels"],
    }


def _up(labels: Mapping[str, str]) -> Key:
    return Key("up", tuple(sorted(labels.items())))


def _series_of(
    rules: Iterable[Mapping[str, object]], job: str, targets: Sequence[Mapping[str, str]]
) -> Iterable[Key]:
    """What the job exports, as far as rules ask for it by its name: it ends with its targets."""
    for rule in rules:
        for selector in selectors(str(rule["expr"])):
            if selector.metric not in {"up", ""} and _asks_for(selector, job):
                try:
                    yield key_for(selector, targets[0])
                except Undrivable:
                    continue  # a series less makes no rule fire that would not


def _asks_for(selector: Selector, job: str) -> bool:
    return any(m.name == "job" and m.op in {"=", "=~"} and m.holds(job) for m in selector.matches)
