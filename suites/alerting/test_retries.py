"""How Alertmanager behaves while a channel fails: one webhook of its ends at the check itself."""

from collections.abc import Sequence
from typing import Final

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.alerting.probes.delivery_drill import (
    Drilled,
    DrillPlan,
    answered,
    beside_hanging,
)
from readiness.areas.alerting.probes.listener import OK, Answer, Call
from readiness.config.base.subject import Subject
from readiness.config.models import Config

_FAILURES: Final = 3
_UNAVAILABLE: Final = 503
_TOO_MANY: Final = 429
# Of a group, the first message may leave before all of its alerts are there; the next has them.
_STORM_MESSAGES: Final = 10

_SETUP: Final = """A receiver for drills, whose webhook ends at the machine that runs the checks:
    - matchers: ['readiness_probe=~"drill-.+"']      # the very first route
      receiver: readiness-drill
      group_by: [readiness_probe]
      group_wait: 0s
      group_interval: 20s"""


@check(
    "alerting.retry-on-error",
    title="A channel that fails three times is tried again until it takes the alert",
    why="""Every provider has bad minutes. A gateway between Alertmanager and the channel that
    answers 200 before its provider has, turns such a minute into a page that is lost for ever:
    Alertmanager tries again only where it is told of the failure.""",
    fix="""Send a message through the gateway while its provider is down, and look at the status:
    curl -si -XPOST GATEWAY -d '{"version":"4","status":"firing","alerts":[]}' | head -1
It has to be 5xx. Where there is none in between, look at Alertmanager's log for `notify retry`.
"""
    + _SETUP,
    severity="blocker",
    effect="disrupt",
    each="delivery_drill",
)
def test_retry_on_error(delivery_drill: Subject, target: Config, evidence: Evidence) -> None:
    """Three times 503, then 200."""
    plan = DrillPlan.of(target.alertmanager, target.alerting)
    drilled = answered(
        plan, _failing(_FAILURES, _UNAVAILABLE), _accepted, within_s=2 * plan.probe.budget_s
    )
    source = f"{delivery_drill.name} at {plan.drill.listen}: {_FAILURES} times {_UNAVAILABLE}"
    _judge(drilled, plan, evidence, source)


@check(
    "alerting.retry-on-rate-limit",
    title="A channel that answers 429, too many requests, is tried again within the budget",
    why="""Slack and others answer 429 in a storm of alerts, which is when they matter most.
    Alertmanager does not try again after a 4xx until the group's next turn: with the default
    group_interval that is five minutes later.""",
    fix="""Set group_interval of the routes that page to less than the budget:
    route: {group_interval: 20s, ...}
Where a gateway is in between, let it answer 503 instead of 429.
"""
    + _SETUP,
    severity="major",
    effect="disrupt",
    each="delivery_drill",
)
def test_retry_on_rate_limit(delivery_drill: Subject, target: Config, evidence: Evidence) -> None:
    """429 to as many calls as there are peers: else the next one would tell it in time."""
    plan = DrillPlan.of(target.alertmanager, target.alerting)
    refused = len(plan.alertmanager.urls)
    drilled = answered(
        plan, _failing(refused, _TOO_MANY), _accepted, within_s=2 * plan.probe.budget_s
    )
    source = f"{delivery_drill.name} at {plan.drill.listen}: {refused} times {_TOO_MANY}"
    _judge(drilled, plan, evidence, source)


@check(
    "alerting.channel-isolation",
    title="A channel that hangs does not hold up the others",
    why="""Two channels are there so that one may fail. Behind one gateway that serves them one
    after the other they fail together, and that shows only when the first one hangs.""",
    fix="""Give each channel an integration of its own in the receiver, without a gateway that
they share; Alertmanager tells them all at the same time.
"""
    + _SETUP,
    severity="blocker",
    effect="disrupt",
    each="delivery_drill",
)
def test_channel_isolation(delivery_drill: Subject, target: Config, evidence: Evidence) -> None:
    """The webhook hangs for longer than the budget; the other channel must not care."""
    plan = DrillPlan.of(target.alertmanager, target.alerting)
    drilled = beside_hanging(plan, hang_s=2 * plan.probe.budget_s)
    source = f"{delivery_drill.name} at {plan.beside.name}, while {plan.drill.listen} hangs"
    told = evidence.judge(
        "arrived",
        Measurement(
            f"arrived at {plan.beside.name}", int(drilled.beside_s is not None), "count", source
        ),
        equal_to(1),
        "it waits for the channel that hangs",
    )
    if told and drilled.beside_s is not None:
        evidence.judge(
            "until-had",
            Measurement(f"until {plan.beside.name} had it", drilled.beside_s, "s", source),
            at_most(plan.probe.budget_s),
        )


@check(
    "alerting.storm",
    title="In a storm of alerts none is lost, and they come as a few messages",
    why="""When a data centre fails, hundreds of alerts fire within a second. `max_alerts` cuts
    all but a few away without a word in the message, and without grouping each becomes a message
    of its own: the provider limits the rate, and nobody can read any of them.""",
    fix="""Remove `max_alerts` from the webhook (0 is no limit), and let the route group:
    group_by: [alertname, cluster]     # never ['...'] where people are told
"""
    + _SETUP,
    severity="major",
    effect="load",
    each="delivery_drill",
)
def test_storm(delivery_drill: Subject, target: Config, evidence: Evidence) -> None:
    """All are sent at once, to every peer."""
    plan = DrillPlan.of(target.alertmanager, target.alerting)
    count = target.alerting.storm if target.alerting else 0

    def all_told(calls: Sequence[Call]) -> bool:
        return len(Drilled("", 0, tuple(calls)).fingerprints) >= count

    drilled = answered(
        plan, lambda _: (OK, 0.0), all_told, within_s=plan.probe.budget_s, count=count
    )
    source = f"{delivery_drill.name} at {plan.drill.listen}: {count} alerts"
    cut = max(call.notification.truncatedAlerts for call in drilled.calls if call.notification)
    evidence.judge(
        "alerts-told",
        Measurement("alerts told", len(drilled.fingerprints), "count", source, count),
        at_least(count),
        f"`max_alerts` cut {cut} off" if cut else "the others did not come in time",
    )
    evidence.judge(
        "messages",
        Measurement("messages", len(drilled.calls), "count", source),
        at_most(_STORM_MESSAGES),
        "the route does not group",
    )


def _failing(times: int, status: int) -> Answer:
    return lambda number: (status if number < times else OK, 0.0)


def _accepted(calls: Sequence[Call]) -> bool:
    return any(call.status == OK for call in calls)


def _judge(drilled: Drilled, plan: DrillPlan, evidence: Evidence, source: str) -> None:
    evidence.record(Measurement("attempts", len(drilled.calls), "count", source))
    taken = evidence.judge(
        "accepted-last",
        Measurement("accepted at last", int(drilled.accepted_s is not None), "count", source),
        equal_to(1),
        f"it was given up after {len(drilled.calls)} of the attempts",
    )
    if taken and drilled.accepted_s is not None:
        evidence.judge(
            "until-accepted",
            Measurement("until it was accepted", drilled.accepted_s, "s", source),
            at_most(plan.probe.budget_s),
        )
