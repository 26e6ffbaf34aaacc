"""Stops a part of the alerting or of what it monitors, and watches which notifications follow."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from readiness.areas.alerting.config import Alerting, Channel, DeadMan, SyntheticProbe
from readiness.areas.alerting.inboxes import (
    Message,
    Reader,
    Watched,
    must_be_read,
    reader_of,
    wait,
    watch,
)
from readiness.areas.alerting.probes.cluster import resend_delay_s
from readiness.areas.alerting.probes.end_to_end import (
    CanaryPlan,
    Walk,
    refuse_long_end,
    reversibly,
    walking,
)
from readiness.areas.alerting.probes.synthetic import Synthetic, new_probe, synthetic
from readiness.config.base.watching import Alertmanager
from readiness.config.base.watching import Prometheus as PrometheusSettings
from readiness.lib.alertmanager import Peer
from readiness.lib.guardian import Undo
from readiness.lib.prometheus import Prometheus
from readiness.lib.retry import until
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Moment


@dataclass(frozen=True, slots=True)
class Beat:
    """The next beat."""

    waited_s: float | None  # until it came; None if it did not
    last_known: str  # when the one before it came, in words


class Beats:
    """Waits for a message that was not there when it began to look.

    Raises:
        CouldNotMeasure: the channel cannot be read: a message that is there later might be old.
    """

    def __init__(self, channel: Channel, reader: Reader, text: str) -> None:
        self._watched = Watched(channel, reader)
        self._text = text
        self._look()
        self.before = self._watched.messages

    def next_s(self, within_s: float) -> float | None:
        """Seconds until one comes; None if none does in time.

        Raises:
            CouldNotMeasure: the channel cannot be read at the end.
        """
        began = time.monotonic()
        while time.monotonic() - began <= within_s:
            self._watched.look(self._text)
            if _is_newer(self._watched.messages, self.before):
                return time.monotonic() - began
            time.sleep(self._watched.reader.poll_s)
        self._look()
        came = _is_newer(self._watched.messages, self.before)
        return time.monotonic() - began if came else None

    def _look(self) -> None:
        self._watched.look(self._text)
        self._watched.must_be_read()


@contextmanager
def beats(channel: Channel, text: str) -> Iterator[Beats]:
    """Look at a channel for messages with some text, from now on.

    Raises:
        NoData: the channel has no inbox.
        CouldNotMeasure: it cannot be read.
    """
    if channel.inbox is None:
        raise NoData(
            f"the channel {channel.name} has no inbox: its messages cannot be read",
            where=f"[alerting.channels.{channel.name}]",
            remedy=f"add [alerting.channels.{channel.name}.inbox]",
        )
    with reader_of(channel) as reader:
        yield Beats(channel, reader, text)


def next_beat(channel: Channel, name: str, within_s: float) -> Beat:
    """Wait for a message that contains the alert's name and was not there before.

    Raises:
        NoData: the channel has no inbox.
        CouldNotMeasure: it cannot be read.
    """
    with beats(channel, name) as seen:
        return Beat(seen.next_s(within_s), _in_words(_newest(seen.before)))


def _is_newer(messages: Sequence[Message], before: Sequence[Message]) -> bool:
    """By time or by number: an inbox that shows only the last few never shows more of them."""
    return _newest(messages) > _newest(before) or len(messages) > len(before)


def _newest(messages: Sequence[Message]) -> float:
    return max((message.at for message in messages if message.at), default=0.0)


def _in_words(at: float) -> str:
    if not at:
        return "not known"
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


_POLL_S: Final = 0.2
_STEADY_S: Final = 120.0
_RESENDS: Final = 4
"""An alert ends for Alertmanager after four times the interval in which it is sent again."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What followed after the source of a firing alert was stopped; times count from the stop."""

    probe: str  # the id of the canary's alert
    job: str  # the job that was stopped
    all_clear_s: float | None  # until the alert was called resolved; None if it never was
    noticed_s: float | None  # until a peer held an alert for the loss; None if none did
    noticed_by: str  # the name of that alert
    steady: bool  # whether everything was as before in the end


