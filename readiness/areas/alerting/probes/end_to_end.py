"""End to end: a metric breaches or a statement is slow, and the alert is followed to channels."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final, Self

import psycopg

from readiness.areas.alerting.alertmanager_config import parse
from readiness.areas.alerting.config import (
    Alerting,
    Canary,
    Channel,
    Config,
    SlowAlert,
    SyntheticProbe,
    probed_channels,
)
from readiness.areas.alerting.inboxes import Message, Watched, must_be_read, reader_of, wait, watch
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
from readiness.lib.guardian import Undo
from readiness.lib.postgres import Connection
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Rule, RuleGroup
from readiness.lib.retry import until
from readiness.model.errors import CouldNotMeasure, NoData, SafetyRefusal

_POLL_S: Final = 0.05
# Not contained in the sums of the intervals: the duration of a scrape, and of an evaluation.
_SPARE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class CanaryPlan:
    """The tables of readiness.toml that the canary needs."""

    prometheus: PrometheusSettings
    alertmanager: Alertmanager
    probe: SyntheticProbe
    canary: Canary
    channels: Sequence[Channel]

    @classmethod
    def of(cls, config: Config) -> "CanaryPlan":
        """The plan.

        Raises:
            NoData: a table is missing, or no channel can be read.
        """
        alerting, channels = config.alerting or Alerting(), probed_channels(config)
        prometheus, alertmanager = config.prometheus, config.alertmanager
        probe, canary = alerting.probe, alerting.canary
        if not (prometheus and alertmanager and probe and canary and channels):
            raise NoData(
                "a canary needs [prometheus], [alertmanager], [alerting.probe], [alerting.canary]"
                " and a channel with an inbox",
                where="readiness.toml",
                remedy="see an example: readiness init --template example.toml",
            )
        return cls(prometheus, alertmanager, probe, canary, channels)


@dataclass(slots=True)
class Walk:
    """What was seen on the way. Times are Unix times, by the clock of the program that stamps them.

    A time is None if its event never happened.
    """

    probe: str
    group: RuleGroup
    rule: Rule
    scrape_s: float  # seconds between two scrapes of the canary
    group_wait_s: float  # the longest of the alert's routes
    group_interval_s: float
    labels: dict[str, str] = field(default_factory=dict)  # as Prometheus has them
    breached: float = 0.0
    active: float | None = None  # when Prometheus evaluated the breach
    fired: float | None = None  # after `for`
    handed_over: float | None = None
    arrived: dict[str, float] = field(default_factory=dict)  # by the name of the channel

    @property
    def detection_s(self) -> float:
        """The longest time from the breach until the alert fires, in seconds."""
        every = self.group.interval_s
        held = -(-self.rule.for_s // every) * every  # `for` is counted in evaluations
        return self.scrape_s + every + held + _SPARE_S


@contextmanager
def reversibly(
    do: Sequence[str], revert: Sequence[str], verbs: tuple[str, str], remedy: str, undo: Undo
) -> Iterator[None]:
    """Run one command before the block and one after it; `undo` runs that, too, if we are killed.

    Raises:
        CouldNotMeasure: a command fails.
    """
    token = undo.run(revert)
    try:
        command.run(do, verbs[0], remedy)
        yield
    finally:
        command.run(revert, verbs[1], remedy)
        undo.forget(token)


def walk(plan: CanaryPlan, undo: Undo) -> Walk:
    """Let the canary breach, follow the alert to every channel, and clear it; see `walking`."""
    with walking(plan, undo) as (seen, _):
        return seen


@contextmanager
def walking(plan: CanaryPlan, undo: Undo) -> Iterator[tuple[Walk, list[Watched]]]:
    """Let the canary breach and follow its alert to every channel; it fires during the block.

    Raises:
        SafetyRefusal: the alert would reach another receiver.
        CouldNotMeasure: a command fails, or Prometheus or Alertmanager does not answer.
    """
    probe = new_probe()
    with ExitStack() as stack:
        prometheus = stack.enter_context(Prometheus(plan.prometheus))
        peers = [
            stack.enter_context(Peer(url, plan.alertmanager)) for url in plan.alertmanager.urls
        ]
        seen = _prepared(plan, probe, prometheus, peers)
        watched = watch(plan.channels, stack)
        for one in watched:
            one.look(probe)
        breach, clear = (
            [word.replace("{probe}", probe) for word in argv]
            for argv in (plan.canary.breach, plan.canary.clear)
        )
        verbs = "make the canary breach", "end the canary's breach"
        with reversibly(breach, clear, verbs, "run it by hand", undo):
            seen.breached = time.time()
            _follow(seen, plan, prometheus, peers)
            wait(watched, probe, time.monotonic() + seen.group_wait_s + plan.probe.budget_s)
            must_be_read(watched)
            for one in watched:
                if (after := one.after_s(seen.breached, ended=False)) is not None:
                    seen.arrived[one.channel.name] = seen.breached + after
            yield seen, watched


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
    seen = Walk(
        probe=probe,
        group=group,
        rule=rule,
        scrape_s=max(target.interval_s for target in prometheus.targets()),
        group_wait_s=max(hop.group_wait_s for hop in hops),
        group_interval_s=max(hop.group_interval_s for hop in hops),
    )
    _refuse_long_waits(seen, plan)
    return seen


def _refuse_long_waits(seen: Walk, plan: CanaryPlan) -> None:
    """Nothing breaches if the way would take longer than was agreed.

    Raises:
        NoData: the times of the rule or of its route are longer than `wait_max_s`.
    """
    rule = seen.rule.name
    _refuse_long(f"`for` and the intervals of {rule}", seen.detection_s, plan.prometheus)
    _refuse_long(f"group_wait of the route of {rule}", seen.group_wait_s, plan.alertmanager)


def refuse_long_end(seen: Walk, plan: CanaryPlan) -> None:
    """The same for the end of the alert, which comes with the group's next turn."""
    name = f"group_interval of the route of {seen.rule.name}"
    _refuse_long(name, seen.group_interval_s, plan.alertmanager)


def _refuse_long(what: str, seconds: float, settings: PrometheusSettings | Alertmanager) -> None:
    if seconds > settings.wait_max_s:
        raise NoData(
            f"a check would have to wait for {seconds:.0f} s: {what}; limit"
            f" {settings.wait_max_s:g} s ({settings.deciding('wait_max_s')})",
            where="[alerting.canary]",
            remedy=f"shorten it for the canary, or set `wait_max_s = {seconds:.0f}` in"
            f" [{settings.name}]",
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
    """Wait until the alert fires and a peer has it, for the longest time that this may take."""
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
    """The outcome of a slow statement."""

    after_s: float | None  # from its start until the message was there; None if it never was
    text: str  # the message
    ran_s: float  # how long the statement ran


class _Sleeper:
    """The statement, in a thread of its own; it ends with the block."""

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
        return self._thread.is_alive()


def raised(alert: SlowAlert, channel: Channel, prometheus: PrometheusSettings | None) -> Raised:
    """Run a statement until its alert has arrived at the channel, or its time is over.

    Raises:
        NoData: the alert fires already by Prometheus, if there is one: a message proves nothing.
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
    """The first new message of a firing alert; None after the deadline."""
    while time.monotonic() < deadline:
        for message, _ in watched.shown(ended=False):
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
            f"{alert.alert} is {active[0].state} already: a message could not be attributed to our"
            " statement",
            where=f"{settings.url}/api/v1/alerts",
            remedy="end what is slow, and run the gate again",
        )
