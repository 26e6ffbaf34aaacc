"""`readiness.xml`: JUnit, for CI systems; its failures and errors are those that decide."""

from collections.abc import Iterator, Mapping
from typing import Final
from xml.etree import ElementTree as ET

from readiness.model import figures
from readiness.model.clean import clean, line
from readiness.model.evidence import Outcome
from readiness.model.measurement import Measurement
from readiness.model.record import CheckResult, RunRecord, SuiteResult, Verdict
from readiness.report import brief

_APART: Final = frozenset({Outcome.WAIVED, Outcome.NOT_APPLICABLE})


def render(record: RunRecord) -> str:
    """The record as JUnit.

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
