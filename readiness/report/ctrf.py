"""`readiness.ctrf.json`: the Common Test Report Format (https://ctrf.io), for test dashboards."""

import json
from datetime import datetime
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from readiness.model import figures
from readiness.model.clean import line
from readiness.model.evidence import Outcome
from readiness.model.record import CheckResult, RunRecord, Verdict
from readiness.report import brief
from readiness.report.junit import kind

SPECIFICATION: Final = "1.0.0"
_STATUS: Final = {"passed": "passed", "failure": "failed", "error": "failed", "skipped": "skipped"}


def render(record: RunRecord) -> str:
    """The record as CTRF.

    What decides and failed, could not be judged or did not run is `failed`, never `other`, which
    dashboards leave out. A first test is the verdict, so that no INCOMPLETE run looks green.
    """
    run = record.run
    tests = [_verdict(record), *map(_test, record.checks)]
    statuses = [test["status"] for test in tests]
    summary: dict[str, object] = {
        "tests": len(tests),
        **{status: statuses.count(status) for status in ("passed", "failed", "skipped")},
        "pending": 0,
        "other": 0,
        "suites": len({check.suite for check in record.checks}) + 1,
        "start": _ms(run.started),
        "stop": _ms(run.finished),
        "duration": round(run.duration_s * 1000),
        "extra": {outcome.value: number for outcome, number in record.counts.items()},
    }
    report = {
        "reportFormat": "CTRF",
        "specVersion": SPECIFICATION,
        "reportId": _id(record.record_sha256 or run.id),
        "timestamp": figures.in_utc(run.finished).isoformat().replace("+00:00", "Z"),
        "generatedBy": "readiness",
        "results": {
            "tool": {"name": "readiness", "version": line(run.tool_version, 60)},
            "summary": summary,
            "tests": tests,
            "environment": _environment(record),
        },
    }
    return json.dumps(report, ensure_ascii=False, separators=(",", ":")) + "\n"


def _environment(record: RunRecord) -> dict[str, object]:
    target, covered = record.target, brief.coverage(record)
    return {
        "appName": line(target.name, 200),
        "appVersion": line(target.release, 200),
        "testEnvironment": line(target.environment, 200),
        "healthy": record.verdict is Verdict.READY,
        "extra": {
            "run": line(record.run.id, 100),
            "host": line(record.run.host, 200),
            "verdict": record.verdict,
            "profile": line(covered.profile, 100),
            "coverage": str(covered),
            "judged": covered.judged,
            "required": covered.required,
            "report_only": record.run.report_only,
        },
    }


def _verdict(record: RunRecord) -> dict[str, object]:
    ready = record.verdict is Verdict.READY
    test: dict[str, object] = {
        "id": _id("verdict"),
        "name": "verdict",
        "status": "passed" if ready else "failed",
        "rawStatus": record.verdict.value,
        "duration": 0,
        "suite": ["readiness"],
    }
    if not ready:
        test["message"] = "\n".join(line(reason) for reason in record.reasons)
    return test


def _test(check: CheckResult) -> dict[str, object]:
    test: dict[str, object] = {
        "id": _id(line(check.name, 400)),
        "name": line(check.name, 400) or "unnamed",
        "status": _STATUS[kind(check)],
        "rawStatus": check.outcome.value,
        "duration": round(check.duration_s * 1000),
        "suite": [line(check.suite, 100)],
        "tags": [check.severity, check.effect],
        "extra": {"title": line(check.headline, 300), "decides": check.decides},
    }
    if check.started:
        test["start"] = _ms(check.started)
        test["stop"] = _ms(check.started) + round(check.duration_s * 1000)
    if check.message and check.outcome is not Outcome.PASS:
        test["message"] = line(check.message, 2000)
    return test


def _ms(moment: datetime) -> int:
    return round(figures.in_utc(moment).timestamp() * 1000)


def _id(name: str) -> str:
    """The same for the same check in every run, as the format asks for."""
    return str(uuid5(NAMESPACE_URL, f"https://readiness.invalid/{name}"))
