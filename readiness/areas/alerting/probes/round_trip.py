"""Follows synthetic alerts to every channel, to their end, and through a silence."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from readiness.areas.alerting.config import Channel, SyntheticProbe
from readiness.areas.alerting.inboxes import Message, Reader, reader_of
from readiness.areas.alerting.probes.synthetic import Sent, Synthetic, new_probe, synthetic
from readiness.config.base.watching import Alertmanager
from readiness.lib.alertmanager import Matcher, Peer
from readiness.model.errors import CouldNotMeasure

_REPEATS: Final = 2
# The look at an inbox may itself take a moment, at the end of a budget.
_LAST_LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """What arrived at one channel.

    Attributes:
        fired: the messages that say that it fires.
        ended: those that say that it ended.
        fired_s: seconds from the hand-over until the first; None if none came in time.
        ended_s: the same for the end.
        problem: why the channel could not be read, if it could not.
    """

    fired: tuple[Message, ...]
    ended: tuple[Message, ...]
    fired_s: float | None
    ended_s: float | None
    problem: CouldNotMeasure | None = None


@dataclass(frozen=True, slots=True)
class Trip:
    """What became of one synthetic alert.

    Attributes:
        probe: its id.
        arrivals: by the name of the channel.
        group_interval_s: seconds after which Alertmanager looks at the group again, at most.
        held: how many alerts the peers still held at the end.
        diagnosis: what the Alertmanagers answered while it had not arrived; empty if it had.
    """

    probe: str
    arrivals: Mapping[str, Arrival]
    group_interval_s: float
    held: int
    diagnosis: str


@dataclass(slots=True)
class Watched:
    """One channel while it is watched."""

    channel: Channel
    reader: Reader
    next_look: float = 0.0
    messages: list[Message] = field(default_factory=list)
    seen_at: list[float] = field(default_factory=list)
    problem: CouldNotMeasure | None = None

    def look(self, probe: str) -> None:
        """Read the channel; each message keeps the moment in which it was first seen."""
        try:
            found = self.reader.read(probe)
        except CouldNotMeasure as error:
            self.problem = error
            return
        now = time.time()
        self.problem = None
        self.messages = found
        self.seen_at += [now] * (len(found) - len(self.seen_at))
        self.next_look = time.monotonic() + self.reader.poll_s

    def must_be_read(self) -> None:
        """Raise what kept the last look from seeing anything: it is not that nothing was there.

        Raises:
            CouldNotMeasure: the channel could not be read.
        """
        if self.problem:
            raise self.problem

    def told(self, *, ended: bool) -> list[tuple[Message, float]]:
        """The messages of one kind, with when each was seen."""
        word = self.channel.resolved_text.lower()
        return [
            (message, seen)
            for message, seen in zip(self.messages, self.seen_at, strict=False)
            if (word in message.text.lower()) is ended
        ]

    def after_s(self, since: float, *, ended: bool) -> float | None:
        """Seconds from a Unix time until the first message of one kind; None if there is none."""
        for message, seen in self.told(ended=ended):
            # The channel's own clock is exact, unless it says what cannot be: then ours counts.
            exact = message.at is not None and since <= message.at <= seen
            return (message.at if exact and message.at else seen) - since
        return None


def wait(watched: Sequence[Watched], probe: str, deadline: float, *, ended: bool = False) -> None:
    """Look at channels until each has a message of one kind, or the time is over.

    Args:
        watched: the channels.
        probe: the id that is looked for.
        deadline: on the monotonic clock.
        ended: whether the end of the alert is waited for.
    """
    while waiting := [w for w in watched if not w.told(ended=ended)]:
        now = time.monotonic()
        if now > deadline:
            return
        due = min(waiting, key=lambda w: w.next_look)
        time.sleep(max(0.0, min(due.next_look, deadline) - now))
        due.look(probe)
        if due.problem:
            due.next_look = time.monotonic() + max(due.reader.poll_s, _LAST_LOOK_S)


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
        wait(telling, probe, time.monotonic() + interval_s + budget_s + _LAST_LOOK_S, ended=True)
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
    """What became of a silenced alert.

    Attributes:
        probe: its id.
        state: what the peers called it while the silence lasted, each once.
        notified: channels that were notified all the same.
        control: whether another alert, which nothing silenced, arrived meanwhile.
        after_s: seconds from the end of the silence to its arrival; None if it never arrived.
        group_interval_s: seconds after which Alertmanager looks at the group again, at most.
    """

    probe: str
    state: tuple[str, ...]
    notified: tuple[str, ...]
    control: bool
    after_s: float | None
    group_interval_s: float


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
