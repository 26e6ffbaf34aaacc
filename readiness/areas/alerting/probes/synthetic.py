"""Sends synthetic alerts to all peers of an Alertmanager, and follows them to every channel."""

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from readiness.areas.alerting.alertmanager_config import Hop, parse
from readiness.areas.alerting.config import Channel, SyntheticProbe
from readiness.areas.alerting.inboxes import LAST_LOOK_S, Message, Watched, reader_of, wait, watch
from readiness.areas.alerting.reach import ALERT_NAME, refuse_unless_contained, routes_of
from readiness.config.base.watching import Alertmanager
from readiness.lib.alertmanager import HeldAlert, Matcher, NewAlert, Peer, Status
from readiness.lib.durations import prometheus_text
from readiness.lib.retry import until
from readiness.model.errors import CouldNotMeasure, NoData, Unreachable

ALERT: Final = "ReadinessProbe"
DRILL_PREFIX: Final = "drill-"
_NOT_READY: Final = "settling"
_SETTLING_S: Final = 30.0
_GOSSIP_S: Final = 0.5
# A run that is killed leaves alerts that end by themselves, this long after their budget.
_SPARE_S: Final = 60.0


def new_probe(prefix: str = "") -> str:
    """An id that no other alert has, and that survives every template and search."""
    return f"{prefix}rd{secrets.token_hex(6)}"


@dataclass(frozen=True, slots=True)
class Sent:
    """Synthetic alerts that were handed over."""

    probe: str  # their id
    at: float  # when, as Unix time
    alerts: tuple[NewAlert, ...]  # what was sent; to end them, the same with another end


