"""The whole way of an alert, from the metric to the message, hop by hop against its budget."""

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.alerting.probes.canary import CanaryPlan, Walk, walk
from readiness.areas.alerting.subjects import probed_channels
from readiness.config.base.subject import Subject
from readiness.config.models import Config
from readiness.lib.guardian import Guardian
from readiness.model.measurement import Moment


@check(
    "alerting.rule-delivery",
    title="A metric that breaches arrives at every channel, each hop within its budget",
    why="""Only the whole way proves the whole way: scrape, rule, hand-over, grouping, sending.
    An alert can fire in Prometheus for ever and be dropped by `alert_relabel_configs` or sent to
    an Alertmanager nobody reads, while every counter of failures stays at zero.""",
    fix="""Add a rule that watches a metric you can make breach, as [alerting.canary] says:
    - alert: ReadinessCanary
      expr: readiness_canary > 0
      labels: {severity: critical, readiness_probe: '{{ $labels.probe }}'}
Fires and is not handed over: look at alert_relabel_configs and at the addresses in `alerting:`.
    curl -s PROMETHEUS/api/v1/alertmanagers
Handed over and not told: see alerting.delivery.""",
    severity="blocker",
    effect="write",
    each="canary",
)
def test_rule_delivery(
    canary: Subject, target: Config, guardian: Guardian, evidence: Evidence
) -> None:
    """Detection has the budget of its intervals, hand-over one of its own, sending the promise."""
    plan = CanaryPlan.of(
        target.prometheus, target.alertmanager, target.alerting, probed_channels(target)
    )
    seen = walk(plan, guardian)
    source = f"{canary.name} {seen.probe}"
    fires = evidence.judge(
        "fires-prometheus",
        Measurement("fires in Prometheus", int(seen.active is not None), "count", source),
        equal_to(1),
        "the metric is not scraped, or the rule does not see it",
    )
    if not fires or seen.active is None:
        return
    evidence.record(Measurement("breach to rule active", seen.active - seen.breached, "s", source))
    handed = evidence.judge(
        "handed-alertmanager",
        Measurement("handed to Alertmanager", int(seen.handed_over is not None), "count", source),
        equal_to(1),
        "it fires in Prometheus and no Alertmanager has it: relabelled, dropped or sent elsewhere",
    )
    if not handed or seen.handed_over is None or seen.fired is None:
        return
    evidence.judge(
        "breach-alert-fired",
        Measurement("breach to alert fired", seen.fired - seen.breached, "s", source),
        at_most(round(seen.detection_s, 3)),
        "scrape interval, evaluation interval, `for` and 5 s",
    )
    evidence.judge(
        "evaluation-hand-over",
        Measurement("evaluation to hand-over", seen.handed_over - seen.fired, "s", source),
        at_most(plan.canary.evaluation_max_s),
    )
    _judge_channels(seen, seen.handed_over, plan, evidence)
    evidence.record(
        Measurement(
            "breach to the last message",
            max(seen.arrived.values(), default=seen.handed_over) - seen.breached,
            "s",
            source,
            timeline=_hops(seen),
        )
    )


def _hops(seen: Walk) -> tuple[Moment, ...]:
    hops = [("the metric breaches", seen.breached), ("the rule sees it", seen.active)]
    hops += [("the alert fires", seen.fired), ("Alertmanager has it", seen.handed_over)]
    hops += [(f"{name} has it", at) for name, at in seen.arrived.items()]
    known = [(at, label) for label, at in hops if at is not None]
    return tuple(Moment(at - seen.breached, label) for at, label in sorted(known))


def _judge_channels(seen: Walk, handed_over: float, plan: CanaryPlan, evidence: Evidence) -> None:
    for channel in plan.channels:
        source = f"message of {seen.probe} at {channel.name}"
        at = seen.arrived.get(channel.name)
        arrived = evidence.judge(
            "arrived",
            Measurement(f"arrived at {channel.name}", int(at is not None), "count", source),
            equal_to(1),
        )
        if arrived and at is not None:
            evidence.judge(
                "hand-over",
                Measurement(f"hand-over to {channel.name}", at - handed_over, "s", source),
                at_most(seen.group_wait_s + plan.probe.budget_s),
            )
