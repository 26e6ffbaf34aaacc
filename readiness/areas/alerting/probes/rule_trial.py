"""Tries loaded rules with promtool: do they fire where they must, and only there?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from readiness.areas.alerting.probes import promtool
from readiness.areas.alerting.promql.bounds import Bound, Direction, bounds
from readiness.areas.alerting.promql.job_trial import job_trial_files
from readiness.areas.alerting.promql.series import Undrivable
from readiness.areas.alerting.promql.trial import Trial, Values, trial_files, values
from readiness.lib.patience import until
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Rule, Target
from readiness.model.errors import NoData

# After a start or a reload, targets appear once discovery has looked around: every 5 s.
_DISCOVERY_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a rule did.

    Attributes:
        tried: the values that it was tried at.
        subject: what was brought to them, as PromQL.
        fires: whether it fired where it must.
        quiet: whether it kept quiet where it must.
        quiet_at_bound: whether it kept quiet exactly at the bound; None where no series comes
            to lie exactly there.
        recovers: whether it ended once the value was good again.
    """

    tried: Values
    subject: str
    fires: bool
    quiet: bool
    quiet_at_bound: bool | None
    recovers: bool


def try_rule(
    alert: str,
    expression: str,
    *,
    for_s: float,
    interval_s: float,
    direction: Direction,
    required: float,
) -> Behaviour:
    """Try one rule, on series made for it.

    Args:
        alert: its name.
        expression: PromQL.
        for_s: seconds that it must hold.
        interval_s: seconds between two evaluations.
        direction: on which side of the bound it must fire.
        required: the bound that it must have, in the unit that the rule compares in.

    Raises:
        NoData: no series could be made that bring it there.
        CouldNotMeasure: see `promtool.run_tests`.
    """
    bound = _nearest(bounds(expression), direction, required, expression)
    tried = values(direction, required)
    trial = Trial(alert, expression, for_s, interval_s, bound)
    try:
        did = promtool.run_tests(trial_files(trial, tried))
    except Undrivable as problem:
        raise _undriven(problem.sentence, expression) from None
    if not (did["drive-bad.yml"] and did["drive-good.yml"]):
        raise _undriven("the made-up series did not give the value that was wanted", expression)
    exact = did["drive-exact.yml"] and direction != "equals"
    return Behaviour(
        tried=tried,
        subject=bound.subject,
        fires=did["fires-bad.yml"],
        quiet=not did["fires-good.yml"],
        quiet_at_bound=not did["fires-exact.yml"] if exact else None,
        recovers=did["recovers.yml"],
    )


def _nearest(
    found: tuple[Bound, ...], direction: Direction, required: float, expression: str
) -> Bound:
    """The comparison that is meant: of that direction, and with that figure, if there is one."""
    if not found:
        raise _undriven("it compares nothing with a number", expression)
    return min(found, key=lambda b: (b.direction != direction, b.value != required))


def _undriven(reason: str, expression: str) -> NoData:
    return NoData(
        f"the rule cannot be tried: {reason}",
        where=expression,
        remedy="compare one figure with a number (record what leads to it under a name of its own),"
        " or show by a drill that it fires, and declare the check not applicable in"
        " [gate.not_applicable] with that as the reason",
    )


@dataclass(frozen=True, slots=True)
class Loss:
    """What the rules do when a job is lost.

    Attributes:
        down: whether one fires when its targets are down.
        gone: whether one fires when it has no target any more.
    """

    down: bool
    gone: bool


def lose_job(prometheus: Prometheus, rules: Sequence[Rule], job: str) -> Loss:
    """Try all loaded alerting rules together on the loss of a job.

    Args:
        prometheus: whose targets there are.
        rules: the alerting rules.
        job: the job, as Prometheus calls it.

    Raises:
        NoData: the job has no target.
        CouldNotMeasure: see `promtool.run_tests`.
    """
    found = until(prometheus.targets, lambda seen: bool(_of(job, seen)), within_s=_DISCOVERY_S)
    own = _of(job, found)
    if not own:
        raise NoData(
            f"the job {job} has no target",
            where=f"{prometheus.url}/targets",
            remedy="see monitoring.scrape-jobs",
        )
    others = [t.labels for t in found if t.labels not in own]
    told = [{"alert": r.name, "expr": r.query, "for_s": r.for_s, "labels": r.labels} for r in rules]
    files = partial(job_trial_files, job=own[0].get("job", job), targets=own, others=others)
    did = promtool.run_tests(files(told))
    if not did["well.yml"]:
        # One that cannot be evaluated fires on nothing, and would end the trial of all others.
        alone = (promtool.run_tests(files([rule])) for rule in told)
        good = [rule for rule, tried in zip(told, alone, strict=True) if tried["well.yml"]]
        did = promtool.run_tests(files(good))
    return Loss(down=did["down.yml"], gone=did["gone.yml"])


def _of(job: str, targets: Sequence[Target]) -> list[dict[str, str]]:
    return [t.labels for t in targets if job in (t.pool, t.labels.get("job"))]
