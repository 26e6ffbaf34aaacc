"""Records of the size of a real run, for tests of the page: made from the committed sample."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from readiness.model.decision import Decision, Kind
from readiness.model.evidence import Outcome
from readiness.model.measurement import Measurement, at_most
from readiness.model.record import (
    CauseNote,
    CheckResult,
    Facts,
    NotAsked,
    Policy,
    RunRecord,
    SuiteState,
    Verdict,
    load,
)
from readiness.model.verdict import judge
from readiness.report.diff import changes
from readiness.report.trends import PastRun, past_run

SAMPLE: Final = Path(__file__).parents[2] / "reports" / "sample" / "readiness.json"
_UNTIL: Final = date(2027, 1, 31)
_SLOW: Final = "performance.query-latency[recent-orders]"
_KEY: Final = "`performance.queries[1].max_p95_ms`, default"
_EXCUSED: Final = {
    check: Decision(
        kind=Kind.NOT_APPLICABLE,
        what=check,
        owner="ana.ruiz@example.com",
        approver="head-of-platform@example.com",
        reason="The shop stores no time series.",
        expires=_UNTIL,
        state="applied",
    )
    for check in ("database.timescale", "database.hypertables")
}
_OBSERVED: Final = Decision(
    kind=Kind.OBSERVE_ONLY,
    what="scaling",
    owner="bo.lind@example.com",
    reason="Scaling is introduced in January.",
    expires=_UNTIL,
    state="applied",
)
_WAIVER: Final = Decision(
    kind=Kind.WAIVER,
    what="backup.fresh[shop]",
    owner="cy.young@example.com",
    approver="head-of-platform@example.com",
    reason="The new storage is delivered in December.",
    expires=_UNTIL,
    state="applied",
)
_CAUSES: Final = (
    ("http://prometheus.staging:9090: connection refused", "systemctl status prometheus", 9),
    ("http://alertmanager.staging:9093: connection refused", "systemctl status alertmanager", 5),
    ("role monitor lacks pg_read_all_stats on shop", "GRANT pg_read_all_stats TO monitor;", 4),
    ("promtool not found; alert rules cannot be tested", "apt-get install prometheus", 3),
    ("extension pgstattuple is not installed on shop", "CREATE EXTENSION pgstattuple;", 2),
    ("host backup.staging: permission denied (publickey)", "ssh-copy-id backup.staging", 1),
    ("statement timeout after 30 s on shop", "ALTER ROLE monitor SET statement_timeout = 0;", 1),
)


def ready() -> RunRecord:
    """Every check of the sample passes; two checks do not apply by two decisions."""
    sample = load(SAMPLE)
    return _judged(sample, map(_passing, sample.checks), decisions=tuple(_EXCUSED.values()))


def errors() -> RunRecord:
    """25 errors of 7 causes, a failure, a waiver, areas that are observed or not asked for.

    It is compared with `ready`, two days before.
    """
    sample = load(SAMPLE)
    unwell = _unwell(sample)
    checks = [unwell.get(check.name) or _passing(check) for check in sample.checks]
    checks = [
        check.model_copy(update={"decision": _OBSERVED}) if check.suite == "scaling" else check
        for check in checks
    ]
    left_out = [c for c in checks if c.suite == "signoff"]
    run = sample.run
    later = {"id": f"{run.id}-later", "started": run.started + timedelta(days=2)}
    later["finished"] = run.finished + timedelta(days=2)
    facts = Facts(
        target=sample.target,
        run=run.model_copy(update=later),
        checks=tuple(c for c in checks if c.suite != "signoff"),
        suites=tuple(
            s.model_copy(
                update={"state": SuiteState.NOT_ASKED, "reason": "not declared: [[signoff]]"}
            )
            if s.name == "signoff"
            else s
            for s in sample.suites
        ),
        policy=Policy(profile="core", min_coverage=0.5),
        decisions=(*_EXCUSED.values(), _OBSERVED, _WAIVER),
        not_asked=tuple(
            NotAsked(id=c.id, subject=c.subject, reason="not declared: [[signoff]]")
            for c in left_out
        ),
    )
    return judge(facts.model_copy(update={"changes": changes(ready(), facts)}))


def of_size(checks: int, runs: int) -> tuple[RunRecord, list[PastRun]]:
    """A run of so many checks, 26 of them findings, and so many earlier runs, newest first.

    Its figures have names of their own; one that passed moved towards its limit.
    """
    found = errors().model_copy(update={"run": ready().run})
    passed = [check for check in ready().checks if check.outcome is Outcome.PASS]
    more = [
        check.model_copy(update={"subject": f"{check.subject}-{copy}".lstrip("-")})
        for copy in range(2, 2 + checks // len(passed) + 1)
        for check in passed
    ]
    kept = [*found.checks, *more][:checks]
    last = next(n for n in reversed(range(checks)) if _limited(kept[n]))
    (measured,) = kept[last].measurements[:1]
    drifting = replace(measured, name="disk in use", value=80.0, unit="count", limit=at_most(100))
    kept[last] = kept[last].model_copy(update={"measurements": (drifting,)})
    record = _judged(found, kept, decisions=found.decisions)
    base = past_run(record.to_json())
    key = (kept[last].id, kept[last].subject)
    earlier = [
        replace(
            base,
            id=f"{base.id}-{back}",
            started=base.started - timedelta(days=back),
            verdict=Verdict.NOT_READY if back == 3 else Verdict.READY,
            checks={
                **base.checks,
                key: (Outcome.PASS, {(drifting.key, drifting.name): 80 - back / 2}),
            },
        )
        for back in range(1, runs + 1)
    ]
    return record, earlier


def _limited(check: CheckResult) -> bool:
    return check.outcome is Outcome.PASS and bool(check.measurements)


def _judged(
    sample: RunRecord, checks: Iterable[CheckResult], decisions: tuple[Decision, ...]
) -> RunRecord:
    known = {name: getattr(sample, name) for name in Facts.model_fields}
    return judge(Facts(**{**known, "checks": tuple(checks), "decisions": decisions}))


def _unwell(sample: RunRecord) -> dict[str, CheckResult]:
    """What did not pass, by name."""
    by_name = {check.name: check for check in sample.checks}
    waived = {"outcome": Outcome.WAIVED, "waiver": _WAIVER}
    found = {
        _WAIVER.what: by_name[_WAIVER.what].model_copy(update=waived),
        _SLOW: _too_slow(by_name[_SLOW]),
    }
    for suite in ("signoff", "scaling"):
        by_name = {name: check for name, check in by_name.items() if check.suite != suite}
    kept = [c for c in by_name.values() if c.name not in found and c.id not in _EXCUSED]
    others = iter([c for c in kept if c.severity.decides])
    for what, command, blocked in _CAUSES:
        for _ in range(blocked):
            check = next(others)
            note = CauseNote(what=what, remedy=f"Look at it:\n\n    {command}")
            found[check.name] = check.model_copy(
                update={
                    "outcome": Outcome.ERROR, "message": f"{what}. Look at it",
                    "measurements": (), "causes": (note,),
                }
            )  # fmt: skip
    return found


def _passing(check: CheckResult) -> CheckResult:
    if check.id in _EXCUSED:
        excused = {"outcome": Outcome.NOT_APPLICABLE, "measurements": ()}
        return check.model_copy(update={**excused, "decision": _EXCUSED[check.id]})
    kept = tuple(map(_within, check.measurements))
    return check.model_copy(update={"outcome": Outcome.PASS, "message": "", "measurements": kept})


def _too_slow(check: CheckResult) -> CheckResult:
    measured = tuple(
        replace(m, value=121.4, limit=at_most(100, _KEY))
        if m.name == "p95 latency, 95 % lower bound"
        else _within(m)
        for m in check.measurements
    )
    assert any(m.is_missed for m in measured)
    message = f"p95 is at least 121.4 ms (95 % confidence); limit 100 ms ({_KEY})"
    return check.model_copy(
        update={"outcome": Outcome.FAIL, "message": message, "measurements": measured}
    )


def _within(measurement: Measurement) -> Measurement:
    limit = measurement.limit
    return (
        replace(measurement, value=limit.value) if limit and measurement.is_missed else measurement
    )
