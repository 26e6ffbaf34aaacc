"""Whether an alert tells the person whom it wakes what it is, and what to do."""

from collections.abc import Iterator, Sequence
from typing import Final

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.alerting.probes import rule_trial, rules, runbooks
from readiness.areas.alerting.promql import possible_labels, referenced_labels
from readiness.config.base.watching import Job
from readiness.config.base.watching import Prometheus as Settings
from readiness.config.models import Config
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Rule
from readiness.model.errors import NoData, Unreachable

_SHOWN: Final = 5
_NO_SEVERITY: Final = "none"
_TEMPLATE: Final = "{{"  # only the alert tells what becomes of it
_RULES: Final = "GET /api/v1/rules"


@check(
    "alerting.rule-metadata",
    title="Each alert has an agreed severity, a summary, and a runbook that is there",
    why="""A severity with a typing error matches no route, and ends in the mailbox that nobody
    reads. Whoever is woken at night needs to know what is wrong, and the link to what to do; a
    link to a page that was moved, or `<no value>` in place of the host, costs the time that
    there is not.""",
    fix="""The message names rule and reason. In the rule's file:
    labels: {severity: ...}             one of [alerting.severities], or none
    annotations: {summary: "...", runbook_url: "https://..."}
    curl -sI RUNBOOK                    must answer less than 400
A label that is not there: `sum by (instance) (...)` keeps it, `sum(...)` does not.""",
    severity="major",
    effect="observe",
    each="prometheus",
)
def test_rule_metadata(
    prometheus: Settings,  # noqa: ARG001 - the subject
    watcher: Prometheus,
    target: Config,
    evidence: Evidence,
) -> None:
    """Of those severities that somebody is told of, all; of the others, only the severity."""
    if target.alerting is None or not target.alerting.severities:
        raise NoData(
            "which severities there are is not declared",
            remedy="declare [alerting.severities.NAME]",
        )
    known = set(target.alerting.severities)
    loaded = [rule for _, rule in rules.loaded(watcher).alerting]
    told = [rule for rule in loaded if rule.severity in known]
    pages = runbooks.look_up(
        url
        for rule in told
        if (url := rule.annotations.get("runbook_url")) and _TEMPLATE not in url
    )
    apart = known | {_NO_SEVERITY, *_dead_mans(target, loaded)}
    for name, wrong in (
        ("rules of no agreed severity", _odd(loaded, apart)),
        ("rules without a summary", _lacking(told, "summary")),
        ("rules without a runbook", _lacking(told, "runbook_url")),
        ("runbooks that are not there", [f"{u} {why}" for u, why in pages.missing.items()]),
        ("texts about a label that is not there", list(_blanks(loaded))),
    ):
        evidence.judge(
            "name",
            Measurement(name, len(wrong), "count", _RULES, len(loaded)),
            equal_to(0),
            _named(wrong),
        )
    if pages.untold and not evidence.failures:
        url, why = next(iter(pages.untold.items()))
        raise Unreachable(
            f"{len(pages.untold)} of {pages.asked} runbooks did not answer: {why}",
            where=url,
            remedy="run the gate where the runbooks can be read",
        )


def _dead_mans(target: Config, loaded: Sequence[Rule]) -> set[str]:
    dead_man = target.alerting.dead_man if target.alerting else None
    return {rule.severity for rule in loaded if dead_man and rule.name == dead_man.alert}


def _odd(loaded: Sequence[Rule], known: set[str]) -> list[str]:
    return [
        f"{rule.name}: {rule.severity or 'no severity'}"
        for rule in loaded
        if rule.severity not in known and _TEMPLATE not in rule.severity
    ]


def _lacking(told: Sequence[Rule], annotation: str) -> list[str]:
    return [rule.name for rule in told if not rule.annotations.get(annotation, "").strip()]


def _blanks(loaded: Sequence[Rule]) -> Iterator[str]:
    """Labels that a text writes out and the rule's expression cannot give."""
    for rule in loaded:
        possible = possible_labels(rule.query)
        texts = " ".join([*rule.labels.values(), *rule.annotations.values()])
        if possible is not None:
            for label in sorted(referenced_labels(texts) - possible):
                yield f"{rule.name}: {{{{ $labels.{label} }}}} becomes <no value>"


def _named(wrong: Sequence[str]) -> str:
    more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return "; ".join(wrong[:_SHOWN]) + more


@check(
    "alerting.job-loss",
    title="An alert fires when the targets of a job are down, or no longer there",
    why="""A rule on a metric falls silent with the metric: kill the application while its alert
    fires, and all channels are told that it is resolved. Only a rule on `up == 0` notices; and
    of a job that lost its targets, by a label renamed in service discovery, there is no `up`
    any more: that takes `absent()`.""",
    fix="""One rule for all jobs, and one line for each job that matters:
    - alert: TargetDown
      expr: up == 0
      for: 2m
    - alert: JobGone
      expr: absent(up{job="NAME"}) or absent(up{job="OTHER"})
      for: 5m
Loaded already? The check lets promtool run all loaded rules while `up` of the job is 0, and while
there is none; a rule that waits longer than an hour is too late.""",
    severity="blocker",
    effect="observe",
    each="job",
)
def test_job_loss(job: Job, watcher: Prometheus, evidence: Evidence) -> None:
    """By what the loaded rules do. That nobody notices a job which is gone is a warning."""
    loaded = [rule for _, rule in rules.loaded(watcher).alerting]
    loss = rule_trial.lose_job(watcher, loaded, job.name)
    for name, noticed, warn_only in (
        (f"an alert fires when all targets of {job.name} are down", loss.down, False),
        (f"an alert fires when {job.name} has no target any more", loss.gone, True),
    ):
        told = "yes" if noticed else "no"
        evidence.judge(
            "name",
            Measurement(name, told, "text", "promtool test rules", len(loaded)),
            equal_to("yes"),
            f"none of {len(loaded)} loaded rules does",
            warn_only=warn_only,
        )
