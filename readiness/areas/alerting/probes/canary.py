"""Walks the whole way of an alert: a metric breaches, and each hop until the message is timed."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

from readiness.areas.alerting.config import Alerting, Canary, Channel, SyntheticProbe
from readiness.areas.alerting.inboxes import reader_of
from readiness.areas.alerting.probes.round_trip import Watched, wait
from readiness.areas.alerting.probes.synthetic import new_probe
from readiness.areas.alerting.routes.config import parse
from readiness.areas.alerting.routes.reach import ALERT_NAME, refuse_unless_contained
from readiness.areas.alerting.routes.routing import possible_labels, routes_of
from readiness.config.base.watching import Alertmanager
from readiness.config.base.watching import Prometheus as PrometheusSettings
from readiness.lib import command
from readiness.lib.alertmanager import Peer
from readiness.lib.guardian import Undo
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Rule, RuleGroup
from readiness.model.errors import NoData, SafetyRefusal

_POLL_S: Final = 0.05
# What the sums of the intervals do not contain: the duration of a scrape, and of an evaluation.
_SPARE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class CanaryPlan:
    """What the walk needs of a target's configuration."""

    prometheus: PrometheusSettings
    alertmanager: Alertmanager
    probe: SyntheticProbe
    canary: Canary
    channels: Sequence[Channel]

    @classmethod
    def of(
        cls,
        prometheus: PrometheusSettings | None,
        alertmanager: Alertmanager | None,
        alerting: Alerting | None,
        channels: Sequence[Channel],
    ) -> "CanaryPlan":
        """The plan.

        Raises:
            NoData: a table is missing, or there is no channel that could be read.
        """
        probe, canary = (alerting.probe, alerting.canary) if alerting else (None, None)
        if not (prometheus and alertmanager and probe and canary and channels):
            raise NoData(
                "a canary needs [prometheus], [alertmanager], [alerting.probe], [alerting.canary]"
                " and a channel with an inbox",
                where="readiness.toml",
                remedy="see `readiness init` for an example",
            )
        return cls(prometheus, alertmanager, probe, canary, channels)


