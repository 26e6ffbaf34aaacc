"""All outputs show the same verdict and the same numbers, for they are made from one record."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from readiness.model.evidence import Outcome
from readiness.model.record import RunRecord
from readiness.report import write_all
from readiness.report.build import anchor, build
from readiness.report.console import summary
from readiness.report.details import details
from readiness.report.view import ORDER
from tests.support.page_records import errors
from tests.support.records import make_many, make_record, sample, small_record

Counts = dict[str, int]
RECORDS: dict[str, Callable[[], RunRecord]] = {
    "sample": sample,
    "small": small_record,
    "ready": make_record,
    "large": lambda: make_many(1200),
    "empty": lambda: make_record([]),
    "errors": errors,
}


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _from_html(folder: Path) -> tuple[str, Counts]:
    text = (folder / "readiness.html").read_text()
    verdict = re.search(r"<h1><strong>.*?</span> (.*?)</strong>", text)
    foot = re.search(r"<tfoot>.*?</tfoot>", text, re.DOTALL)
    assert verdict
    assert foot
    cells = re.findall(r"<td[^>]*>([\d,]+)</td>", foot[0])
    assert _number(cells[-1]) == sum(map(_number, cells[:-1]))
    return verdict[1], dict(zip(ORDER, map(_number, cells[:-1]), strict=True))


def _from_markdown(folder: Path) -> tuple[str, Counts]:
    text = (folder / "readiness.md").read_text()
    verdict = re.match(r"# . (.*)\n", text)
    row = re.search(r"^\| \*\*All\*\* \| \| (.*) \|$", text, re.MULTILINE)
    assert verdict
    assert row
    cells = row[1].split(" | ")
    return verdict[1], dict(zip(ORDER, map(_number, cells[:-1]), strict=True))


def _from_xml(folder: Path) -> tuple[str, Counts]:
    root = ET.parse(folder / "readiness.xml").getroot()  # noqa: S314 - we have just written it
    values = {p.get("name", ""): p.get("value", "") for p in root[0].iter("property")}
    return values["verdict"], {o: int(values[f"count {o}"]) for o in ORDER}


def _from_console(record: RunRecord) -> tuple[str, Counts]:
    last = summary(record, width=200, color=False).splitlines()[-1]
    text = details(record, width=200, color=False)
    row = re.search(r"^  all: (.*)$", text, re.MULTILINE)
    assert row
    shown = {outcome: _number(n) for n, outcome in re.findall(r"([\d,]+) ([a-z-]+)", row[1])}
    return last[2:].split("  ")[0], {o: shown.get(o.value, 0) for o in ORDER}


def _from_ctrf(folder: Path) -> tuple[str, Counts]:
    results = json.loads((folder / "readiness.ctrf.json").read_text())["results"]
    raw = [test["rawStatus"] for test in results["tests"]]
    return raw[0], {o: raw[1:].count(o.value) for o in ORDER}


def _from_metrics(folder: Path) -> tuple[str, Counts]:
    text = (folder / "readiness.prom").read_text()
    verdict = re.search(r'^readiness_verdict\{.*verdict="(.*)"\} 1\.0$', text, re.MULTILINE)
    assert verdict
    rows = re.findall(r'readiness_checks\{.*outcome="(.*)",severity=.*\} (\d+)\.0\n', text)
    return verdict[1], {o: sum(int(n) for name, n in rows if name == o.value) for o in ORDER}


@pytest.mark.parametrize("name", RECORDS)
def test_every_output_says_the_same(name: str, tmp_path: Path) -> None:
    record = RECORDS[name]()
    write_all(record, tmp_path, environ={})
    raw = json.loads((tmp_path / "readiness.json").read_text())
    expected = (raw["verdict"], {o: raw["counts"][o] for o in ORDER})
    assert _from_html(tmp_path) == expected
    assert _from_markdown(tmp_path) == expected
    assert _from_xml(tmp_path) == expected
    assert _from_ctrf(tmp_path) == expected
    assert _from_metrics(tmp_path) == expected
    assert _from_console(record) == expected


@pytest.mark.parametrize("name", RECORDS)
def test_the_cases_of_the_xml_are_the_checks(name: str, tmp_path: Path) -> None:
    record = RECORDS[name]()
    write_all(record, tmp_path, environ={})
    root = ET.parse(tmp_path / "readiness.xml").getroot()  # noqa: S314 - we have just written it
    counts = record.counts
    assert int(root.get("tests", "")) - 1 == len(record.checks)
    failed = sum(c.outcome is Outcome.FAIL and c.decides for c in record.checks)
    assert len(root.findall("testsuite/testcase/failure")) == failed + int(
        record.verdict == "NOT READY"
    )
    assert len(root.findall("testsuite/testcase/skipped")) == (
        counts[Outcome.WAIVED] + counts[Outcome.NOT_APPLICABLE]
    )


def test_every_output_names_every_reason(tmp_path: Path) -> None:
    record = small_record()
    write_all(record, tmp_path, environ={})
    printed = " ".join(details(record, width=500, color=False).split())
    page = (tmp_path / "readiness.html").read_text()
    xml = ET.parse(tmp_path / "readiness.xml").getroot()  # noqa: S314 - we have just written it
    said = str(xml.findtext("testsuite/testcase/failure"))
    markdown = (tmp_path / "readiness.md").read_text().replace("\\", "").replace("&lt;", "<")
    for reason in record.reasons:
        assert reason in printed
        assert reason in said
    # The page and the Markdown say a reason that is about a check where its evidence is.
    for said_once in build(record).reasons:
        if not said_once.of_check:
            assert said_once.text.replace("<", "&lt;") in page
            assert said_once.text in markdown
    for check in record.checks:
        if check.decides and check.outcome in {Outcome.FAIL, Outcome.ERROR, Outcome.NOT_RUN}:
            assert check.message in html.unescape(re.sub("<[^>]*>", "", page))
            assert check.message in markdown
            assert f'id="{anchor(check.id, check.subject)}"' in page
