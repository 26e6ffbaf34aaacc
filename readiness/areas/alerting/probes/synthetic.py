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
from readiness.areas.alerting.inboxes import LAST_LOOK_S, Message, Watched, reader_of, wait
from readiness.areas.alerting.reach import ALERT_NAME, refuse_unless_contained, routes_of
from readiness.config.base.watching import Alertmanager
from readiness.lib.alertmanager import HeldAlert, Matcher, NewAlert, Peer, Status
from readiness.lib.patience import until
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
    """Synthetic alerts for one Alertmanager; use it as a context manager.

    At its end, whatever it sent is ended, at every peer that answers.

    Args:
        settings: where the peers are.
        probe: the label, and the receiver that may be reached.
        receiver: that receiver.
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
        """Where the first peer routes a synthetic alert; each peer is asked whether it may be sent.

        Raises:
            SafetyRefusal: it would reach somebody else, or inhibit real alerts.
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

    def labels(self, probe: str) -> dict[str, str]:
        """The labels of a synthetic alert."""
        return {ALERT_NAME: ALERT, **self._probe.labels, self._probe.label: probe}

    def send(self, probe: str, *, count: int = 1, skip: int = 0) -> Sent:
        """Hand alerts over to every peer, as Prometheus does; the same ones if sent before.

        Args:
            probe: their id.
            count: how many; several differ in the label `number`.
            skip: how many peers, from the first on, are left out: they are away.

        Raises:
            CouldNotMeasure: a peer does not take them.
        """
        sent = self._sent.get(probe) or self._new(probe, count)
        self._sent[probe] = sent  # before it is sent: it has to be ended even if that fails
        self._to_peers(sent.alerts, self.peers[skip:])
        return sent

    def _new(self, probe: str, count: int) -> Sent:
        now = datetime.now(UTC)
        ends = now + timedelta(seconds=self._probe.budget_s + _SPARE_S)
        numbers = [{"number": str(n)} for n in range(count)] if count > 1 else [{}]
        labels = self.labels(probe)
        alerts = [NewAlert(labels | more, _annotations(probe), now, ends) for more in numbers]
        return Sent(probe, now.timestamp(), tuple(alerts))

    def let_others_pass(self) -> None:
        """Wait until every other peer had its turn to send, and saw that it was sent already.

        An alert that ended before would be sent by them as firing, after its end: they wait with
        what they were handed, and compare it with what was sent last.
        """
        time.sleep(self._settings.peer_timeout_s * (len(self.peers) - 1) + _GOSSIP_S)

    def end(self, sent: Sent, *, skip: int = 0) -> float:
        """End alerts at every peer; gives the Unix time of their end.

        Raises:
            CouldNotMeasure: a peer does not take it.
        """
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
        """Hand over to each of them, to the others even where one does not take it."""
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
    """Synthetic alerts as the configuration has them.

    Args:
        settings: `[alertmanager]`.
        probe: `[alerting.probe]`.
        drill: whether they go to the receiver of `[alerting.probe.drill]`.

    Raises:
        NoData: one of the tables is missing.
    """
    if settings is None or probe is None or (drill and probe.drill is None):
        missing = (
            "[alertmanager]" if settings is None
            else "[alerting.probe]" if probe is None
            else "[alerting.probe.drill]"
        )  # fmt: skip
        raise NoData(
            f"{missing} is not configured: synthetic alerts cannot be sent",
            where="readiness.toml",
            remedy="see `readiness init` for an example, and the guide for the route it needs",
        )
    receiver = probe.drill.receiver if drill and probe.drill else probe.receiver
    with Synthetic(settings, probe, receiver) as opened:
        yield opened


def _annotations(probe: str) -> dict[str, str]:
    return {
        "summary": f"A test of the alerting, nothing is wrong ({probe})",
        "description": "Sent by readiness, which looks whether it arrives. Nobody has to act.",
    }


def _settled(peer: Peer) -> Status:
    """How a peer is, once it has found the others; a restarted one takes some seconds for that."""
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

    fired: tuple[Message, ...]  # the messages that say that it fires
    ended: tuple[Message, ...]  # those that say that it ended
    fired_s: float | None  # seconds from the hand-over until the first; None if none came in time
    ended_s: float | None  # the same for the end
    problem: CouldNotMeasure | None = None  # why the channel could not be read, if it could not


@dataclass(frozen=True, slots=True)
class Trip:
    """What became of one synthetic alert."""

    probe: str  # its id
    arrivals: Mapping[str, Arrival]  # by the name of the channel
    group_interval_s: float  # seconds after which Alertmanager looks at the group again, at most
    held: int  # how many alerts the peers still held at the end
    diagnosis: str  # what the Alertmanagers answered while it had not arrived; empty if it had