def lose_source(plan: CanaryPlan, undo: Undo) -> Loss:
    """Stop the canary's source while its alert fires, wait for what follows, start it again.

    Raises:
        NoData: there are no commands for it, or the alert did not arrive in the first place.
        SafetyRefusal: the canary's alert would reach another receiver.
        CouldNotMeasure: a command fails, or a server does not answer.
    """
    canary = plan.canary
    if canary.stop_source is None or canary.start_source is None:
        raise NoData("`stop_source` is not set", where="[alerting.canary]")
    with walking(plan, undo) as (seen, watched):
        refuse_long_end(seen, plan)
        notified = (w for w in watched if w.channel.resolves and w.shown(ended=False))
        one = next(notified, None)
        if one is None or seen.handed_over is None:
            raise NoData(
                "the canary's alert did not arrive, so that its end cannot be watched",
                where=canary.alert,
                remedy="see alerting.rule-delivery",
            )
        with _stopped(canary.stop_source, canary.start_source, "the canary's source", undo):
            loss = _watch_loss(plan, seen, one)
        return replace(loss, steady=_is_over(plan, loss))


def _watch_loss(plan: CanaryPlan, seen: Walk, one: Watched) -> Loss:
    began, job = time.time(), seen.labels.get("job", "")
    if not job:
        raise NoData(
            "the canary's alert has no label `job`: an alert for its loss cannot be recognized",
            where=seen.rule.query,
            remedy="let the rule keep the labels of the series: readiness_canary > 0",
        )
    longest = seen.detection_s + seen.group_interval_s + plan.probe.budget_s
    with ExitStack() as stack:
        peers = [
            stack.enter_context(Peer(url, plan.alertmanager)) for url in plan.alertmanager.urls
        ]
        wait([one], seen.probe, time.monotonic() + longest, ended=True)
        one.must_be_read()
        clear_s = one.after_s(began, ended=True)
        name = until(
            lambda: _loss_alert(peers, job, plan.probe.label, began),
            bool,
            within_s=plan.canary.loss_max_s,
            every_s=_POLL_S,
        )
        noticed_s = time.time() - began if name else None
    return Loss(seen.probe, job, clear_s, noticed_s, name, steady=False)


def _is_over(plan: CanaryPlan, loss: Loss) -> bool:
    """Wait until Prometheus no longer has an alert for the loss, so that the next check can run."""

    def is_lost(labels: Mapping[str, str]) -> bool:
        return labels.get("job") == loss.job and plan.probe.label not in labels

    with Prometheus(plan.prometheus) as prometheus:
        return _becomes_true(lambda: not any(is_lost(a.labels) for a in prometheus.alerts()))


def _loss_alert(peers: Sequence[Peer], job: str, probe_label: str, since: float) -> str:
    """The name of a real alert on that job that began meanwhile and is not muted, or ""."""
    for peer in peers:
        for alert in peer.alerts(f'job="{job}"'):
            began = alert.starts_at.timestamp() >= since
            if began and probe_label not in alert.labels and alert.status.state == "active":
                return alert.labels.get("alertname", "?")
    return ""


def _becomes_true(condition: Callable[[], bool]) -> bool:
    return until(condition, bool, within_s=_STEADY_S, every_s=_POLL_S)


@dataclass(frozen=True, slots=True)
class Call:
    """What a dead man's switch did when Prometheus was stopped."""

    called_s: float | None  # from the stop until it called; None if it did not in time
    # Seconds after which Alertmanager calls all alerts of a dead Prometheus resolved: four times
    # the interval in which they are sent again. Until then it repeats the beats by itself.
    all_clear_s: float
    steady: bool  # whether Prometheus evaluates its rules again


