"""Stops a part of the alerting or of what it watches, and sees what is notified."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from readiness.areas.alerting.config import Alerting, Channel, DeadMan, SyntheticProbe
from readiness.areas.alerting.inboxes import Message, Reader, reader_of
from readiness.areas.alerting.probes.canary import CanaryPlan, Walk, walking
from readiness.areas.alerting.probes.round_trip import Watched, wait
from readiness.areas.alerting.probes.synthetic import Synthetic, new_probe, synthetic
from readiness.config.base.watching import Alertmanager
from readiness.config.base.watching import Prometheus as PrometheusSettings
from readiness.lib import command
from readiness.lib.alertmanager import Peer
from readiness.lib.durations import prometheus_seconds
from readiness.lib.guardian import Undo
from readiness.lib.prometheus import Prometheus
from readiness.lib.retry import until
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Moment


@dataclass(frozen=True, slots=True)
class Beat:
    """The next beat.

    Attributes:
        waited_s: seconds until it came; None if it did not.
        last_known: when the last one before it came, in words.
    """

    waited_s: float | None
    last_known: str


class Beats:
    """Waits for a message that was not there when it began to look.

    Raises:
        CouldNotMeasure: the channel cannot be read: what is there later might be old.
    """

    def __init__(self, channel: Channel, reader: Reader, text: str) -> None:
        self._watched = Watched(channel, reader)
        self._text = text
        self._look()
        self.before = self._watched.messages

    def next_s(self, within_s: float) -> float | None:
        """Seconds until one comes; None if none does in time.

        Raises:
            CouldNotMeasure: the channel cannot be read at the end of that time.
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
            f"the channel {channel.name} has no inbox: what arrives there cannot be read",
            where=f"[alerting.channels.{channel.name}]",
            remedy="add its inbox",
        )
    with reader_of(channel) as reader:
        yield Beats(channel, reader, text)


def next_beat(channel: Channel, name: str, within_s: float) -> Beat:
    """Wait until one more message about an alert arrives than were there before.

    Args:
        channel: where the beats go.
        name: of the alert, as its messages contain it.
        within_s: how long one may take.

    Raises:
        NoData: the channel has no inbox.
        CouldNotMeasure: it cannot be read.
    """
    with beats(channel, name) as seen:
        return Beat(seen.next_s(within_s), _in_words(_newest(seen.before)))


def _is_newer(messages: Sequence[Message], before: Sequence[Message]) -> bool:
    """Whether one came; an inbox that shows the last few only does not show more of them."""
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
    """What followed when the source of a firing alert was stopped.

    Attributes:
        probe: the id of the canary's alert.
        job: of what was stopped.
        all_clear_s: seconds from the stop until the alert was called resolved; None if it never
            was.
        noticed_s: seconds from the stop until an alert for the loss was held; None if it never was.
        noticed_by: the name of that alert.
        steady: whether everything was as before in the end.
    """

    probe: str
    job: str
    all_clear_s: float | None
    noticed_s: float | None
    noticed_by: str
    steady: bool


def lose_source(plan: CanaryPlan, undo: Undo) -> Loss:
    """Stop the canary's source while its alert fires, wait for what follows, start it again.

    Raises:
        NoData: there are no commands for it, or the alert did not arrive in the first place.
        SafetyRefusal: the canary's alert would reach somebody else.
        CouldNotMeasure: a command fails, or somebody does not answer.
    """
    canary = plan.canary
    if canary.stop_source is None or canary.start_source is None:
        raise NoData("`stop_source` is not set", where="[alerting.canary]")
    with walking(plan, undo) as (seen, watched):
        told = next((w for w in watched if w.channel.resolves and w.told(ended=False)), None)
        if told is None or seen.handed_over is None:
            raise NoData(
                "the canary's alert did not arrive, so that its end cannot be watched",
                where=canary.alert,
                remedy="see alerting.rule-delivery",
            )
        with _stopped(canary.stop_source, canary.start_source, "the canary's source", undo):
            loss = _watch_loss(plan, seen, told)
        return replace(loss, steady=_gone(plan, loss))


