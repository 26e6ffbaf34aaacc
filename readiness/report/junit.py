"""`readiness.xml`: JUnit, for CI systems."""

from typing import Final
from xml.etree import ElementTree as ET

from readiness.model.evidence import Outcome
from readiness.model.record import RunRecord, Verdict
from readiness.report.build import build
from readiness.report.view import Row, Suite, View

_FAILURE: Final = frozenset({Outcome.FAIL})
_ERROR: Final = frozenset({Outcome.ERROR, Outcome.NOT_RUN})
_SKIPPED: Final = frozenset({Outcome.WAIVED, Outcome.NOT_APPLICABLE})


def render(record: RunRecord) -> str:
    """The record as JUnit.

    An extra suite, `readiness`, holds the verdict as a case, so that JUnit alone also shows an
    INCOMPLETE run as failed.
    """
    view = build(record)
    root = ET.Element("testsuites", name="readiness")
    _verdict_suite(root, record, view)
    times = {(c.id, c.subject): c.duration_s for c in record.checks}
    for suite in view.suites:
        _suite(root, suite, times)
    for key in ("tests", "failures", "errors", "skipped"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    root.set("time", f"{record.run.duration_s:.3f}")
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _verdict_suite(root: ET.Element, record: RunRecord, view: View) -> None:
    failed = record.verdict is Verdict.NOT_READY
    unsure = record.verdict is Verdict.INCOMPLETE
    element = ET.SubElement(root, "testsuite", name="readiness", tests="1", skipped="0")
    element.set("failures", str(int(failed)))
    element.set("errors", str(int(unsure)))
    element.set("time", "0.000")
    properties = ET.SubElement(element, "properties")
    values = [("verdict", record.verdict.value), *view.facts]
    values += [(f"count {o}", str(view.counts[o])) for o in view.counts]
    values += [("report only", "yes" if record.run.report_only else "no")]
    for name, value in values:
        ET.SubElement(properties, "property", name=name.lower(), value=value)
    case = ET.SubElement(element, "testcase", classname="readiness", name="verdict", time="0.000")
    if failed or unsure:
        reasons = "\n".join(reason.text for reason in view.reasons)
        kind = "failure" if failed else "error"
        ET.SubElement(case, kind, message=record.verdict.value, type="verdict").text = reasons


def _suite(root: ET.Element, suite: Suite, times: dict[tuple[str, str], float]) -> None:
    element = ET.SubElement(root, "testsuite", name=suite.name, tests=str(suite.total))
    for key, outcomes in (("failures", _FAILURE), ("errors", _ERROR), ("skipped", _SKIPPED)):
        element.set(key, str(sum(suite.counts[o] for o in outcomes)))
    spent = 0.0
    properties = ET.SubElement(element, "properties")
    ET.SubElement(properties, "property", name="state", value=suite.state)
    if suite.reason:
        ET.SubElement(properties, "property", name="reason", value=suite.reason)
    for group in suite.groups:
        for row in group.rows:
            took = times.get((group.id, row.subject), 0.0)
            spent += took
            _case(element, suite, row, group.title, took)
    element.set("time", f"{spent:.3f}")


def _case(parent: ET.Element, suite: Suite, row: Row, title: str, took: float) -> None:
    case = ET.SubElement(
        parent, "testcase", classname=f"readiness.{suite.name}", name=row.name, time=f"{took:.3f}"
    )
    message = row.message or title
    text = "\n".join(filter(None, [title, row.message, row.waiver]))
    if row.outcome in _FAILURE:
        ET.SubElement(case, "failure", message=message, type=row.outcome).text = text
    elif row.outcome in _ERROR:
        ET.SubElement(case, "error", message=message, type=row.outcome).text = text
    elif row.outcome in _SKIPPED:
        skipped = row.waiver or message
        ET.SubElement(case, "skipped", message=f"{row.outcome}: {skipped}", type=row.outcome)
    lines = [f"{row.outcome}: {message}"] if row.outcome is Outcome.WARN else []
    lines += [f"{f} (n={f.samples}, {f.at}, {f.source})" for f in row.figures]
    if lines:
        ET.SubElement(case, "system-out").text = "\n".join(lines)