class Synthetic:
    """Synthetic alerts for one Alertmanager and one receiver; use it as a context manager.

    At its end, every alert that it sent is ended, at every peer that answers.
    """

    def __init__(self, settings: Alertmanager, probe: SyntheticProbe, receiver: str) -> None:
        self._settings = settings
        self._probe = probe
        self._receiver = receiver
        self._stack = ExitStack()
        self._sent: dict[str, Sent] = {}
        self.peers: list[Peer] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for url in self._settings.urls:
                self.peers.append(stack.enter_context(Peer(url, self._settings)))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for sent in list(self._sent.values()):
                # A check that failed midway: what cannot be ended now ends by itself.
                with suppress(CouldNotMeasure):
                    self.end(sent)
        finally:
            self._stack.close()

    def hops(self, probe: str) -> list[Hop]:
        """Where the first peer routes a synthetic alert, after every peer was checked for safety.

        Raises:
            SafetyRefusal: it would reach another receiver, or inhibit real alerts.
            CouldNotMeasure: a peer does not answer, or is not ready yet.
        """
        labels = self.labels(probe)
        found = []
        for peer in self.peers:
            config = parse(_settled(peer).config)
            refuse_unless_contained(
                config, labels, receiver=self._receiver, unique=self._probe.label, where=peer.url
            )
            found.append(routes_of(config, labels))
        return found[0]

    def too_long(self, seconds: float, setting: str) -> NoData | None:
        """An error if a setting of the route makes a check wait for longer than agreed."""
        limit_s = self._settings.wait_max_s
        if seconds <= limit_s:
            return None
        return NoData(
            f"{setting} of the route to {self._receiver} is {prometheus_text(seconds)}: waiting for"
            f" it would take longer than {prometheus_text(limit_s)}"
            f" ({self._settings.deciding('wait_max_s')})",
            where=f"{self.peers[0].url}/api/v2/status",
            remedy=f"set on that route `group_wait: 0s` and `group_interval: 20s`, or `wait_max_s ="
            f" {seconds:.0f}` in [alertmanager]",
        )

    def labels(self, probe: str) -> dict[str, str]:
        """The labels of a synthetic alert."""
        return {ALERT_NAME: ALERT, **self._probe.labels, self._probe.label: probe}

    def send(self, probe: str, *, count: int = 1, skip: int = 0) -> Sent:
        """Hand alerts over to every peer, as Prometheus does; the same ones if sent before.

        Several differ in the label `number`. The first `skip` peers are left out: they are down.
        """
        sent = self._sent.get(probe) or self._new(probe, count)
        self._sent[probe] = sent  # before it is sent: it must be ended even if that fails
        self._to_peers(sent.alerts, self.peers[skip:])
        return sent

    def hand_over(self, probe: str, alerts: Sequence[NewAlert]) -> Sent:
        """Hand these alerts over to every peer, under an id of their own."""
        sent = Sent(probe, alerts[0].starts_at.timestamp(), tuple(alerts))
        self._sent[probe] = sent
        self._to_peers(sent.alerts, self.peers)
        return sent

    def _new(self, probe: str, count: int) -> Sent:
        now = datetime.now(UTC)
        ends = now + timedelta(seconds=self._probe.budget_s + _SPARE_S)
        numbers = [{"number": str(n)} for n in range(count)] if count > 1 else [{}]
        labels = self.labels(probe)
        alerts = [NewAlert(labels | more, _annotations(probe), now, ends) for more in numbers]
        return Sent(probe, now.timestamp(), tuple(alerts))

    def let_others_pass(self) -> None:
        """Wait until every other peer had its turn, and saw that the alert was already sent.

        An alert that ended earlier would be sent as firing after its end: a peer waits with what
        it was handed, and compares that with what was sent last.
        """
        time.sleep(self._settings.peer_timeout_s * (len(self.peers) - 1) + _GOSSIP_S)

    def end(self, sent: Sent, *, skip: int = 0) -> float:
        """End alerts at every peer; gives the Unix time of their end."""
        now = datetime.now(UTC)
        ended = [replace(alert, ends_at=now) for alert in sent.alerts]
        self._to_peers(ended, self.peers[skip:])
        self._sent.pop(sent.probe, None)
        return now.timestamp()

    def held(self, probe: str) -> list[tuple[str, HeldAlert]]:
        """The alerts with this id that peers hold, with the address of each peer."""
        return [
            (peer.url, alert)
            for peer in self.peers
            for alert in peer.alerts(f'{self._probe.label}="{probe}"')
        ]

    def _to_peers(self, alerts: Sequence[NewAlert], peers: Sequence[Peer]) -> None:
        """Hand over to each of them, to the others even if one refuses."""
        failures = []
        for peer in peers:
            try:
                peer.post(alerts)
            except CouldNotMeasure as error:
                failures.append(error)
        if failures:
            raise failures[0]


@contextmanager
def synthetic(
    settings: Alertmanager | None, probe: SyntheticProbe | None, *, drill: bool = False
) -> Iterator[Synthetic]:
    """Synthetic alerts as configured, for the receiver of the probe or of its drill.

    Raises:
        NoData: one of the tables is missing.
    """
    target = probe.drill if drill and probe else probe
    if settings is None or probe is None or target is None:
        table = "[alerting.probe.drill]" if probe else "[alerting.probe]"
        raise NoData(
            f"{table if settings else '[alertmanager]'} is not configured: synthetic alerts cannot"
            " be sent",
            where="readiness.toml",
            remedy="see an example: readiness init --template example.toml; the guide has the route"
            " that it needs",
        )
    with Synthetic(settings, probe, target.receiver) as opened:
        yield opened


def _annotations(probe: str) -> dict[str, str]:
    return {
        "summary": f"A test of the alerting, nothing is wrong ({probe})",
        "description": "Sent by readiness to check that it arrives. No action is needed.",
    }


def _settled(peer: Peer) -> Status:
    """The status of a peer after it has found the others, which takes seconds after a restart."""
    status = until(
        peer.status, lambda found: found.cluster.status != _NOT_READY, within_s=_SETTLING_S
    )
    if status.cluster.status == _NOT_READY:
        raise Unreachable(
            "is still looking for its peers and sends nothing",
            where=peer.url,
            remedy="wait until /api/v2/status says `ready`; see alerting.alertmanager-cluster",
        )
    return status


