"""Lets a webhook of Alertmanager fail on purpose, and sees what becomes of the alert."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from readiness.areas.alerting.config import Alerting, Channel, DeliveryDrill, SyntheticProbe
from readiness.areas.alerting.inboxes import reader_of
from readiness.areas.alerting.probes.round_trip import Watched, wait
from readiness.areas.alerting.probes.synthetic import DRILL_PREFIX, new_probe, synthetic
from readiness.areas.alerting.probes.webhooks import OK, Answer, Call, listening
from readiness.config.base.watching import Alertmanager
from readiness.model.errors import NoData


@dataclass(frozen=True, slots=True)
class Drilled:
    """What came of one drill.

    Attributes:
        probe: the id of the alert.
        sent_at: when it was handed over, as Unix time.
        calls: the calls that contained it, in their order.
        beside_s: seconds until the channel beside the webhook had it; None if it never did.
    """

    probe: str
    sent_at: float
    calls: tuple[Call, ...]
    beside_s: float | None = None

    @property
    def accepted_s(self) -> float | None:
        """Seconds from the hand-over until the first call that was accepted; None without one."""
        times = [call.at - self.sent_at for call in self.calls if call.status == OK]
        return times[0] if times else None

    @property
    def fingerprints(self) -> set[str]:
        """The fingerprints of all alerts that were sent as firing."""
        return {
            alert.fingerprint
            for call in self.calls
            if call.notification
            for alert in call.notification.alerts
        }


@dataclass(frozen=True, slots=True)
class DrillPlan:
    """Where drills are sent, and where their webhook ends."""

    alertmanager: Alertmanager
    probe: SyntheticProbe
    drill: DeliveryDrill
    beside: Channel

    @classmethod
    def of(cls, alertmanager: Alertmanager | None, alerting: Alerting | None) -> "DrillPlan":
        """The plan that a target's configuration has.

        Raises:
            NoData: a table is missing, or the channel beside it cannot be read.
        """
        probe = alerting.probe if alerting else None
        if alertmanager is None or alerting is None or probe is None or probe.drill is None:
            raise NoData(
                "a drill of the delivery needs [alertmanager] and [alerting.probe.drill]",
                where="readiness.toml",
                remedy="see `readiness init` for an example",
            )
        beside = alerting.channels[probe.drill.beside]
        if beside.inbox is None:
            raise NoData(
                f"the channel {beside.name} has no inbox that could be read",
                where=f"[alerting.channels.{beside.name}]",
                remedy="add its inbox, or name another channel in [alerting.probe.drill] beside",
            )
        return cls(alertmanager, probe, probe.drill, beside)


def answered(
    plan: DrillPlan,
    answer: Answer,
    enough: Callable[[Sequence[Call]], bool],
    *,
    within_s: float,
    count: int = 1,
) -> Drilled:
    """Send alerts whose webhook ends here, and take its calls.

    Args:
        plan: where they go.
        answer: how each call is answered.
        enough: whether nothing more needs to come.
        within_s: how long is waited for that.
        count: how many alerts are sent at once.

    Raises:
        NoData: no call came at all, so that retries cannot be judged.
        CouldNotMeasure: the address is taken, or an Alertmanager does not take the alert.
        SafetyRefusal: the alert would reach somebody else.
    """
    probe = new_probe(DRILL_PREFIX)
    with (
        listening(plan.drill.listen, answer, plan.probe.label, probe) as listener,
        synthetic(plan.alertmanager, plan.probe, drill=True) as sender,
    ):
        sender.hops(probe)
        sent = sender.send(probe, count=count)
        calls = listener.wait(enough, within_s)
        if not calls:
            raise _never_called(plan, within_s)
        sender.end(sent)
    return Drilled(probe, sent.at, tuple(calls))


def beside_hanging(plan: DrillPlan, hang_s: float) -> Drilled:
    """Let the webhook hang, and see when the channel beside it is notified.

    Raises:
        NoData: the webhook was not called, so that nothing hung.
        CouldNotMeasure: the channel cannot be read, or an Alertmanager does not take the alert.
        SafetyRefusal: the alert would reach somebody else.
    """
    probe = new_probe(DRILL_PREFIX)
    with ExitStack() as stack:
        hang = listening(plan.drill.listen, lambda _: (OK, hang_s), plan.probe.label, probe)
        listener = stack.enter_context(hang)
        sender = stack.enter_context(synthetic(plan.alertmanager, plan.probe, drill=True))
        watched = Watched(plan.beside, stack.enter_context(reader_of(plan.beside)))
        sender.hops(probe)
        watched.look(probe)
        sent = sender.send(probe)
        began = time.monotonic()
        calls = listener.wait(bool, hang_s)
        if not calls:
            raise _never_called(plan, hang_s)
        wait([watched], probe, began + hang_s)
        if not watched.messages:
            watched.must_be_read()
        listener.close()
        sender.end(sent)
    return Drilled(probe, sent.at, tuple(calls), watched.after_s(sent.at, ended=False))


def _never_called(plan: DrillPlan, within_s: float) -> NoData:
    return NoData(
        f"the webhook of receiver {plan.drill.receiver} was not called within {within_s:g} s",
        where=f"[alerting.probe.drill] listen = {plan.drill.listen}",
        remedy="point a webhook of that receiver to this machine, as Alertmanager sees it: "
        f"webhook_configs: [{{url: 'http://THIS-HOST:{plan.drill.listen.rpartition(':')[2]}/'}}]",
    )