def travel(synthetic: Synthetic, channels: Sequence[Channel], budget_s: float) -> Trip:
    """Send one alert, see it arrive everywhere, send it again, end it, see that too.

    Args:
        synthetic: where it is sent.
        channels: those that can be read.
        budget_s: seconds within which it must have arrived.

    Raises:
        SafetyRefusal: it would reach somebody else.
        CouldNotMeasure: an Alertmanager does not take it.
    """
    probe = new_probe()
    hops = synthetic.hops(probe)
    interval_s = max(hop.group_interval_s for hop in hops)
    with ExitStack() as stack:
        watched = [Watched(c, stack.enter_context(reader_of(c))) for c in channels]
        for one in watched:
            one.look(probe)  # opens the connection: what is measured is the way, not the look
        sent = synthetic.send(probe)
        # Twice the budget, to distinguish late from never.
        wait(watched, probe, time.monotonic() + 2 * budget_s)
        missing = [w.channel.name for w in watched if not w.told(ended=False)]
        diagnosis = diagnose(synthetic, sent) if missing else ""
        synthetic.let_others_pass()
        for _ in range(_REPEATS):
            synthetic.send(probe)
        ended_at = synthetic.end(sent)
        telling = [w for w in watched if w.channel.resolves and w.told(ended=False)]
        wait(telling, probe, time.monotonic() + interval_s + budget_s + LAST_LOOK_S, ended=True)
        synthetic.let_others_pass()
        for one in watched:
            one.look(probe)  # what came twice, or once more after its end, shows now
        held = len(synthetic.held(probe))
    return Trip(probe, {w.channel.name: _arrival(w, sent.at, ended_at) for w in watched},
                interval_s, held, diagnosis)  # fmt: skip


def _arrival(watched: Watched, sent_at: float, ended_at: float) -> Arrival:
    return Arrival(
        fired=tuple(message for message, _ in watched.told(ended=False)),
        ended=tuple(message for message, _ in watched.told(ended=True)),
        fired_s=watched.after_s(sent_at, ended=False),
        ended_s=watched.after_s(ended_at, ended=True),
        problem=watched.problem,
    )


def diagnose(synthetic: Synthetic, sent: Sent) -> str:
    """What the peers say of an alert that did not arrive, in words."""
    said = []
    for url, alert in synthetic.held(sent.probe):
        state = alert.status
        held_by = [f"silenced by {s}" for s in state.silenced_by]
        held_by += [f"inhibited by {i}" for i in state.inhibited_by]
        said.append(
            f"{url} accepted it, calls it {state.state}, for {', '.join(alert.receivers)}"
            + (f", {' and '.join(held_by)}" if held_by else "")
        )
    if not said:
        return "no Alertmanager has it any more: it was lost or dropped"
    if all("active" in text for text in said):
        said.append(
            "active and not sent: the receiver has no such integration, a time interval mutes it,"
            " or the vendor failed or dropped it (see Alertmanager's log)"
        )
    return "; ".join(said)


AUTHOR: Final = "readiness"
_LAST: Final = timedelta(minutes=5)
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Silenced:
    """What became of a silenced alert."""

    probe: str  # its id
    state: tuple[str, ...]  # what the peers called it while the silence lasted, each once
    notified: tuple[str, ...]  # channels that were notified all the same
    control: bool  # whether another alert, which nothing silenced, arrived meanwhile
    # Seconds from the end of the silence to its arrival; None if it never arrived.
    after_s: float | None
    group_interval_s: float  # seconds after which Alertmanager looks at the group again, at most


def silence_round_trip(
    settings: Alertmanager, probe: SyntheticProbe, channels: Sequence[Channel]
) -> Silenced:
    """Silence one alert by its id, with another one beside it as a control; then end the silence.

    Raises:
        SafetyRefusal: the alerts would reach somebody else.
        NotPermitted: the silence may not be made.
        CouldNotMeasure: an Alertmanager or channel does not answer.
    """
    quiet, loud = new_probe(), new_probe()
    with ExitStack() as stack:
        sender = stack.enter_context(synthetic(settings, probe))
        hops = sender.hops(quiet)
        readers = [(c, stack.enter_context(reader_of(c))) for c in channels]
        of_quiet = [Watched(c, r) for c, r in readers]
        of_loud = [Watched(c, r) for c, r in readers]
        matcher = Matcher(name=probe.label, value=quiet)
        until = datetime.now(UTC) + _LAST
        comment = "A test of the alerting; it is removed at once."
        silence = sender.peers[0].silence([matcher], until=until, by=AUTHOR, comment=comment)
        try:
            _known_everywhere(sender.peers, silence, probe.budget_s)
            sender.send(quiet)
            sender.send(loud)
            wait_s = max(hop.group_wait_s for hop in hops)
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
        interval_s = max(hop.group_interval_s for hop in hops)
        wait(of_quiet, quiet, time.monotonic() + interval_s + probe.budget_s)
        times = [w.after_s(ended, ended=False) for w in of_quiet]
        sender.let_others_pass()
    found = [at for at in times if at is not None]
    return Silenced(
        probe=quiet,
        state=state,
        notified=notified,
        control=all(w.told(ended=False) for w in of_loud),
        after_s=max(found) if len(found) == len(times) else None,
        group_interval_s=interval_s,
    )


def _known_everywhere(peers: Sequence[Peer], silence: str, within_s: float) -> None:
    """Wait until gossip has brought the silence to every peer; what is missing shows later."""
    deadline = time.monotonic() + within_s
    waiting = list(peers)
    while waiting and time.monotonic() < deadline:
        waiting = [p for p in waiting if all(s.id != silence for s in p.silences())]
        if waiting:
            time.sleep(_POLL_S)