_REPEATS: Final = 2


@dataclass(frozen=True, slots=True)
class Arrival:
    """What arrived at one channel."""

    fired: tuple[Message, ...]
    ended: tuple[Message, ...]
    fired_s: float | None  # seconds from the hand-over; None if no message came in time
    ended_s: float | None  # seconds from the end of the alert
    problem: CouldNotMeasure | None = None  # why the channel could not be read


@dataclass(frozen=True, slots=True)
class Trip:
    """The outcome of one synthetic alert."""

    probe: str
    arrivals: Mapping[str, Arrival]  # by the name of the channel
    group_wait_s: float  # the longest of its routes
    group_interval_s: float  # the longest of its routes
    held: int  # alerts that the peers still held at the end
    # What the Alertmanagers answered while it had not arrived; empty if it had.
    diagnosis: str
    too_long: NoData | None = None  # why its end was not waited for

    def late(self, budget_s: float) -> str:
        """Why it comes late whatever else happens; empty if its routes are quick enough."""
        if self.group_wait_s < budget_s:
            return ""
        return f"group_wait of its route is {prometheus_text(self.group_wait_s)}"

    def at(self, channel: str, *, to_the_end: bool = False) -> Arrival:
        """What arrived at a channel, which must have been readable (to the end of the trip)."""
        found = self.arrivals.get(channel)
        if found is None:
            raise NoData(f"no synthetic alert was followed to the channel {channel}")
        if found.problem and (to_the_end or not found.fired):
            raise found.problem
        return found


def travel(synthetic: Synthetic, channels: Sequence[Channel], budget_s: float) -> Trip:
    """Send one alert, see it arrive everywhere, send it again, end it, and see its end arrive.

    Raises:
        SafetyRefusal: it would reach another receiver.
        CouldNotMeasure: an Alertmanager does not take it.
    """
    probe = new_probe()
    hops = synthetic.hops(probe)
    wait_s = max(hop.group_wait_s for hop in hops)
    interval_s = max(hop.group_interval_s for hop in hops)
    too_long = synthetic.too_long(interval_s, "group_interval")
    with ExitStack() as stack:
        watched = watch(channels, stack)
        for one in watched:
            one.look(probe)  # opens the connection: the delivery is timed, not the first look
        sent = synthetic.send(probe)
        # Twice the budget, to distinguish late from never.
        wait(watched, probe, time.monotonic() + 2 * budget_s)
        missing = any(not w.shown(ended=False) for w in watched)
        diagnosis = diagnose(synthetic, sent) if missing else ""
        synthetic.let_others_pass()
        for _ in range(_REPEATS):
            synthetic.send(probe)
        ended_at = synthetic.end(sent)
        resolving = [w for w in watched if w.channel.resolves and w.shown(ended=False)]
        if too_long:
            resolving = []
        wait(resolving, probe, time.monotonic() + interval_s + budget_s + LAST_LOOK_S, ended=True)
        synthetic.let_others_pass()
        for one in watched:
            one.look(probe)  # what came twice, or again after its end, shows now
        held = len(synthetic.held(probe))
    arrivals = {w.channel.name: _arrival(w, sent.at, ended_at) for w in watched}
    return Trip(probe, arrivals, wait_s, interval_s, held, diagnosis, too_long)


def _arrival(watched: Watched, sent_at: float, ended_at: float) -> Arrival:
    return Arrival(
        fired=tuple(message for message, _ in watched.shown(ended=False)),
        ended=tuple(message for message, _ in watched.shown(ended=True)),
        fired_s=watched.after_s(sent_at, ended=False),
        ended_s=watched.after_s(ended_at, ended=True),
        problem=watched.problem,
    )


