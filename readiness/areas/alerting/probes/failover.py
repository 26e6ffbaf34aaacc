"""Stops one peer of Alertmanager, and sees whether the others tell in its place."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from readiness.areas.alerting.config import Channel, SyntheticProbe
from readiness.areas.alerting.inboxes import reader_of
from readiness.areas.alerting.probes.round_trip import Watched, wait
from readiness.areas.alerting.probes.synthetic import Synthetic, new_probe, synthetic
from readiness.config.base.watching import Alertmanager
from readiness.lib import command
from readiness.lib.alertmanager import Peer
from readiness.lib.undo import Undo
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Moment

_POLL_S: Final = 0.2
_BACK_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Failover:
    """What arrived while the first peer was stopped.

    Attributes:
        probe: the id of the alert.
        arrived: seconds until each channel had it, by its name; None if it never did.
        group_wait_s: seconds that Alertmanager waits for more alerts of the group.
        back_s: seconds until the peer answered again and had found the others; None if not.
        timeline: what happened, in seconds since the drill began.
    """

    probe: str
    arrived: dict[str, float | None]
    group_wait_s: float
    back_s: float | None
    timeline: tuple[Moment, ...]


def fail_over(
    settings: Alertmanager, probe: SyntheticProbe, channels: Sequence[Channel], undo: Undo
) -> Failover:
    """Stop the first peer, send an alert to the others, and start it again whatever happens.

    Raises:
        NoData: there is one peer only, or no command that stops it.
        SafetyRefusal: the alert would reach somebody else.
        CouldNotMeasure: a command failed, or the peers are not well before the drill.
    """
    stop, start = settings.stop_peer, settings.start_peer
    if stop is None or start is None or len(settings.urls) == 1:
        raise NoData(
            "a failover needs two peers, and the commands that stop and start the first one",
            where="[alertmanager]",
            remedy="set `urls`, `stop_peer` and `start_peer`",
        )
    probe_id, began = new_probe(), time.monotonic()
    timeline: list[Moment] = []

    def note(label: str, *, good: bool | None = None) -> None:
        timeline.append(Moment(time.monotonic() - began, label, good))

    remedy = f"start it by hand, and see that it answers: {settings.urls[0]}/-/ready"
    with ExitStack() as stack:
        sender = stack.enter_context(synthetic(settings, probe))
        hops = sender.hops(probe_id)  # refuses, and sees that every peer is well
        group_wait_s = max(hop.group_wait_s for hop in hops)
        watched = [Watched(c, stack.enter_context(reader_of(c))) for c in channels]
        token = undo.run(start)
        try:
            command.run(stop, "stop the first peer", remedy)
            note("first peer stopped", good=False)
            within_s = (
                settings.peer_timeout_s * (len(settings.urls) - 1) + group_wait_s + probe.budget_s
            )
            arrived = _sent_without_first(sender, watched, probe_id, within_s)
            note("told by the others", good=None not in arrived.values())
        finally:
            command.run(start, "start the first peer", remedy)
            undo.forget(token)
        back_s = _back(sender.peers, len(settings.urls))
        note("first peer is back", good=back_s is not None)
    return Failover(probe_id, arrived, group_wait_s, back_s, tuple(timeline))


def _sent_without_first(
    sender: Synthetic, watched: Sequence[Watched], probe_id: str, within_s: float
) -> dict[str, float | None]:
    for one in watched:
        one.look(probe_id)
    sent = sender.send(probe_id, skip=1)
    wait(watched, probe_id, time.monotonic() + within_s)
    for one in watched:
        if not one.messages:
            one.must_be_read()
    arrived = {w.channel.name: w.after_s(sent.at, ended=False) for w in watched}
    sender.end(sent, skip=1)
    return arrived


def _back(peers: Sequence[Peer], count: int) -> float | None:
    """Seconds until every peer sees all of them again."""
    began = time.monotonic()
    while time.monotonic() - began < _BACK_S:
        try:
            if all(len(peer.status().cluster.peers) == count for peer in peers):
                return time.monotonic() - began
        except CouldNotMeasure:
            pass  # it is still starting
        time.sleep(_POLL_S)
    return None
