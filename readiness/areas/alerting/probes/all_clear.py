"""Stops what is watched, or what watches, while an alert fires: is the all-clear seen through?"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Final

from readiness.areas.alerting.config import Alerting, DeadMan
from readiness.areas.alerting.probes.canary import CanaryPlan, Walk, walking
from readiness.areas.alerting.probes.heartbeat import beats, next_beat
from readiness.areas.alerting.probes.round_trip import Watched, wait
from readiness.config.base.watching import Prometheus as PrometheusSettings
from readiness.lib import command
from readiness.lib.alertmanager import Peer
from readiness.lib.durations import prometheus_seconds
from readiness.lib.patience import until
from readiness.lib.prometheus import Prometheus
from readiness.lib.undo import Undo
from readiness.model.errors import CouldNotMeasure, NoData

_POLL_S: Final = 0.2
_STEADY_S: Final = 120.0
_RESENDS: Final = 4
"""An alert ends for Alertmanager after four times the interval in which it is sent again."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What was told when the source of a firing alert was stopped.

    Attributes:
        probe: the id of the canary's alert.
        job: of what was stopped.
        all_clear_s: seconds from the stop until the alert was called resolved; None if it never
            was.
        noticed_s: seconds from the stop until an alert of the loss was held; None if it never was.
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
    began, job = time.time(), seen.labels.get("job", "")
    if not job:
        raise NoData(
            "the canary's alert has no label `job`: an alert of its loss could not be recognized",
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

    What fired before says nothing of the loss, and what is silenced or inhibited says it to nobody.
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
        raise NoData("there is no command that stops it", where="[alerting.dead_man] stop")
    if dead_man.calls is None:
        raise NoData("nobody says where it calls", where="[alerting.dead_man] calls")
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
            "no beat comes while Prometheus runs: its silence would mean nothing",
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