@dataclass(slots=True)
class Walk:
    """What was seen on the way. Times are Unix times, by the clock of whoever stamps them.

    Attributes:
        probe: the id in the canary's label.
        group: the rule's group.
        rule: the rule that watches the canary.
        scrape_s: seconds between two scrapes of the canary.
        group_wait_s: seconds that Alertmanager waits for more alerts of the group.
        group_interval_s: seconds until it looks at the group again.
        labels: those of the alert, as Prometheus has it.
        breached: when the metric breached.
        active: when Prometheus evaluated that; None if it never did.
        fired: when the alert fired, after `for`; None if Alertmanager never had it.
        handed_over: when Alertmanager had it; None if it never did.
        arrived: when each channel had it, by its name.
    """

    probe: str
    group: RuleGroup
    rule: Rule
    scrape_s: float
    group_wait_s: float
    group_interval_s: float
    labels: dict[str, str] = field(default_factory=dict)
    breached: float = 0.0
    active: float | None = None
    fired: float | None = None
    handed_over: float | None = None
    arrived: dict[str, float] = field(default_factory=dict)

    @property
    def detection_s(self) -> float:
        """Seconds that it may take from the breach until the alert fires, at worst."""
        every = self.group.interval_s
        held = -(-self.rule.for_s // every) * every  # `for` is counted in evaluations
        return self.scrape_s + every + held + _SPARE_S


def walk(plan: CanaryPlan, undo: Undo) -> Walk:
    """Let the canary breach, follow the alert to every channel, and clear it; see `walking`."""
    with walking(plan, undo) as (seen, _):
        return seen


@contextmanager
def walking(plan: CanaryPlan, undo: Undo) -> Iterator[tuple[Walk, list[Watched]]]:
    """Let the canary breach and follow its alert to every channel; it fires during the block.

    Raises:
        SafetyRefusal: the alert would reach somebody else.
        CouldNotMeasure: a command fails, or Prometheus or Alertmanager does not answer.
    """
    probe = new_probe()
    with ExitStack() as stack:
        prometheus = stack.enter_context(Prometheus(plan.prometheus))
        peers = [
            stack.enter_context(Peer(url, plan.alertmanager)) for url in plan.alertmanager.urls
        ]
        seen = _prepared(plan, probe, prometheus, peers)
        watched = [Watched(c, stack.enter_context(reader_of(c))) for c in plan.channels]
        for one in watched:
            one.look(probe)
        clear = [word.replace("{probe}", probe) for word in plan.canary.clear]
        token = undo.run(clear)
        try:
            _order(plan.canary.breach, probe, "make the canary breach")
            seen.breached = time.time()
            _follow(seen, plan, prometheus, peers)
            wait(watched, probe, time.monotonic() + seen.group_wait_s + plan.probe.budget_s)
            for one in watched:
                if not one.messages:
                    one.must_be_read()
                if (after := one.after_s(seen.breached, ended=False)) is not None:
                    seen.arrived[one.channel.name] = seen.breached + after
            yield seen, watched
        finally:
            command.run(clear, "end the canary's breach", "run it by hand")
            undo.forget(token)


def _order(argv: Sequence[str], probe: str, verb: str) -> None:
    command.run([word.replace("{probe}", probe) for word in argv], verb, "run it by hand")


def _prepared(plan: CanaryPlan, probe: str, prometheus: Prometheus, peers: Sequence[Peer]) -> Walk:
    group, rule = _rule(prometheus, plan.canary.alert)
    label = plan.probe.label
    if label not in rule.labels:
        raise SafetyRefusal(
            f"the rule {rule.name} does not set the label {label}: its alert would be a real one",
            where=f"{group.file}, group {group.name}",
            remedy=f"add to its labels: {label}: '{{{{ $labels.probe }}}}'",
        )
    labels = {**rule.labels, ALERT_NAME: rule.name, label: probe}
    hops = []
    for peer in peers:
        config = parse(peer.status().config)
        for possible in possible_labels(config, labels):
            refuse_unless_contained(
                config, possible, receiver=plan.probe.receiver, unique=label, where=peer.url
            )
            hops += routes_of(config, possible)
    return Walk(
        probe=probe,
        group=group,
        rule=rule,
        scrape_s=max(target.interval_s for target in prometheus.targets()),
        group_wait_s=max(hop.group_wait_s for hop in hops),
        group_interval_s=max(hop.group_interval_s for hop in hops),
    )


def _rule(prometheus: Prometheus, name: str) -> tuple[RuleGroup, Rule]:
    for group in prometheus.rules():
        for rule in group.rules:
            if rule.type == "alerting" and rule.name == name:
                return group, rule
    raise NoData(
        f"no alert rule {name} is loaded",
        where=prometheus.url,
        remedy="add a rule on the canary's metric, or correct [alerting.canary] alert",
    )


def _follow(seen: Walk, plan: CanaryPlan, prometheus: Prometheus, peers: Sequence[Peer]) -> None:
    """Wait until the alert fires and a peer has it, noting both; gives up after the longest way."""
    label = plan.probe.label
    deadline = time.monotonic() + seen.detection_s + plan.canary.evaluation_max_s + _SPARE_S
    while None in {seen.handed_over, seen.active} and time.monotonic() < deadline:
        if seen.active is None:
            for alert in prometheus.alerts():
                if alert.labels.get(label) == seen.probe:
                    seen.active, seen.labels = alert.active_at.timestamp(), alert.labels
        for peer in peers:
            for held in peer.alerts(f'{label}="{seen.probe}"'):
                seen.fired = held.starts_at.timestamp()
                known = seen.handed_over or held.updated_at.timestamp()
                seen.handed_over = min(known, held.updated_at.timestamp())
        time.sleep(_POLL_S)
