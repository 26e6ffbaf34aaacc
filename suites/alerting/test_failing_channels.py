"""How Alertmanager behaves while a channel fails: one of its webhooks ends at the check itself."""

from collections.abc import Callable, Sequence
from typing import Final

from readiness import Evidence, Measurement, at_least, at_most, check
from readiness.areas.alerting.config import SyntheticProbe
from readiness.areas.alerting.judging import judge_within
from readiness.areas.alerting.probes.webhooks import (
    OK,
    Answer,
    Call,
    DrillPlan,
    answered,
    beside_hanging,
    fingerprints,
)
from readiness.config.models import Config
from readiness.model.measurement import Limit

_FAILURES: Final = 3
_UNAVAILABLE: Final = 503
_TOO_MANY: Final = 429
# The first message of a group may leave before all of its alerts are there; the next has them.
_STORM_MESSAGES: Final = 10

_SETUP: Final = """A receiver for drills, whose webhook ends at the machine that runs the checks:
    - matchers: ['readiness_probe=~"drill-.+"']      # the very first route
      receiver: readiness-drill
      group_by: [readiness_probe]
      group_wait: 0s
      group_interval: 20s"""


@check(
    "alerting.delivery-retries",
    title="A failing channel is retried in time, and does not delay the others",
    failure_title="An alert is lost or late while a channel fails",
    why="""Every provider has bad minutes. A gateway that answers 200 before its provider has
    accepted the message loses the page for good, and one that serves two channels in turn takes
    the second one down with the first.""",
    fix="""Answered 503: a gateway must pass the error on; send through it while its provider is
down, and expect 5xx; without a gateway, look for `notify retry` in Alertmanager's log
    curl -si -XPOST GATEWAY -d '{"version":"4","status":"firing","alerts":[]}' | head -1
Answered 429: Alertmanager retries only at the group's next turn (default 5 min)
    route: {group_interval: 20s, ...}      # or let the gateway answer 503 instead
Hanging channel: give each channel an integration of its own, without a shared gateway.
"""
    + _SETUP,
    severity="blocker",
    effect="disrupt",
    each="synthetic_probe",
    needs="drill",
    judgements=("error", "rate-limit", "hanging-channel"),
)
def test_delivery_retries(
    synthetic_probe: SyntheticProbe, target: Config, evidence: Evidence
) -> None:
    """Three times 503; then 429 to each peer, so that no other peer delivers; then a hang."""
    plan = DrillPlan.of(target)
    limit = at_most(synthetic_probe.budget_s, synthetic_probe.deciding("budget_s"))
    peers = len(plan.alertmanager.urls)
    for key, times, status in (
        ("error", _FAILURES, _UNAVAILABLE),
        ("rate-limit", peers, _TOO_MANY),
    ):
        with evidence.attempt():
            _judge_retried(plan, evidence, key, times, status, limit)
    with evidence.attempt():
        _judge_isolation(plan, evidence, limit)


def _judge_retried(
    plan: DrillPlan, evidence: Evidence, key: str, times: int, status: int, limit: Limit
) -> None:
    drilled = answered(plan, _failing(times, status), _accepted, within_s=2 * plan.probe.budget_s)
    source = f"{plan.drill.receiver} at {plan.drill.listen}: {times} times {status}"
    attempts = len(drilled.calls)
    evidence.record(
        Measurement(f"attempts, with {times} times {status}", attempts, "count", source)
    )
    judge_within(
        evidence,
        key,
        f"the channel accepted the alert after {times} times {status}",
        drilled.accepted_s,
        limit,
        source,
        never=f"The channel did not get the alert after {times} times {status}",
        because=f"given up after {attempts} attempts",
    )


def _judge_isolation(plan: DrillPlan, evidence: Evidence, limit: Limit) -> None:
    """The webhook hangs for longer than the budget; the other channel must not wait."""
    drilled = beside_hanging(plan, hang_s=2 * plan.probe.budget_s)
    judge_within(
        evidence,
        "hanging-channel",
        f"{plan.beside.name} was notified beside a channel that hangs",
        drilled.beside_s,
        limit,
        f"{plan.drill.receiver} at {plan.beside.name}, while {plan.drill.listen} hangs",
        never=f"{plan.beside.name} was not notified beside a channel that hangs",
        because="it waits for that channel",
    )


@check(
    "alerting.storm",
    title="A storm of alerts is delivered completely, in a few messages",
    failure_title="In a storm, alerts are lost or flood the channel",
    why="""When a data center fails, hundreds of alerts fire within a second. `max_alerts` silently
    cuts off all but a few, and without grouping each alert is a message of its own: the provider
    limits the rate, and the messages cannot be read in time.""",
    fix="""Remove `max_alerts` from the webhook (0 is no limit), and let the route group:
    group_by: [alertname, cluster]     # never ['...'] where people are notified
"""
    + _SETUP,
    severity="major",
    effect="load",
    each="synthetic_probe",
    needs="drill",
    judgements=("complete", "grouped"),
)
def test_storm(synthetic_probe: SyntheticProbe, target: Config, evidence: Evidence) -> None:
    """All are sent at once, to every peer."""
    plan = DrillPlan.of(target)
    alerting = target.alerting
    assert alerting, "the plan was read from it"
    count = alerting.storm
    drilled = answered(
        plan, lambda _: (OK, 0.0), _all_of(count), within_s=synthetic_probe.budget_s, count=count
    )
    source = f"{plan.drill.receiver} at {plan.drill.listen}: {count} alerts"
    cut = max(call.notification.truncated for call in drilled.calls if call.notification)
    arrived = len(fingerprints(drilled.calls))
    evidence.judge(
        "complete",
        Measurement("alerts delivered", arrived, "count", source, count),
        at_least(count, alerting.deciding("storm")),
        f"`max_alerts` cut off {cut}" if cut else "the others did not come in time",
        says=f"{arrived} of {count} alerts were delivered within {synthetic_probe.budget_s:g} s",
    )
    evidence.judge(
        "grouped",
        Measurement("messages", len(drilled.calls), "count", source),
        at_most(_STORM_MESSAGES),
        "the route does not group",
        says=f"{count} alerts came as {len(drilled.calls)} messages",
    )


def _all_of(count: int) -> Callable[[Sequence[Call]], bool]:
    return lambda calls: len(fingerprints(calls)) >= count


def _failing(times: int, status: int) -> Answer:
    return lambda number: (status if number < times else OK, 0.0)


def _accepted(calls: Sequence[Call]) -> bool:
    return any(call.status == OK for call in calls)
