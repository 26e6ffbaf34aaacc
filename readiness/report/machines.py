"""What machines read of a run: JUnit for CI systems, CTRF for test dashboards, metrics.

What JUnit calls a failure or error, and CTRF failed, are those that decide the verdict.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree as ET

from readiness.model import figures
from readiness.model.check import Severity
from readiness.model.clean import clean, line
from readiness.model.evidence import Outcome
from readiness.model.measurement import Measurement
from readiness.model.record import CheckResult, RunRecord, SuiteResult, Verdict
from readiness.report import brief

_APART: Final = frozenset({Outcome.WAIVED, Outcome.NOT_APPLICABLE})


def junit(record: RunRecord) -> str:
    """`readiness.xml`: the record as JUnit, for CI systems.

    A failure or error that does not decide the verdict is none here either: CI systems turn a build
    red or unstable by them. It stands in the `system-out` and in the properties of its case.

    An extra suite, `readiness`, holds the verdict as a case, so that JUnit alone also shows an
    INCOMPLETE run as failed.
    """
    root = ET.Element("testsuites", name="readiness")
    _verdict_suite(root, record)
    for name in sorted({c.suite for c in record.checks} | {s.name for s in record.suites}):
        _suite(root, name, record)
    for key in ("tests", "failures", "errors", "skipped"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    root.set("time", f"{record.run.duration_s:.3f}")
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def kind(check: CheckResult) -> str:
    """What a check is for a CI system: `passed`, `failure`, `error` or `skipped`.

    One that could not be judged and does not decide is skipped: it has not passed.
    """
    if check.outcome in _APART:
        return "skipped"
    if check.outcome in brief.UNJUDGED:
        return "error" if check.decides else "skipped"
    return "failure" if check.outcome is Outcome.FAIL and check.decides else "passed"


def _verdict_suite(root: ET.Element, record: RunRecord) -> None:
    failed = record.verdict is Verdict.NOT_READY
    unsure = record.verdict is Verdict.INCOMPLETE
    element = _element(root, "readiness", record)
    for key, number in (("tests", 1), ("failures", failed), ("errors", unsure), ("skipped", 0)):
        element.set(key, str(int(number)))
    element.set("time", "0.000")
    _properties(element, dict(_facts(record)))
    case = ET.SubElement(element, "testcase", classname="readiness", name="verdict", time="0.000")
    if failed or unsure:
        reasons = "\n".join(line(reason) for reason in record.reasons)
        tag = "failure" if failed else "error"
        ET.SubElement(case, tag, message=record.verdict.value, type="verdict").text = reasons


def _element(root: ET.Element, name: str, record: RunRecord) -> ET.Element:
    """A suite, with its time in UTC as the schema of JUnit wants it: without a zone."""
    started = figures.in_utc(record.run.started)
    return ET.SubElement(
        root,
        "testsuite",
        name=line(name, 100),
        timestamp=f"{started:%Y-%m-%dT%H:%M:%S}",
        hostname=line(record.run.host, 200) or "unknown",
    )


def _facts(record: RunRecord) -> Iterator[tuple[str, str]]:
    target, run, covered = record.target, record.run, brief.coverage(record)
    yield "verdict", record.verdict.value
    yield "target", line(target.name, 200)
    yield "environment", line(target.environment, 200)
    yield "release", line(target.release, 200)
    yield "note", line(target.note, 2000)
    yield "profile", line(covered.profile, 100)
    yield "coverage", str(covered)
    yield "required", str(covered.required)
    yield "judged", str(covered.judged)
    yield "started", figures.when(run.started)
    yield "finished", figures.when(run.finished)
    yield "run", line(run.id, 100)
    yield "run by", " on ".join(line(part, 200) for part in (run.user, run.host) if part)
    yield "tool", f"readiness {line(run.tool_version, 60)}"
    yield "selection", line(run.selection.reason, 400) if run.selection.partial else "all checks"
    yield "target fingerprint", line(target.fingerprint, 200)
    yield "configuration", line(run.config_file, 300)
    yield "configuration sha-256", line(run.config_sha256, 64)
    for outcome in Outcome:
        yield f"count {outcome}", str(record.counts[outcome])
    yield "report only", "yes" if run.report_only else "no"
    yield "exit code", brief.ends(record).removeprefix("exit ")


def _properties(element: ET.Element, values: Mapping[str, str]) -> None:
    given = {name: value for name, value in values.items() if value}
    if given:
        properties = ET.SubElement(element, "properties")
        for name, value in given.items():
            ET.SubElement(properties, "property", name=name, value=value)


def _suite(root: ET.Element, name: str, record: RunRecord) -> None:
    declared = [suite for suite in record.suites if suite.name == name]
    checks = [check for check in record.checks if check.suite == name]
    kinds = [kind(check) for check in checks]
    element = _element(root, name, record)
    element.set("tests", str(len(checks)))
    for key, what in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(key, str(kinds.count(what)))
    element.set("time", f"{sum(check.duration_s for check in checks):.3f}")
    _properties(element, _state(declared[0]) if declared else {})
    for check in checks:
        _case(element, name, check)


def _state(suite: SuiteResult) -> dict[str, str]:
    return {"state": suite.state.value.replace("-", " "), "reason": line(suite.reason)}


def _case(parent: ET.Element, suite: str, check: CheckResult) -> None:
    case = ET.SubElement(
        parent,
        "testcase",
        classname=f"readiness.{line(suite, 100)}",
        name=line(check.name, 300),
        time=f"{check.duration_s:.3f}",
    )
    _properties(case, _properties_of(check))
    message = line(check.message) or line(check.headline, 300)
    decided = _decided(check)
    text = "\n".join(filter(None, [line(check.headline, 300), line(check.message), decided]))
    found = kind(check)
    if found in {"failure", "error"}:
        ET.SubElement(case, found, message=message, type=check.outcome).text = text
    elif found == "skipped":
        told = f"{check.outcome}: {decided or message}"
        ET.SubElement(case, "skipped", message=told, type=check.outcome)
    lines = [f"{check.outcome}: {message}"] if _is_mentioned(check) else []
    if _is_mentioned(check) and not check.decides:
        lines.append("It does not decide the verdict" + (f": {decided}" if decided else "."))
    lines += map(_figure, check.measurements)
    if lines:
        ET.SubElement(case, "system-out").text = "\n".join(lines)


def _is_mentioned(check: CheckResult) -> bool:
    """Whether its outcome is one that its case does not show."""
    shown = {Outcome.PASS, Outcome.NOT_APPLICABLE}
    return check.outcome not in shown and kind(check) in {"passed", "skipped"}


def _properties_of(check: CheckResult) -> dict[str, str]:
    if check.outcome is Outcome.PASS and check.decides:
        return {}  # what most cases would repeat
    decides = "yes" if check.decides else "no"
    return {"outcome": check.outcome, "severity": check.severity, "decides": decides}


def _decided(check: CheckResult) -> str:
    decision = check.waiver or check.decision
    if decision is None:
        return ""
    by = f", approved by {line(decision.approver, 100)}" if decision.approver else ""
    who = f"{line(decision.owner, 100)}{by}, until {decision.expires}"
    return f"{decision.kind} ({who}): {line(decision.reason, 500)}"


def _figure(measurement: Measurement) -> str:
    observed, limit = figures.observed_and_limit(
        measurement.value, measurement.limit, measurement.unit
    )
    allowed = f", limit {limit}" if limit else ""
    source = clean(line(measurement.source, 4000) or "source not given", 400)
    how = f"n={figures.number(measurement.samples)}, {figures.when(measurement.at)}, {source}"
    return f"{line(measurement.name, 200)}: observed {observed}{allowed} ({how})"


SPECIFICATION: Final = "1.0.0"
_STATUS: Final = {"passed": "passed", "failure": "failed", "error": "failed", "skipped": "skipped"}


def ctrf(record: RunRecord) -> str:
    """`readiness.ctrf.json`: the Common Test Report Format (https://ctrf.io), for dashboards.

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


_Samples = Iterable[tuple[Mapping[str, str], float]]


def openmetrics(record: RunRecord) -> str:
    """`readiness.prom`: figures of the run; alert on `readiness_verdict{verdict="READY"} == 0`.

    Both parsers of the field take it: OpenMetrics, and the text format that node_exporter's
    textfile collector reads. So all are gauges without timestamps, and verdicts are one series
    each.
    """
    return "".join(f"{row}\n" for row in _rows(record))


def _rows(record: RunRecord) -> Iterator[str]:
    target, run, covered = record.target, record.run, brief.coverage(record)
    own = {"target": line(target.name, 200), "environment": line(target.environment, 200)}
    what = own | {
        "release": line(target.release, 200),
        "profile": line(covered.profile, 100),
        "tool_version": line(run.tool_version, 60),
    }
    yield from _gauge("readiness_run_info", "What the latest run judged.", [(what, 1)])
    yield from _gauge(
        "readiness_verdict",
        "The verdict of the latest run: 1 for the one that holds, 0 for the others.",
        ((own | {"verdict": v}, float(v is record.verdict)) for v in Verdict),
    )
    found = Counter((check.outcome, check.severity) for check in record.checks)
    yield from _gauge(
        "readiness_checks",
        "Checks of the latest run, each on each subject.",
        (
            (own | {"outcome": o, "severity": s}, float(found[o, s]))
            for o in Outcome
            for s in Severity
        ),
    )
    ratio = covered.judged / covered.required if covered.required else 0.0
    for name, told, value in (
        ("readiness_coverage_ratio", "Share of the required checks that were judged.", ratio),
        ("readiness_required_checks", "Checks that the verdict requires.", covered.required),
        (
            "readiness_run_timestamp_seconds",
            "When the latest run ended.",
            figures.in_utc(run.finished).timestamp(),
        ),
        ("readiness_run_duration_seconds", "How long it took.", run.duration_s),
        ("readiness_run_report_only", "Whether it stopped no pipeline.", run.report_only),
    ):
        yield from _gauge(name, told, [(own, float(value))])
    yield "# EOF"


def _gauge(name: str, told: str, samples: _Samples) -> Iterator[str]:
    yield f"# HELP {name} {told}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"{name}{{{shown}}} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
