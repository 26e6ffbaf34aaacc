"""The ledger: compares what was planned with what was reported.

It is a fold over journal events: pytest applies them as they happen; after a kill, the supervisor
applies the same events from the journal and gets the same ledger.

| event | keys |
|---|---|
| `begin` | `run`, `target`: the facts known at the start; `profile`, `run_timeout_s` |
| `plan` | `items`: list of `Planned`, `worker` |
| `deselected` | `nodeid`: pytest was told to leave it out |
| `partial` | `reason`: why only some checks were selected |
| `start` | `nodeid`, `at` |
| `report` | `nodeid`, `when`, `status` (pytest's), `xfail`, `finding`, `text` |
| `crash` | `nodeid`, `text` |
| `incident` | `kind`, `message` |
| `interrupted` | |
| `end` | `verdict`, `note`: what went wrong after it |
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, TypeAdapter

from readiness.model.check import CheckSpec, Effect
from readiness.model.evidence import Outcome, worst
from readiness.model.measurement import Measurement
from readiness.model.record import CauseNote, CheckResult, Incident, NotAsked
from readiness.run.journal import Event

OR_NOT: Final = "or mark the check not applicable"
_PHASES: Final = {"setup", "call", "teardown"}
_MEASUREMENTS: Final = TypeAdapter(tuple[Measurement, ...], config=ConfigDict(defer_build=True))


@dataclass(frozen=True, slots=True)
class Planned:
    """One check on one subject, as it was collected.

    Attributes:
        nodeid: pytest's node id.
        spec: the check.
        subject: what it is judged on.
        settled: the outcome, if it is known without running it, with its `reason`.
        remedy: what to do so that it can be judged, if it is settled.
        undeclared: how to declare a subject, if the lack of one is the reason.
        looks: whether the target is asked for one, as it may have none: see `Area.absences`.
        asked: whether the profile, the file or the selection asks for it; if not, it is counted
            and is not part of the verdict.
        selected: whether the user's selection includes it.
    """

    nodeid: str
    spec: CheckSpec
    subject: str
    settled: Literal["", "not-run", "not-applicable"] = ""
    reason: str = ""
    remedy: str = ""
    undeclared: str = ""
    looks: bool = False
    asked: bool = True
    selected: bool = True

    @property
    def id(self) -> str:
        """The id of the check."""
        return self.spec.id

    @property
    def suite(self) -> str:
        """The suite of the check."""
        return self.spec.suite

    @property
    def effect(self) -> Effect:
        """What the check does to the target."""
        return self.spec.effect

    def to_dict(self) -> dict[str, object]:
        """Convert to JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """Convert from JSON types."""
        return cls(**{**raw, "spec": CheckSpec.from_dict(raw["spec"])})


@dataclass(slots=True)
class _Progress:
    """The reports of one planned check so far."""

    outcome: Outcome | None = None
    messages: list[str] = field(default_factory=list)
    measurements: tuple[Measurement, ...] = ()
    causes: tuple[CauseNote, ...] = ()
    commands: tuple[str, ...] = ()
    started: datetime | None = None
    duration_s: float = 0.0
    finished: bool = False

    def add(self, outcome: Outcome, message: str) -> None:
        """Add an outcome: the worst counts, and every message is kept."""
        self.outcome = outcome if self.outcome is None else worst(self.outcome, outcome)
        if message and message not in self.messages:
            self.messages.append(message)