def diagnose(synthetic: Synthetic, sent: Sent) -> str:
    """The state at the peers of an alert that did not arrive, in words."""
    states = []
    for url, alert in synthetic.held(sent.probe):
        state = alert.status
        held_by = [f"silenced by {s}" for s in state.silenced_by]
        held_by += [f"inhibited by {i}" for i in state.inhibited_by]
        states.append(
            f"{url} accepted it, calls it {state.state}, for {', '.join(alert.receivers)}"
            + (f", {' and '.join(held_by)}" if held_by else "")
        )
    if not states:
        return "no Alertmanager holds it: it was lost or dropped"
    if all("active" in text for text in states):
        states.append(
            "active and not sent: the receiver has no such integration, a time interval mutes it,"
            " or the vendor failed or dropped it (see Alertmanager's log)"
        )
    return "; ".join(states)


_LASTS: Final = timedelta(minutes=5)
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Silenced:
    """The outcome of a silenced alert."""

    probe: str
    state: tuple[str, ...]  # its states at the peers while the silence lasted, each once
    notified: tuple[str, ...]  # channels that were notified nevertheless
    control: bool  # whether another alert, which no silence covers, arrived meanwhile
    after_s: float | None  # from the end of the silence to its arrival; None if it never arrived
    group_interval_s: float  # the longest of its routes


def silence_round_trip(
    settings: Alertmanager, probe: SyntheticProbe, channels: Sequence[Channel]
) -> Silenced:
    """Silence one alert by its id, with another one beside it as a control; then end the silence.

    Raises:
        SafetyRefusal: the alerts would reach another receiver.
        NotPermitted: the silence is refused.
        NoData: the route would make us wait for longer than `wait_max_s`.
        CouldNotMeasure: an Alertmanager or channel does not answer.
    """
    quiet, loud = new_probe(), new_probe()
    with ExitStack() as stack:
        sender = stack.enter_context(synthetic(settings, probe))
        hops = sender.hops(quiet)
        wait_s = max(hop.group_wait_s for hop in hops)
        interval_s = max(hop.group_interval_s for hop in hops)
        for seconds, setting in ((wait_s, "group_wait"), (interval_s, "group_interval")):
            if too_long := sender.too_long(seconds, setting):
                raise too_long
        readers = [(c, stack.enter_context(reader_of(c))) for c in channels]
        of_quiet = [Watched(c, r) for c, r in readers]
        of_loud = [Watched(c, r) for c, r in readers]
        matcher = Matcher(name=probe.label, value=quiet)
        ends = datetime.now(UTC) + _LASTS
        comment = "A test of the alerting; it is removed at once."
        silence = sender.peers[0].silence([matcher], until=ends, by="readiness", comment=comment)
        try:
            _known_everywhere(sender.peers, silence, probe.budget_s)
            sender.send(quiet)
            sender.send(loud)
            wait(of_loud, loud, time.monotonic() + wait_s + probe.budget_s)
            sender.let_others_pass()  # a peer that does not know the silence comes to its turn
            for watched in of_quiet:
                watched.look(quiet)
                watched.must_be_read()
            notified = tuple(w.channel.name for w in of_quiet if w.messages)
            state = tuple(sorted({held.status.state for _, held in sender.held(quiet)}))
        finally:
            sender.peers[0].expire_silence(silence)
        ended = time.time()
        wait(of_quiet, quiet, time.monotonic() + interval_s + probe.budget_s)
        times = [w.after_s(ended, ended=False) for w in of_quiet]
        sender.let_others_pass()
    found = [at for at in times if at is not None]
    return Silenced(
        probe=quiet,
        state=state,
        notified=notified,
        control=all(w.shown(ended=False) for w in of_loud),
        after_s=max(found) if len(found) == len(times) else None,
        group_interval_s=interval_s,
    )


def _known_everywhere(peers: Sequence[Peer], silence: str, within_s: float) -> None:
    """Wait until gossip has brought the silence to every peer; what is missing shows later."""
    until(
        lambda: all(any(s.id == silence for s in peer.silences()) for peer in peers),
        bool,
        within_s=within_s,
        every_s=_POLL_S,
    )
