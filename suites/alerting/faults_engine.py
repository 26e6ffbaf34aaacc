"""What must turn the checks of the target's own alert engine red."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem


@fault(
    turns_red={"alerting.engine-delivery[chat]"},
    story="the application's alert engine tells its first tier nothing",
)
@contextmanager
def first_tier_is_not_told(system: "ReferenceSystem") -> Iterator[None]:
    """It counts and remembers the alert, and escalates it: only the first message is missing."""
    with system.levers.pager_fault(tells_first=False):
        yield


@fault(
    turns_red={"alerting.engine-delivery[chat]"},
    story="the chat takes eleven seconds to show a message",
)
@contextmanager
def first_tier_is_told_too_late(system: "ReferenceSystem") -> Iterator[None]:
    """One second more than was promised."""
    with system.levers.inbox_fault("chat", delay_ms=11_000):
        yield


@fault(
    turns_red={"alerting.engine-history[engine]"},
    story="the application's alert engine does not write its history",
)
@contextmanager
def engine_forgets_alerts(system: "ReferenceSystem") -> Iterator[None]:
    """People are told, and a week later nobody can say of what."""
    with system.levers.pager_fault(remembers=False):
        yield


@fault(
    turns_red={"alerting.engine-history[engine]"},
    story="the application's alert engine does not write down when an alert ended",
)
@contextmanager
def engine_forgets_ends(system: "ReferenceSystem") -> Iterator[None]:
    """All that ever was seems to last still."""
    with system.levers.pager_fault(remembers_ends=False):
        yield


@fault(
    turns_red={"alerting.engine-statistics[engine]"},
    story="the number of alerts of the application's engine stands still",
)
@contextmanager
def engine_statistics_stand_still(system: "ReferenceSystem") -> Iterator[None]:
    """As one that is computed once and then kept."""
    with system.levers.pager_fault(counts=False):
        yield


@fault(
    turns_red={"alerting.escalation[second-tier]"},
    story="the application's alert engine never tells the second tier",
)
@contextmanager
def engine_never_escalates(system: "ReferenceSystem") -> Iterator[None]:
    """Its timer was lost with the last restart."""
    with system.levers.pager_fault(escalates=False):
        yield


@fault(
    turns_red={"alerting.escalation[second-tier]"},
    story="the application's alert engine escalates what was acknowledged",
)
@contextmanager
def acknowledged_alert_escalates(system: "ReferenceSystem") -> Iterator[None]:
    """The acknowledgement is taken, and the timer goes on."""
    with system.levers.pager_fault(heeds_acknowledgements=False):
        yield


@fault(
    turns_red={"alerting.escalation[second-tier]"},
    story="the application's alert engine tells the second tier at once",
)
@contextmanager
def engine_escalates_at_once(system: "ReferenceSystem") -> Iterator[None]:
    """Two people are woken for each alert, and none feels meant."""
    with system.levers.pager_fault(waits=False):
        yield
