"""Shadow replay: every loaded rule's alert through the running configuration, sent to us alone.

A private Alertmanager gets the routes, inhibition rules and time intervals of the running one, and
a webhook of ours in the place of every integration. One alert for each rule is handed to it. So
it is seen who would be notified, when, and what would be inhibited; and nobody is paged.
"""

import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from readiness.areas.alerting.config import Alerting, Channel, SeverityPolicy
from readiness.areas.alerting.probes.running import Running
from readiness.areas.alerting.probes.webhooks import Sink, Told
from readiness.areas.alerting.routes.config import Hop, Integration, places, rewritten
from readiness.areas.alerting.routes.reach import SEVERITY, holders, serves, unmet
from readiness.areas.alerting.routes.routing import placed, routes_of
from readiness.areas.alerting.routes.time_intervals import muted
from readiness.config.base.watching import Alertmanager
from readiness.lib.alertmanager import HeldAlert, NewAlert, Peer
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
    """One integration that was notified.

    Attributes:
        receiver: its receiver.
        integration: which one of it.
        after_s: seconds since the alert was handed over.
        group: the labels of the group in which it was sent.
    """

    receiver: str
    integration: Integration
    after_s: float
    group: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one alert.

    Attributes:
        labels: as it was handed over; texts of ours stand in the place of templates.
        is_test: whether it is a test of ours for a severity, and no live rule's.
        receivers: those that the private Alertmanager routed it to.
        expected: those that it takes as computed; None where that cannot be computed.
        deliveries: what was sent, the first one of each integration, in their order.
        held_by: the alerts that inhibit it while all loaded rules fire at once.
        held_as_computed: the same, as computed; None where that cannot be computed.
    """

    labels: Mapping[str, str]
    is_test: bool
    receivers: frozenset[str]
    expected: frozenset[str] | None
    deliveries: tuple[Delivery, ...]
    held_by: tuple[Key, ...]
    held_as_computed: tuple[Key, ...] | None

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels.get("alertname", "")

    @property
    def key(self) -> Key:
        """What distinguishes it from the others."""
        return _key(self.labels)

    @property
    def agrees(self) -> bool:
        """Whether it was routed and inhibited as computed, where that can be computed."""
        routed = self.expected is None or self.receivers == self.expected
        held = self.held_as_computed is None or bool(self.held_by) is bool(self.held_as_computed)
        return routed and held

    def channels(self, channels: Mapping[str, Channel], within_s: float) -> dict[str, float]:
        """The channels that were notified in time, each with its seconds."""
        found: dict[str, float] = {}
        for told in self.deliveries:
            for name, channel in channels.items():
                if serves(channel, told.receiver, told.integration.kind) and name not in found:
                    found[name] = told.after_s
        return {name: after for name, after in found.items() if after <= within_s}


@dataclass(frozen=True, slots=True)
class Replay:
    """What became of all alerts.

    Attributes:
        alerts: each of them.
        version: of the private Alertmanager.
        took_s: seconds from the first alert to the last message that was waited for.
    """

    alerts: tuple[Replayed, ...]
    version: str
    took_s: float

    def of(self, severity: str) -> list[Replayed]:
        """The alerts of one severity."""
        return [alert for alert in self.alerts if alert.labels.get(SEVERITY) == severity]


def replay(
    running: Running, policy: Alerting, settings: Alertmanager, guardian: Guardian
) -> Replay:
    """Hand one alert for each live rule, and one for each severity, to a private Alertmanager.

    Args:
        running: the configuration, and the rules.
        policy: which channels each severity needs: it is waited for them, to their budgets.
        settings: how long a request may take.
        guardian: ends what is started here if this process dies.

    Raises:
        Unreachable: there is no Alertmanager on this machine, or not one that takes the
            configuration.
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

    The first one has no inhibition rules: with all alerts at once, one that is inhibited by
    another would never show its route when it comes alone.
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
        self._tells = self._start("tells", self.sink.url, guardian, stack, inhibits=False)
        self._holds = None
        if running.config.inhibit_rules:
            self._holds = self._start("holds", _NONE, guardian, stack, inhibits=True)
        self.version = self._tells.status().version
        self.live = {_key(labels): labels for labels in _alerts_of(running, policy)}
        probe = policy.probe.labels if policy.probe else {}
        tests = [{**probe, "alertname": TEST, SEVERITY: name} for name in policy.severities]
        self.alerts = self.live | {_key(labels): labels for labels in tests}

    def _start(
        self, name: str, url: str, guardian: Guardian, stack: ExitStack, *, inhibits: bool
    ) -> Peer:
        folder = self._folder / name
        folder.mkdir()
        config = rewritten(self._running.text, url, inhibits=inhibits)
        server = stack.enter_context(PrivateAlertmanager.start(folder, config, guardian))
        return stack.enter_context(Peer(server.url, self._settings))

    def hand_over(self) -> None:
        """Hand all alerts over; the loaded rules' alone where they are to inhibit each other."""
        _post(self._tells, self.alerts.values())
        if self._holds:
            _post(self._holds, self.live.values())

    def is_judged(self, labels: Mapping[str, str]) -> bool:
        """Whether somebody must be notified of it."""
        return labels.get(SEVERITY, "") in self.policy.severities and not self._running.is_probe(
            labels
        )

    def told(self) -> dict[Key, list[Told]]:
        """What was sent of each alert so far."""
        found: dict[Key, list[Told]] = {key: [] for key in self.alerts}
        for told in self.sink.told():
            found.setdefault(_key(told.labels), []).append(told)
        return found

    def reached(self, told: Iterable[Told]) -> set[str]:
        """The channels that some messages came to."""
        return {
            name
            for place in {message.place for message in told}
            for name, channel in self.policy.channels.items()
            if place in self._places
            and serves(channel, self._places[place][0], self._places[place][1].kind)
        }

    def hops(self, labels: Mapping[str, str]) -> list[Hop] | None:
        """The routes that it takes; None where a matcher cannot be computed."""
        try:
            return routes_of(self._running.config, labels)
        except NoData:
            return None

    def open_places(self, labels: Mapping[str, str], within_s: float) -> set[str]:
        """The places that are notified of it within some time, as computed."""
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
        routed = {_key(held.labels): held for held in self._tells.alerts()}
        computed = {key: self._holders(labels) for key, labels in self.live.items()}
        held = self._held(computed)
        told = self.told()
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
                expected=None if (hops := self.hops(labels)) is None else _receivers(hops),
                deliveries=tuple(self._deliveries(told[key], handed)),
                held_by=held.get(key, ()),
                held_as_computed=computed.get(key),
            )
            for key, labels in self.alerts.items()
        ]

    def _deliveries(self, told: Iterable[Told], handed: float) -> list[Delivery]:
        first: dict[str, Told] = {}
        for message in told:
            first.setdefault(message.place, message)
        return [
            Delivery(*self._places[place], message.at - handed, message.group)
            for place, message in first.items()
            if place in self._places
        ]

    def _holders(self, labels: Mapping[str, str]) -> tuple[Key, ...] | None:
        try:
            found = holders(self._running.config, labels, self.live.values())
        except NoData:
            return None
        return tuple(sorted((_key(holder) for holder in found), key=sorted))

    def _held(self, computed: Mapping[Key, tuple[Key, ...] | None]) -> dict[Key, tuple[Key, ...]]:
        """What inhibits each alert: it takes a moment until inhibition has seen them all."""
        peer = self._holds
        if peer is None:
            return {}
        wanted = {key for key, by in computed.items() if by}
        held = until(
            peer.alerts,
            lambda found: {_key(a.labels) for a in found if a.status.inhibited_by} == wanted,
            within_s=_HELD_WITHIN_S,
            every_s=_EVERY_S,
        )
        return {_key(alert.labels): _all_holders(alert, held, computed) for alert in held}


