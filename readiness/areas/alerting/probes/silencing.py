"""Silences a synthetic alert, sees that it is not told, and that it is once the silence ends."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from readiness.areas.alerting.config import Channel, SyntheticProbe
from readiness.areas.alerting.inboxes import reader_of
from readiness.areas.alerting.probes.round_trip import Watched, wait
from readiness.areas.alerting.probes.synthetic import new_probe, synthetic
from readiness.config.base.watching import Alertmanager
from readiness.lib.alertmanager import Matcher, Peer

AUTHOR: Final = "readiness"
_LAST: Final = timedelta(minutes=5)
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Silenced:
    """What became of a silenced alert.

    Attributes:
        probe: its id.
        state: what the peers called it while the silence lasted, each once.
        told: channels that were told of it all the same.
        control: whether another alert, which nothing silenced, was told meanwhile.
        after_s: seconds from the end of the silence until it was told; None if it never was.
        group_interval_s: seconds after which Alertmanager looks at the group again, at most.
    """

    probe: str
    state: tuple[str, ...]
    told: tuple[str, ...]
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
            told = tuple(w.channel.name for w in of_quiet if w.messages)
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
        told=told,
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