class Ledger:
    """Everything known of a run so far."""

    def __init__(self) -> None:
        self.begun: Event | None = None
        self.ended: Event | None = None
        self.interrupted = False
        self.partial = ""
        self.plan: dict[str, Planned] = {}
        self.incidents: list[Incident] = []
        self._progress: dict[str, _Progress] = {}
        self._unplanned: set[str] = set()
        self._takers: dict[str, Callable[[Event], None]] = {
            "begin": self._begin,
            "plan": self._planned,
            "deselected": self._deselected,
            "partial": self._partially,
            "start": self._started,
            "report": self._reported,
            "crash": self._crashed,
            "incident": lambda e: self._incident(str(e["kind"]), str(e["message"])),
            "interrupted": self._interrupt,
            "end": self._end,
        }

    def apply(self, event: Event) -> None:
        """Apply one event; unknown kinds are ignored."""
        take = self._takers.get(str(event.get("event")))
        if take is not None:
            take(event)

    def results(self) -> list[CheckResult]:
        """One result for each check that was planned, selected and asked for."""
        return [self.result_of(p.nodeid) for p in self.plan.values() if p.selected and p.asked]

    def not_asked(self) -> list[NotAsked]:
        """The planned checks that neither the profile nor the file asks for."""
        return [
            NotAsked(id=p.id, subject=p.subject, reason=p.reason)
            for p in self.plan.values()
            if p.selected and not p.asked
        ]

    def unreported(self) -> list[str]:
        """The node ids of selected checks that have not reported their end."""
        return [
            nodeid
            for nodeid, planned in self.plan.items()
            if planned.selected and not self._progress.get(nodeid, _Progress()).finished
        ]

    def outcome_of(self, nodeid: str) -> Outcome | None:
        """The outcome so far of one check; None while it has not finished."""
        progress = self._progress.get(nodeid)
        return progress.outcome if progress and progress.finished else None

    def _begin(self, event: Event) -> None:
        self.begun = event

    def _end(self, event: Event) -> None:
        self.ended = event

    def _interrupt(self, _event: Event) -> None:
        self.interrupted = True

    def _partially(self, event: Event) -> None:
        self.partial = str(event["reason"])

    def _deselected(self, event: Event) -> None:
        nodeid = str(event["nodeid"])
        self.plan[nodeid] = replace(self.plan[nodeid], selected=False)

    def _started(self, event: Event) -> None:
        self._of(event).started = datetime.fromisoformat(str(event["at"]))

    def _crashed(self, event: Event) -> None:
        progress = self._of(event)
        progress.finished = True
        progress.add(Outcome.ERROR, "the process that ran it died")

    def _planned(self, event: Event) -> None:
        items = event["items"]
        if not isinstance(items, list):
            return
        plan = {p.nodeid: p for p in (Planned.from_dict(raw) for raw in items)}
        if self.plan and list(plan) != list(self.plan):
            self._incident(
                "collection-differs",
                f"worker {event.get('worker')} collected other checks than the first worker",
            )
        self.plan = plan | self.plan  # known entries stay: they may be deselected

    def _incident(self, kind: str, message: str) -> None:
        incident = Incident(kind=kind, message=message)
        if incident not in self.incidents:
            self.incidents.append(incident)

    def _of(self, event: Event) -> _Progress:
        nodeid = str(event["nodeid"])
        if nodeid not in self.plan and nodeid not in self._unplanned:
            self._unplanned.add(nodeid)
            self._incident("unplanned", f"{nodeid} was reported but not planned")
        return self._progress.setdefault(nodeid, _Progress())

    def _reported(self, event: Event) -> None:
        progress = self._of(event)
        finding = event.get("finding")
        if isinstance(finding, dict):
            progress.add(Outcome(str(finding["outcome"])), str(finding["message"]))
            progress.measurements = (
                _MEASUREMENTS.validate_python(finding["measurements"]) or progress.measurements
            )
            progress.causes += tuple(
                CauseNote(what=str(what), remedy=str(remedy))
                for what, remedy in finding.get("causes", ())
            )
            progress.commands += tuple(map(str, finding.get("commands", ())))
            progress.duration_s = max(progress.duration_s, float(finding["duration_s"]))
        self._status(progress, event, has_finding=isinstance(finding, dict))
        if event["when"] == "teardown":
            progress.finished = True

    def _status(self, progress: _Progress, event: Event, *, has_finding: bool) -> None:
        """Combine pytest's status with our finding; the worse one counts."""
        status, text = str(event["status"]), str(event.get("text", ""))
        if event["when"] not in _PHASES:
            progress.finished = True
            progress.add(Outcome.ERROR, "the process that ran it died")
        elif event.get("xfail"):
            progress.add(Outcome.FAIL, "marked xfail, which is not allowed for checks")
        elif status == "failed" and not has_finding:
            progress.add(Outcome.ERROR if event["when"] != "call" else Outcome.FAIL, text)
        elif status not in {"passed", "failed"} and not has_finding:
            progress.add(Outcome.NOT_RUN, text or f"reported as {status!r}")

    def result_of(self, nodeid: str) -> CheckResult:
        """The result of one planned check, as far as it is known."""
        planned = self.plan[nodeid]
        progress = self._progress.get(planned.nodeid, _Progress())
        outcome, message = self._conclusion(planned, progress)
        causes = tuple(dict.fromkeys(progress.causes))
        if outcome in {Outcome.ERROR, Outcome.NOT_RUN} and not causes:
            causes = (_cause(planned, outcome, message),)
        return CheckResult.of(
            planned.spec,
            planned.subject,
            outcome=outcome,
            message=message,
            started=progress.started,
            duration_s=round(progress.duration_s, 3),
            measurements=progress.measurements,
            causes=causes,
            commands=tuple(dict.fromkeys(progress.commands)),
        )

    def _conclusion(self, planned: Planned, progress: _Progress) -> tuple[Outcome, str]:
        message = "; ".join(progress.messages)
        if progress.finished and progress.outcome is not None:
            return progress.outcome, message
        if progress.outcome is Outcome.FAIL:
            return Outcome.FAIL, f"{message}; and it did not finish"
        if progress.started or progress.outcome:
            return Outcome.ERROR, f"{message}; it did not finish".removeprefix("; ")
        if planned.settled:
            return Outcome(planned.settled), planned.reason
        return Outcome.NOT_RUN, "planned, but never reported"


def _cause(planned: Planned, outcome: Outcome, message: str) -> CauseNote:
    """Why a check did not run, or ended as an error that says no cause of its own."""
    if outcome is Outcome.NOT_RUN and planned.undeclared:
        # By table: a table that is missing lacks all of its keys.
        table = planned.undeclared.partition(" with ")[0]
        return CauseNote(what=f"Not configured: {table}", remedy=planned.remedy)
    if outcome is Outcome.NOT_RUN and planned.settled:
        return CauseNote(what=planned.reason, remedy=planned.remedy)
    return CauseNote(what=message or "it did not finish", remedy=planned.remedy)