def stop_prometheus(settings: PrometheusSettings, alerting: Alerting, undo: Undo) -> Call:
    """Stop Prometheus, wait for the call of the dead man's switch, start it again.

    Raises:
        NoData: there are no commands for it, no channel for the calls, or no beat before the stop.
        CouldNotMeasure: a command fails, or the channel cannot be read.
    """
    dead_man = alerting.dead_man
    if dead_man is None or dead_man.stop is None or dead_man.start is None:
        raise NoData("`stop` is not set", where="[alerting.dead_man]")
    if dead_man.calls is None:
        raise NoData("`calls` is not set", where="[alerting.dead_man]")
    channel = alerting.channels[dead_man.calls]
    with Prometheus(settings) as prometheus:
        all_clear_s = _RESENDS * _resend_s(prometheus)
    _beats(alerting, dead_man)
    with (
        beats(channel, dead_man.call_text) as calls,
        _stopped(dead_man.stop, dead_man.start, "Prometheus", undo),
    ):
        called_s = calls.next_s(all_clear_s + dead_man.max_silence_s)
    return Call(called_s, all_clear_s, _becomes_true(lambda: _answers(settings, dead_man)))


def _beats(alerting: Alerting, dead_man: DeadMan) -> None:
    channel = alerting.channels[dead_man.channel]
    if next_beat(channel, dead_man.alert, dead_man.max_silence_s).waited_s is None:
        raise NoData(
            "no beat arrives while Prometheus runs, so that a missing one proves nothing",
            where=f"[alerting.channels.{channel.name}]",
            remedy="see alerting.dead-man",
        )


def _resend_s(prometheus: Prometheus) -> float:
    return max([resend_delay_s(prometheus), *(group.interval_s for group in prometheus.rules())])


def _answers(settings: PrometheusSettings, dead_man: DeadMan) -> bool:
    """Whether it evaluates its rules again."""
    try:
        with Prometheus(settings) as prometheus:
            return any(
                rule.name == dead_man.alert
                and time.time() - rule.evaluated.timestamp() <= 2 * group.interval_s
                for group in prometheus.rules()
                for rule in group.rules
            )
    except CouldNotMeasure:
        return False


def _stopped(
    stop: Sequence[str], start: Sequence[str], what: str, undo: Undo
) -> AbstractContextManager[None]:
    verbs = f"stop {what}", f"start {what} again"
    return reversibly(stop, start, verbs, f"start {what} by hand, and see that it answers", undo)


@dataclass(frozen=True, slots=True)
class Failover:
    """What arrived while the first peer was stopped."""

    probe: str
    arrived: dict[str, float | None]  # seconds until each channel had it; None if never
    group_wait_s: float  # the longest of its routes
    back_s: float | None  # until the peer had found the others again; None if it did not
    timeline: tuple[Moment, ...]  # in seconds since the drill began


def fail_over(
    settings: Alertmanager, probe: SyntheticProbe, channels: Sequence[Channel], undo: Undo
) -> Failover:
    """Stop the first peer, send an alert to the others, and start the first peer again.

    Raises:
        NoData: there is one peer only, or no command that stops it.
        SafetyRefusal: the alert would reach another receiver.
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

    with ExitStack() as stack:
        sender = stack.enter_context(synthetic(settings, probe))
        hops = sender.hops(probe_id)  # refuses, and sees that every peer is well
        group_wait_s = max(hop.group_wait_s for hop in hops)
        watched = watch(channels, stack)
        with _stopped(stop, start, "the first peer", undo):
            note("first peer stopped", good=False)
            within_s = (
                settings.peer_timeout_s * (len(settings.urls) - 1) + group_wait_s + probe.budget_s
            )
            arrived = _sent_without_first(sender, watched, probe_id, within_s)
            note("sent by the others", good=None not in arrived.values())
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
    must_be_read(watched)
    arrived = {w.channel.name: w.after_s(sent.at, ended=False) for w in watched}
    sender.end(sent, skip=1)
    return arrived


def _back(peers: Sequence[Peer], count: int) -> float | None:
    """Seconds until every peer sees all of them again."""

    def complete() -> bool:
        try:
            return all(len(peer.status().cluster.peers) == count for peer in peers)
        except CouldNotMeasure:
            return False  # still starting

    began = time.monotonic()
    is_back = until(complete, bool, within_s=_STEADY_S, every_s=_POLL_S)
    return time.monotonic() - began if is_back else None