def _watch_loss(plan: CanaryPlan, seen: Walk, told: Watched) -> Loss:
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
        wait([told], seen.probe, time.monotonic() + longest, ended=True)
        told.must_be_read()
        clear_s = told.after_s(began, ended=True)
        name = until(
            lambda: _loss_told(peers, job, plan.probe.label, began),
            bool,
            within_s=plan.canary.loss_max_s,
            every_s=_POLL_S,
        )
        noticed_s = time.time() - began if name else None
    return Loss(seen.probe, job, clear_s, noticed_s, name, steady=False)


def _gone(plan: CanaryPlan, loss: Loss) -> bool:
    """Wait until Prometheus no longer has an alert of the loss: the next check begins steady."""
    with Prometheus(plan.prometheus) as prometheus:
        return _comes_true(
            lambda: (
                not any(
                    alert.labels.get("job") == loss.job and plan.probe.label not in alert.labels
                    for alert in prometheus.alerts()
                )
            )
        )


def _loss_told(peers: Sequence[Peer], job: str, probe_label: str, since: float) -> str:
    """The name of a real alert on that job, if a peer has one that began meanwhile.

    What fired before is no alert of the loss, and what is muted notifies nobody.
    """
    for peer in peers:
        for alert in peer.alerts(f'job="{job}"'):
            began = alert.starts_at.timestamp() >= since
            if began and probe_label not in alert.labels and alert.status.state == "active":
                return alert.labels.get("alertname", "?")
    return ""


def _comes_true(condition: Callable[[], bool]) -> bool:
    return until(condition, bool, within_s=_STEADY_S, every_s=_POLL_S)


@dataclass(frozen=True, slots=True)
class Call:
    """What a dead man's switch did when Prometheus was stopped.

    Attributes:
        called_s: seconds from the stop until it called; None if it did not in time.
        all_clear_s: seconds after which Alertmanager calls all alerts of a dead Prometheus
            resolved: four times the interval in which they are sent again. Until then it goes on
            beating by itself.
        steady: whether Prometheus answers, and beats come again.
    """

    called_s: float | None
    all_clear_s: float
    steady: bool


def stop_prometheus(settings: PrometheusSettings, alerting: Alerting, undo: Undo) -> Call:
    """Stop Prometheus, wait for the call of the dead man's switch, start it again.

    Raises:
        NoData: there are no commands for it, no channel of the calls, or no beat beforehand.
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
    return Call(called_s, all_clear_s, _comes_true(lambda: _answers(settings, dead_man)))


def _beats(alerting: Alerting, dead_man: DeadMan) -> None:
    channel = alerting.channels[dead_man.channel]
    if next_beat(channel, dead_man.alert, dead_man.max_silence_s).waited_s is None:
        raise NoData(
            "no beat arrives while Prometheus runs, so that a missing one proves nothing",
            where=f"[alerting.channels.{channel.name}]",
            remedy="see alerting.dead-man",
        )


def _resend_s(prometheus: Prometheus) -> float:
    delay = prometheus_seconds(prometheus.flags().get("rules.alert.resend-delay", "1m"))
    return max([delay, *(group.interval_s for group in prometheus.rules())])


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


@contextmanager
def _stopped(stop: Sequence[str], start: Sequence[str], what: str, undo: Undo) -> Iterator[None]:
    """Stop something while the block runs; it is started again whatever happens."""
    remedy = f"start {what} by hand, and see that it answers"
    token = undo.run(start)
    try:
        command.run(stop, f"stop {what}", remedy)
        yield
    finally:
        command.run(start, f"start {what} again", remedy)
        undo.forget(token)


_EVERY_S: Final = 0.2
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
            note("sent by the others", good=None not in arrived.values())
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
        time.sleep(_EVERY_S)
    return None
