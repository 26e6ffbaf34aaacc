"""Stops what is watched, or what watches, while an alert fires: is the all-clear seen through?"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Final

from readiness.config.alerting import Alerting, DeadMan
from readiness.config.monitoring import Prometheus as PrometheusSettings
from readiness.durations import seconds
from readiness.errors import CouldNotMeasure, NoData
from readiness.probes import command
from readiness.probes.alertmanager import Peer
from readiness.probes.canary import CanaryPlan, Walk, walking
from readiness.probes.heartbeat import next_beat
from readiness.probes.inboxes import reader_of
from readiness.probes.prometheus import Prometheus
from readiness.probes.round_trip import Watched, wait
from readiness.probes.undo import Undo

_POLL_S: Final = 0.2
_STEADY_S: Final = 120.0
_RESENDS: Final = 4
"""An alert ends for Alertmanager after four times the interval in which it is sent again."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What was told when the source of a firing alert was stopped.

    Attributes:
        probe: the id of the canary's alert.
        target: job and instance of what was stopped.
        all_clear_s: seconds from the stop until the alert was called resolved; None if it never
            was.
        noticed_s: seconds from the stop until an alert of the loss was held; None if it never was.
        noticed_by: the name of that alert.
        steady: whether everything was as before in the end.
    """

    probe: str
    target: str
    all_clear_s: float | None
    noticed_s: float | None
    noticed_by: str
    steady: bool


def lose_source(plan: CanaryPlan, undo: Undo) -> Loss:
    """Stop the canary's source while its alert fires, wait for what is told, start it again.

    Raises:
        NoData: there are no commands for it, or the alert did not arrive in the first place.
        SafetyRefusal: the canary's alert would reach somebody else.
        CouldNotMeasure: a command fails, or somebody does not answer.
    """
    canary = plan.canary
    if canary.stop_source is None or canary.start_source is None:
        raise NoData("there is no command that stops it", where="[alerting.canary] stop_source")
    with walking(plan, undo) as (seen, watched):
        told = next((w for w in watched if w.channel.resolves and w.told(ended=False)), None)
        if told is None or seen.handed_over is None:
            raise NoData(
                "the canary's alert did not arrive: nothing can be resolved that never was told",
                where=canary.alert,
                remedy="see alerting.rule-delivery",
            )
        with _stopped(canary.stop_source, canary.start_source, "the canary's source", undo):
            loss = _watch_loss(plan, seen, told)
        return replace(loss, steady=_gone(plan, loss))


def _watch_loss(plan: CanaryPlan, seen: Walk, told: Watched) -> Loss:
    began = time.time()
    job, instance = seen.labels.get("job", ""), seen.labels.get("instance", "")
    longest = seen.detection_s + seen.group_interval_s + plan.probe.budget_s
    with ExitStack() as stack:
        peers = [
            stack.enter_context(Peer(url, plan.alertmanager)) for url in plan.alertmanager.urls
        ]

        def notices() -> str:
            return _alert_of(peers, {"job": job, "instance": instance}, plan.probe.label)

        wait([told], seen.probe, time.monotonic() + longest, ended=True)
        clear_s = told.after_s(began, ended=True)
        deadline = time.monotonic() + plan.canary.loss_max_s
        name = notices()
        while not name and time.monotonic() < deadline:
            time.sleep(_POLL_S)
            name = notices()
        noticed_s = time.time() - began if name else None
    return Loss(seen.probe, f"{job} {instance}", clear_s, noticed_s, name, steady=False)


def _gone(plan: CanaryPlan, loss: Loss) -> bool:
    """Wait until Prometheus no longer has an alert of the loss: the next check begins steady."""
    job, _, instance = loss.target.partition(" ")
    with Prometheus(plan.prometheus) as prometheus:
        return _until(
            lambda: (
                not any(
                    alert.labels.get("job") == job
                    and alert.labels.get("instance") == instance
                    and plan.probe.label not in alert.labels
                    for alert in prometheus.alerts()
                )
            ),
            _STEADY_S,
        )


def _alert_of(peers: Sequence[Peer], labels: Mapping[str, str], probe_label: str) -> str:
    """The name of a real alert on that target, if any peer holds one."""
    filters = [f'{name}="{value}"' for name, value in labels.items()]
    for peer in peers:
        for alert in peer.alerts(*filters):
            if probe_label not in alert.labels:
                return alert.labels.get("alertname", "?")
    return ""


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
        raise NoData("there is no command that stops it", where="[alerting.dead_man] stop")
    if dead_man.calls is None:
        raise NoData("nobody says where it calls", where="[alerting.dead_man] calls")
    channel = alerting.channels[dead_man.calls]
    with Prometheus(settings) as prometheus:
        all_clear_s = _RESENDS * _resend_s(prometheus)
    _beats(alerting, dead_man)
    with reader_of(channel) as reader:
        watched = Watched(channel, reader)
        watched.look(dead_man.call_text)
        before = len(watched.messages)
        with _stopped(dead_man.stop, dead_man.start, "Prometheus", undo):
            began = time.monotonic()
            longest_s = all_clear_s + dead_man.max_silence_s
            called = _until(lambda: _looks(watched, dead_man.call_text) > before, longest_s)
            called_s = time.monotonic() - began if called else None
    if watched.problem:
        raise watched.problem
    return Call(called_s, all_clear_s, _until(lambda: _answers(settings, dead_man), _STEADY_S))


def _beats(alerting: Alerting, dead_man: DeadMan) -> None:
    channel = alerting.channels[dead_man.channel]
    if next_beat(channel, dead_man.alert, dead_man.max_silence_s).waited_s is None:
        raise NoData(
            "no beat comes while Prometheus runs: its silence would mean nothing",
            where=f"[alerting.channels.{channel.name}]",
            remedy="see alerting.dead-man",
        )


def _looks(watched: Watched, text: str) -> int:
    watched.look(text)
    return len(watched.messages)


def _resend_s(prometheus: Prometheus) -> float:
    delay = seconds(prometheus.flags().get("rules.alert.resend-delay", "1m"))
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


def _until(condition: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


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
