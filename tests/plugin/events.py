"""Journal events for tests of the ledger."""

from readiness.model.check import CheckSpec, Effect, Severity
from readiness.run.journal import Event
from readiness.run.ledger import Ledger, Planned


def planned(nodeid: str) -> Planned:
    """A planned check."""
    return Planned(
        nodeid=nodeid,
        spec=CheckSpec(f"own.{nodeid}", "t", Severity.BLOCKER, Effect.OBSERVE, why="w", fix="f"),
        subject="demo",
    )


def plan_event(*nodeids: str, worker: str = "") -> Event:
    """A plan of these checks."""
    items = [planned(nodeid).to_dict() for nodeid in nodeids]
    return {"event": "plan", "worker": worker, "items": items}


def report_event(nodeid: str, *, status: str = "passed", when: str = "call") -> Event:
    """A report without a finding."""
    return {
        "event": "report",
        "nodeid": nodeid,
        "when": when,
        "status": status,
        "xfail": False,
        "finding": None,
        "text": status,
    }


def ledger_of(*events: Event) -> Ledger:
    """A ledger that took these events in."""
    ledger = Ledger()
    for event in events:
        ledger.apply(event)
    return ledger
