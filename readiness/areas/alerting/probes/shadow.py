"""Shadow replay: an alert for every loaded rule, sent through a copy of the running configuration.

A private Alertmanager gets the routes, inhibition rules and time intervals of the running one, and
a webhook of ours in place of every integration. It is handed one alert for each rule. That shows
which channels would be notified, when, and which alerts would be inhibited, and pages no one.
"""

import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from readiness.areas.alerting.alertmanager_config import Hop, Integration, places, rewritten
from readiness.areas.alerting.conditions import muted
from readiness.areas.alerting.config import Alerting, Channel, SeverityPolicy
from readiness.areas.alerting.probes.cluster import Running
from readiness.areas.alerting.probes.webhooks import Received, Sink
from readiness.areas.alerting.reach import (
    SEVERITY,
    Holder,
    Inhibition,
    LiveRule,
    channels_of,
    placed,
    routes_of,
    serves,
    unmet,
)
from readiness.config.base.watching import Alertmanager
from readiness.lib.alertmanager import NewAlert, Peer
from readiness.lib.guardian import Guardian
from readiness.lib.retry import until
from readiness.model.errors import NoData
from readiness.servers.alertmanager import PrivateAlertmanager

TEST: Final = "ReadinessShadow"
_LASTS: Final = timedelta(hours=1)
_AT_ONCE: Final = 100
_MARGIN_S: Final = 5.0
_HELD_WITHIN_S: Final = 5.0
_EVERY_S: Final = 0.05
_NONE: Final = "http://127.0.0.1:9"
Key = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One integration that was notified."""

    receiver: str
    integration: Integration
    after_s: float  # since the alert was handed over
    group: Mapping[str, str]  # the labels of the group in which it was sent


@dataclass(frozen=True, slots=True)
class Held:
    """An alert that inhibits another one."""

    by: Key  # of its rule, see `Replayed.key`
    about_the_same: bool  # whether they share a label that the inhibition rule asks for


@dataclass(frozen=True, slots=True)
class Replayed:
    """The outcome of the alerts of one rule. What cannot be computed is None."""

    labels: Mapping[str, str]  # as handed over, with a placeholder for each template
    is_test: bool  # whether it is our test for a severity, not the alert of a loaded rule
    receivers: frozenset[str]  # by the private Alertmanager
    expected: frozenset[str] | None  # the receivers as computed
    deliveries: tuple[Delivery, ...]  # the first one of each integration, in their order
    held_by: tuple[Held, ...]  # what inhibits it while all loaded rules fire at once
    held_as_computed: bool = True  # whether the private Alertmanager inhibits as computed

    @property
    def name(self) -> str:
        """The name of the alert."""
        return self.labels.get("alertname", "")

    @property
    def key(self) -> Key:
        """Its labels without empty ones, which distinguish it from all others."""
        return _key(self.labels)

    @property
    def agrees(self) -> bool:
        """Whether it was routed and inhibited as computed."""
        routed = self.expected is None or self.receivers == self.expected
        return routed and self.held_as_computed

    def channels(self, channels: Mapping[str, Channel], within_s: float) -> dict[str, float]:
        """The channels that were notified in time, each with its seconds."""
        found: dict[str, float] = {}
        for sent in self.deliveries:
            for name, channel in channels.items():
                if serves(channel, sent.receiver, sent.integration.kind):
                    found.setdefault(name, sent.after_s)
        return {name: after for name, after in found.items() if after <= within_s}


@dataclass(frozen=True, slots=True)
class Replay:
    """The outcome of all alerts."""

    alerts: tuple[Replayed, ...]
    version: str  # of the private Alertmanager
    took_s: float  # from the first alert to the last message that was waited for

    def of(self, severity: str) -> list[Replayed]:
        """The alerts of one severity."""
        return [alert for alert in self.alerts if alert.labels.get(SEVERITY) == severity]


def replay(
    running: Running, policy: Alerting, settings: Alertmanager, guardian: Guardian
) -> Replay:
    """Hand one alert for each live rule, and one for each severity, to a private Alertmanager.

    It is waited for the channels that each severity in the policy needs, to its budget.

    Raises:
        Unreachable: there is no Alertmanager on this machine, or it refuses the configuration.
        NoData: the configuration is not understood.
    """
    with ExitStack() as stack:
        scene = _Scene(running, policy, settings, guardian, stack)
        handed = time.monotonic()
        scene.hand_over()
        _wait(scene, handed)
        took_s = time.monotonic() - handed
        return Replay(tuple(scene.outcomes(handed)), scene.version, took_s)


class _Scene:
    """Two private Alertmanagers and the sink: one sends, the other one shows what is inhibited.

    The first one has no inhibition rules: with all alerts at once, an inhibited one would not show
    the route that it takes when it comes alone.
    """

    def __init__(
        self,
        running: Running,
        policy: Alerting,
        settings: Alertmanager,
        guardian: Guardian,
        stack: ExitStack,
    ) -> None:
        self.policy = policy
        self._running = running
        self._settings = settings.model_copy(update={"bearer": None})
        self._places = places(running.text)
        self.sink = stack.enter_context(Sink())
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="readiness-")))
        guardian.remove(self._folder)
        self._sends = self._start("sends", self.sink.url, guardian, stack, inhibits=False)
        self._holds = None
        if running.config.inhibit_rules:
            self._holds = self._start("holds", _NONE, guardian, stack, inhibits=True)
        self.version = self._sends.status().version
        rules = [_as_served(rule, running, policy) for rule in _variants(running, policy)]
        self.live = {_key(placed(rule.labels)): placed(rule.labels) for rule in rules}
        # For inhibition, an alert for each set of labels that the series of a rule have.
        self.instances = {
            _key(labels): (_key(placed(rule.labels)), labels)
            for rule in rules
            for labels in rule.instances
        }
        probe = policy.probe.labels if policy.probe else {}
        tests = [{**probe, "alertname": TEST, SEVERITY: name} for name in policy.severities]
        self.alerts = self.live | {_key(labels): labels for labels in tests}

    def _start(
        self, name: str, url: str, guardian: Guardian, stack: ExitStack, *, inhibits: bool
    ) -> Peer:
        folder = self._folder / name
        folder.mkdir()
        config = rewritten(self._running.text, url, inhibits=inhibits)
        zones = self._running.config.zones
        server = stack.enter_context(PrivateAlertmanager.start(folder, config, guardian, zones))
        return stack.enter_context(Peer(server.url, self._settings))

    def hand_over(self) -> None:
        """Hand all alerts over; to the Alertmanager that inhibits, only those of loaded rules."""
        _post(self._sends, self.alerts.values())
        if self._holds:
            _post(self._holds, [labels for _, labels in self.instances.values()])

    def is_judged(self, labels: Mapping[str, str]) -> bool:
        """Whether a channel must be notified of it."""
        has_policy = labels.get(SEVERITY, "") in self.policy.severities
        return has_policy and not self._running.is_probe(labels)

    def received(self) -> dict[Key, list[Received]]:
        """What was sent of each alert so far."""
        found: dict[Key, list[Received]] = {key: [] for key in self.alerts}
        for message in self.sink.received():
            found.setdefault(_key(message.labels), []).append(message)
        return found

    def reached(self, received: Iterable[Received]) -> set[str]:
        """The channels that some messages came to."""
        return {
            name
            for place in {message.place for message in received}
            for name, channel in self.policy.channels.items()
            if place in self._places
            and serves(channel, self._places[place][0], self._places[place][1].kind)
        }

    def hops(self, labels: Mapping[str, str]) -> list[Hop] | None:
        """The routes that it takes; None if a matcher cannot be computed."""
        try:
            return routes_of(self._running.config, labels)
        except NoData:
            return None

    def _expected(self, labels: Mapping[str, str]) -> frozenset[str] | None:
        hops = self.hops(labels)
        return None if hops is None else frozenset(hop.receiver for hop in hops)

    def open_places(self, labels: Mapping[str, str], within_s: float) -> set[str]:
        """The places that must be notified of it in time, as computed."""
        now = datetime.now(UTC)
        around = now - timedelta(minutes=1), now + timedelta(minutes=2)
        intervals = self._running.config.intervals
        receivers = {
            hop.receiver
            for hop in self.hops(labels) or ()
            if hop.group_wait_s <= within_s and not muted(intervals, hop.mute, hop.active, *around)
        }
        return {place for place, (name, _) in self._places.items() if name in receivers}

    def outcomes(self, handed: float) -> list[Replayed]:
        """What became of each alert."""
        routed = {_key(held.labels): held for held in self._sends.alerts()}
        held, differ = self._held()
        received = self.received()
        if absent := self.alerts.keys() - routed.keys():
            raise NoData(
                f"the private Alertmanager lacks {len(absent)} of the alerts that it accepted",
                remedy="look for rules with labels that Alertmanager does not allow",
            )
        return [
            Replayed(
                labels=labels,
                is_test=key not in self.live,
                receivers=frozenset(routed[key].receivers),
                expected=self._expected(labels),
                deliveries=tuple(self._deliveries(received[key], handed)),
                held_by=tuple(sorted(held.get(key, ()), key=lambda one: sorted(one.by))),
                held_as_computed=key not in differ,
            )
            for key, labels in self.alerts.items()
        ]

    def _deliveries(self, received: Iterable[Received], handed: float) -> list[Delivery]:
        first: dict[str, Received] = {}
        for message in received:
            first.setdefault(message.place, message)
        return [
            Delivery(*self._places[place], message.at - handed, message.group)
            for place, message in first.items()
            if place in self._places
        ]

    def _computed(self) -> dict[Key, list[Holder]] | None:
        """What inhibits each instance."""
        instances = [labels for _, labels in self.instances.values()]
        try:
            inhibition = Inhibition(self._running.config, instances)
            return {key: inhibition.holders(at) for key, (_, at) in self.instances.items()}
        except NoData:
            return None

    def _held(self) -> tuple[dict[Key, set[Held]], set[Key]]:
        """What inhibits the alerts of each rule, and the rules where that is not as computed."""
        found: dict[Key, set[Held]] = {}
        if self._holds is None:
            return found, set()
        computed = self._computed()
        inhibited = self._inhibited(self._holds, computed)
        if computed is None:
            for key, by in inhibited.items():
                found.setdefault(self._rule(key), set()).update(Held(k, False) for k in by)
            return found, set()
        for key in inhibited:
            found.setdefault(self._rule(key), set()).update(
                Held(self._rule(_key(one.labels)), one.about_the_same) for one in computed[key]
            )
        wanted = {key for key, holders in computed.items() if holders}
        return found, {self._rule(key) for key in wanted ^ inhibited.keys()}

    def _rule(self, instance: Key) -> Key:
        return self.instances[instance][0]

    def _inhibited(
        self, peer: Peer, computed: dict[Key, list[Holder]] | None
    ) -> dict[Key, set[Key]]:
        """The rule of the alert that Alertmanager names, by what it inhibits.

        It names one of all, and takes a moment to see them.
        """
        wanted = {key for key, by in (computed or {}).items() if by}
        held = until(
            peer.alerts,
            lambda seen: {_key(a.labels) for a in seen if a.status.inhibited_by} == wanted,
            within_s=_HELD_WITHIN_S,
            every_s=_EVERY_S,
        )
        by_fingerprint = {alert.fingerprint: self._rule(_key(alert.labels)) for alert in held}
        return {
            _key(alert.labels): {by_fingerprint[f] for f in alert.status.inhibited_by}
            for alert in held
            if alert.status.inhibited_by
        }


def _variants(running: Running, policy: Alerting) -> Iterable[LiveRule]:
    """Each rule; with each severity if that is a template."""
    for rule in running.rules:
        open_ = "{{" in rule.severity
        yield from [rule.at(name) for name in policy.severities] if open_ else [rule]


def _post(peer: Peer, alerts: Iterable[Mapping[str, str]]) -> None:
    now = datetime.now(UTC)
    new = [NewAlert(labels, {}, now, now + _LASTS) for labels in alerts]
    for first in range(0, len(new), _AT_ONCE):
        peer.post(new[first : first + _AT_ONCE])


def _wait(scene: _Scene, handed: float) -> None:
    """Wait until every message that must come has come, or its time is over."""
    waiting = {
        key: (policy, scene.open_places(labels, policy.budget_s))
        for key, labels in scene.alerts.items()
        if scene.is_judged(labels)
        for policy in [scene.policy.severities[labels[SEVERITY]]]
    }

    def done() -> bool:
        passed, received = time.monotonic() - handed, scene.received()
        for key, (policy, wanted) in list(waiting.items()):
            late = passed > policy.budget_s + _MARGIN_S
            if late or _settled(scene, received[key], policy, wanted):
                del waiting[key]
        return not waiting

    longest = max((policy.budget_s for policy, _ in waiting.values()), default=0.0)
    until(done, bool, within_s=longest + 2 * _MARGIN_S, every_s=_EVERY_S)


def _settled(
    scene: _Scene, received: Sequence[Received], policy: SeverityPolicy, wanted: set[str]
) -> bool:
    complete = wanted <= {message.place for message in received}
    return complete and not unmet(policy.channels, scene.reached(received))


def _as_served(rule: LiveRule, running: Running, policy: Alerting) -> LiveRule:
    """The rule with the labels of its series that routes ask for.

    Of several sets, one whose alerts reach a channel: the others may be meant for nobody.
    """
    severity = policy.severities.get(rule.severity)
    config, needed = running.config, severity.channels if severity else []

    def reaches(series: Mapping[str, str]) -> bool:
        hops = routes_of(config, {**series, **placed(rule.labels)})
        return any(
            channels_of(config, hop, policy.channels) & set(n) for hop in hops for n in needed
        )

    if not rule.routed:
        return rule
    series = next(filter(reaches, rule.routed), rule.routed[0])
    return replace(rule, labels={**series, **rule.labels}, routed=())


def _key(labels: Mapping[str, str]) -> Key:
    return frozenset((name, value) for name, value in labels.items() if value)
