"""End to end: a metric breaches or a statement is slow, and its alert is followed to people."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final, Self

import psycopg

from readiness.areas.alerting.alertmanager_config import parse
from readiness.areas.alerting.config import Alerting, Canary, Channel, SlowAlert, SyntheticProbe
from readiness.areas.alerting.inboxes import Message, Watched, reader_of, wait
from readiness.areas.alerting.probes.synthetic import new_probe
from readiness.areas.alerting.reach import (
    ALERT_NAME,
    possible_labels,
    refuse_unless_contained,
    routes_of,
)
from readiness.config.base.watching import Alertmanager
from readiness.config.base.watching import Prometheus as PrometheusSettings
from readiness.lib import command, postgres
from readiness.lib.alertmanager import Peer
from readiness.lib.patience import until
from readiness.lib.postgres import Connection
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Rule, RuleGroup
from readiness.lib.undo import Undo
from readiness.model.errors import CouldNotMeasure, NoData, SafetyRefusal

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
    """What was seen on the way. Times are Unix times, by the clock of whoever stamps them."""

    probe: str  # the id in the canary's label
    group: RuleGroup  # the rule's group
    rule: Rule  # the rule that watches the canary
    scrape_s: float  # seconds between two scrapes of the canary
    group_wait_s: float  # seconds that Alertmanager waits for more alerts of the group
    group_interval_s: float  # seconds until it looks at the group again
    labels: dict[str, str] = field(default_factory=dict)  # those of the alert, as Prometheus has it
    breached: float = 0.0  # when the metric breached
    active: float | None = None  # when Prometheus evaluated that; None if it never did
    # When the alert fired, after `for`; None if Alertmanager never had it.
    fired: float | None = None
    handed_over: float | None = None  # when Alertmanager had it; None if it never did
    arrived: dict[str, float] = field(default_factory=dict)  # when each channel had it, by its name

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


# The name of the CTE makes it a statement of its own to pg_stat_statements, and marks it as ours.
SLOW: Final = """
with readiness_slow_query as materialized (select pg_sleep(%s))
select count(*) from readiness_slow_query"""
# An alert of an earlier run ends some evaluations after its statement.
_ENDS_S: Final = 60.0
_SLEEPER_SPARE_S: Final = 10.0
_SLEEPER_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Raised:
    """What came of a slow statement."""

    # Seconds from its start until the message was there; None if it never was.
    after_s: float | None
    text: str  # the message
    ran_s: float  # seconds that the statement ran


class _Sleeper:
    """The statement, in a thread of its own; it ends with the block, whatever happens in it."""

    def __init__(self, connection: Connection, seconds: float) -> None:
        self.problem: psycopg.Error | None = None
        self._connection = connection
        self._thread = threading.Thread(target=self._sleep, args=(seconds,), daemon=True)
        self._stopping = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._connection.cancel()
        self._thread.join(_SLEEPER_SPARE_S)

    def _sleep(self, seconds: float) -> None:
        try:
            self._connection.execute(SLOW, [seconds])
        except psycopg.Error as error:
            if not self._stopping:
                self.problem = error

    @property
    def is_running(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()


def raised(alert: SlowAlert, channel: Channel, prometheus: PrometheusSettings | None) -> Raised:
    """Run a statement until its alert has arrived, or for as long as it may take.

    Args:
        alert: the role, the alert's name, and how long it may take.
        channel: where it is looked for.
        prometheus: who is asked first whether it fires already; None asks nobody.

    Raises:
        NoData: it fires already: what arrives would say nothing of our statement.
        CouldNotMeasure: the statement was ended before its time, or the channel cannot be read.
    """
    if prometheus:
        _refuse_if_active(alert, prometheus)
    total_s = alert.message_within_s + 2 * _SLEEPER_SPARE_S
    with ExitStack() as stack:
        watched = Watched(channel, stack.enter_context(reader_of(channel)))
        watched.look(alert.alert)
        watched.must_be_read()
        known = list(watched.messages)
        connection = stack.enter_context(
            postgres.connect(alert.dsn, timeout_s=total_s, total_s=2 * total_s)
        )
        began = time.monotonic()
        with _Sleeper(connection, alert.message_within_s) as sleeper:
            found = _wait(watched, alert, known, sleeper, began + alert.message_within_s)
            after_s = time.monotonic() - began
        if found is None:
            watched.must_be_read()
    return Raised(after_s if found else None, found.text if found else "", after_s)


def _wait(
    watched: Watched, alert: SlowAlert, known: list[Message], sleeper: _Sleeper, deadline: float
) -> Message | None:
    """The first new message that the alert fires; None once the time is over."""
    while time.monotonic() < deadline:
        for message, _ in watched.told(ended=False):
            if message not in known:
                return message
        if sleeper.problem is not None:
            raise postgres.could_not(sleeper.problem, alert.dsn.address)
        if not sleeper.is_running and time.monotonic() < deadline - 1:
            raise CouldNotMeasure("the slow statement ended early", where=alert.dsn.address)
        time.sleep(max(_SLEEPER_POLL_S, watched.reader.poll_s))
        watched.look(alert.alert)
    return None


def _refuse_if_active(alert: SlowAlert, settings: PrometheusSettings) -> None:
    with Prometheus(settings) as prometheus:
        active = until(
            lambda: [a for a in prometheus.alerts() if a.name == alert.alert],
            lambda seen: not seen,
            within_s=_ENDS_S,
        )
    if active:
        raise NoData(
            f"{alert.alert} is {active[0].state} already: another message would not be that of"
            " our statement",
            where=f"{settings.url}/api/v1/alerts",
            remedy="end what is slow, and run the gate again",
        )
