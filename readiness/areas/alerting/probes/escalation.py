"""Sees who is told when nobody acts: two alerts, of which only one is acknowledged."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from readiness.areas.alerting.config import Channel
from readiness.areas.alerting.engine_config import AlertEngine, EngineEscalation
from readiness.areas.alerting.inboxes import reader_of
from readiness.areas.alerting.probes.alert_engine import Raised, heard_after, was_noted
from readiness.areas.alerting.probes.round_trip import Watched, wait
from readiness.lib.undo import Undo
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong

SHARE: Final = 0.1
SLACK_S: Final = 1.0


def earliest_s(escalation: EngineEscalation) -> float:
    """Seconds before which the second tier must not be told."""
    return max(0.0, escalation.after_s * (1 - SHARE) - SLACK_S)


def latest_s(escalation: EngineEscalation) -> float:
    """Seconds after which it must have been."""
    return escalation.after_s * (1 + SHARE) + SLACK_S


@dataclass(frozen=True, slots=True)
class Escalated:
    """What became of the two alerts.

    Attributes:
        ignored: the id of the one that nobody acknowledged.
        after_s: seconds from the call of its trigger until the second tier had it; None if never.
        trigger_s: how long that call took: the engine's clock began within it.
        acknowledged: the id of the other one.
        told: whether the second tier has it, too.
    """

    ignored: str
    after_s: float | None
    trigger_s: float
    acknowledged: str
    told: bool


def escalate(
    engine: AlertEngine,
    escalation: EngineEscalation,
    second: Channel,
    first: Sequence[Channel],
    undo: Undo,
) -> Escalated:
    """Raise two alerts, acknowledge the first one, and see which reaches the second tier.

    Args:
        engine: the engine.
        escalation: its `[alerting.engine.escalation]`.
        second: the channel of the second tier.
        first: the channels of the first tier.
        undo: ends the alerts should this process die.

    Raises:
        CouldNotMeasure: a command fails, the second tier cannot be read, the acknowledged alert
            was seen nowhere, or the acknowledgement came too late to tell anything.
    """
    with ExitStack() as stack:
        reader = stack.enter_context(reader_of(second))
        held, left = Watched(second, reader), Watched(second, reader)
        firsts = [Watched(c, stack.enter_context(reader_of(c))) for c in first]
        taken = stack.enter_context(Raised(engine, undo))
        taken.acknowledge(escalation.acknowledge)
        took_s = time.time() - taken.began
        ignored = stack.enter_context(Raised(engine, undo))
        # Longer than it may take: what comes late is told from what never comes.
        within_s = latest_s(escalation) + engine.within_s
        wait([left], ignored.probe, time.monotonic() + within_s)
        # Until the acknowledged one, too, would have come at its latest.
        left_s = taken.done + latest_s(escalation) - time.time()
        wait([held], taken.probe, time.monotonic() + left_s)
        held.look(taken.probe)
        after_s = heard_after(left, ignored.began)
        _refuse_blindness(engine, held, after_s, firsts, taken)
    told = bool(held.told(ended=False))
    if told and took_s > earliest_s(escalation):
        raise TookTooLong(
            f"the acknowledgement was done {took_s:.1f} s after the trigger: the alert may have"
            " escalated before",
            where="[alerting.engine.escalation] acknowledge",
            remedy="let the commands be faster, or `after_s` longer",
        )
    return Escalated(
        ignored.probe,
        after_s if isinstance(after_s, float) else None,
        ignored.done - ignored.began,
        taken.probe,
        told,
    )


def _refuse_blindness(
    engine: AlertEngine,
    held: Watched,
    after_s: float | CouldNotMeasure | None,
    firsts: Sequence[Watched],
    taken: Raised,
) -> None:
    """That something did not come says nothing if nobody looked, or if it never was."""
    if isinstance(after_s, CouldNotMeasure):
        raise after_s
    if held.problem:
        raise held.problem
    for one in firsts:
        one.look(taken.probe)
    seen = any(one.told(ended=False) for one in (*firsts, held))
    if not seen and not was_noted(engine, taken.probe):
        raise NoData(
            "the acknowledged alert was seen neither at the first tier nor in the history: that it"
            " did not escalate says nothing",
            where="[alerting.engine]",
            remedy="see alerting.engine-delivery, and configure [alerting.engine.history]",
        )