def _alerts_of(running: Running, policy: Alerting) -> Iterable[Mapping[str, str]]:
    """The labels of an alert for each rule; for each severity where a template makes that."""
    for rule in running.rules:
        open_ = "{{" in rule.severity
        for variant in [rule.at(name) for name in policy.severities] if open_ else [rule]:
            yield placed(variant.labels)


def _all_holders(
    alert: HeldAlert, all_held: Iterable[HeldAlert], computed: Mapping[Key, tuple[Key, ...] | None]
) -> tuple[Key, ...]:
    """Those that Alertmanager names (it stops at the first), and all others that were computed."""
    fingerprints = set(alert.status.inhibited_by)
    if not fingerprints:
        return ()
    named = {_key(other.labels) for other in all_held if other.fingerprint in fingerprints}
    return tuple(sorted(named | set(computed.get(_key(alert.labels)) or ()), key=sorted))


def _receivers(hops: Iterable[Hop]) -> frozenset[str]:
    return frozenset(hop.receiver for hop in hops)


def _post(peer: Peer, alerts: Iterable[Mapping[str, str]]) -> None:
    now = datetime.now(UTC)
    new = [NewAlert(labels, {}, now, now + _LASTS) for labels in alerts]
    for first in range(0, len(new), _AT_ONCE):
        peer.post(new[first : first + _AT_ONCE])


def _wait(scene: _Scene, handed: float) -> None:
    """Wait until all is sent that must be, and that was computed; or its time is over."""
    waiting = {
        key: (policy, scene.open_places(labels, policy.budget_s))
        for key, labels in scene.alerts.items()
        if scene.is_judged(labels)
        for policy in [scene.policy.severities[labels[SEVERITY]]]
    }

    def done() -> bool:
        passed, told = time.monotonic() - handed, scene.told()
        for key, (policy, places_) in list(waiting.items()):
            if passed > policy.budget_s + _MARGIN_S or _settled(scene, told[key], policy, places_):
                del waiting[key]
        return not waiting

    longest = max((policy.budget_s for policy, _ in waiting.values()), default=0.0)
    until(done, bool, within_s=longest + 2 * _MARGIN_S, every_s=_EVERY_S)


def _settled(
    scene: _Scene, told: Sequence[Told], policy: SeverityPolicy, places_: set[str]
) -> bool:
    if not places_ <= {message.place for message in told}:
        return False
    return not unmet(policy.channels, scene.reached(told))


def _key(labels: Mapping[str, str]) -> Key:
    return frozenset((name, value) for name, value in labels.items() if value)
