"""The outputs of one small record, byte for byte.

After a change that is meant, make them again and read the difference:

    READINESS_UPDATE_GOLDEN=1 pytest tests/golden/test_report.py
"""

import os
from pathlib import Path

import pytest

from readiness.model.record import load
from readiness.report import html, machines, markdown
from readiness.report.console import summary
from tests.support.records import small_record

HERE = Path(__file__).parent
SAMPLE = HERE.parents[1] / "reports" / "sample"
UPDATE = "READINESS_UPDATE_GOLDEN" in os.environ

OUTPUTS = {
    "small.html": lambda: "".join(html.render(small_record())),
    "small.md": lambda: markdown.render(small_record()),
    "small.xml": lambda: machines.junit(small_record()),
    "small.txt": lambda: summary(
        small_record(), width=80, color=False, report="reports/readiness.html"
    ),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_output(name: str) -> None:
    path = HERE / "report" / name
    made = OUTPUTS[name]()
    if UPDATE:
        path.write_text(made, encoding="utf-8")
    assert made == path.read_text(encoding="utf-8")


def test_the_committed_sample_is_what_its_record_gives() -> None:
    record = load(SAMPLE / "readiness.json")
    remedy = "run: readiness report reports/sample/readiness.json --reports reports/sample"
    assert "".join(html.render(record)) == (SAMPLE / "readiness.html").read_text(), remedy
    assert markdown.render(record) == (SAMPLE / "readiness.md").read_text(), remedy
