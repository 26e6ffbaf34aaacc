"""The files for machines: CTRF, metrics, the comment on a pull request, the record's schema."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from markdown_it import MarkdownIt
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from readiness.cli import docs
from readiness.model.record import CauseNote, RunRecord
from readiness.report import machines, pull_request
from tests.support.records import make_check, make_many, make_record, sample, small_record

ROOT = Path(__file__).parents[2]
GOOD = make_check("backup.restores", severity="blocker")
RECORDS: dict[str, Callable[[], RunRecord]] = {
    "small": small_record,
    "sample": sample,
    "ready": lambda: make_record([GOOD]),
    "empty": lambda: make_record([]),
    "large": lambda: make_many(1200),
}


def _report(record: RunRecord) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(machines.ctrf(record))
    return loaded


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("pass", "passed"),
        ("warn", "passed"),
        ("fail", "failed"),
        ("error", "failed"),
        ("not-run", "failed"),
        ("waived", "skipped"),
        ("not-applicable", "skipped"),
    ],
)
def test_what_could_not_be_judged_is_failed_in_ctrf(outcome: str, status: str) -> None:
    report = _report(make_record([GOOD, make_check(outcome=outcome, message="because")]))
    test = report["results"]["tests"][-1]
    assert (test["status"], test["rawStatus"]) == (status, outcome)
    assert report["results"]["summary"]["other"] == 0


@pytest.mark.parametrize(
    ("outcome", "status"), [("fail", "passed"), ("error", "skipped"), ("not-run", "skipped")]
)
def test_what_does_not_decide_fails_no_ctrf_report(outcome: str, status: str) -> None:
    report = _report(make_record([GOOD, make_check(outcome=outcome, severity="minor")]))
    assert report["results"]["summary"]["failed"] == 0
    test = report["results"]["tests"][-1]
    assert (test["status"], test["rawStatus"]) == (status, outcome)
    assert test["extra"]["decides"] is False


@pytest.mark.parametrize("name", RECORDS)
def test_ctrf_has_what_the_format_requires(name: str) -> None:
    record = RECORDS[name]()
    report = _report(record)
    assert report["reportFormat"] == "CTRF"
    results = report["results"]
    assert set(results) == {"tool", "summary", "tests", "environment"}
    summary = results["summary"]
    statuses = [test["status"] for test in results["tests"]]
    assert summary["tests"] == len(statuses) == len(record.checks) + 1
    for status in ("passed", "failed", "skipped", "pending", "other"):
        assert summary[status] == statuses.count(status)
    assert (summary["failed"] == 0) is (record.verdict == "READY")
    assert results["environment"]["healthy"] is (record.verdict == "READY")
    assert summary["start"] <= summary["stop"]
    for test in results["tests"]:
        assert test["name"]
        assert isinstance(test["duration"], int)
        assert test["suite"]
    ids = [test["id"] for test in results["tests"]]
    assert len(set(ids)) == len(ids)


def test_an_id_in_ctrf_is_the_same_in_every_run() -> None:
    first = _report(make_record([GOOD], run_id="a"))["results"]["tests"]
    second = _report(make_record([GOOD], run_id="b"))["results"]["tests"]
    assert [test["id"] for test in first] == [test["id"] for test in second]


def _samples(text: str) -> dict[tuple[str, str], float]:
    """The samples as both parsers read them: node_exporter's format and OpenMetrics."""
    plain = [s for family in text_string_to_metric_families(text) for s in family.samples]
    families = openmetrics_parser.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    strict = [sample for family in families for sample in family.samples]
    assert [(s.name, s.labels, s.value) for s in plain] == [
        (s.name, s.labels, s.value) for s in strict
    ]
    assert all(s.timestamp is None for s in strict)  # node_exporter refuses them
    return {(s.name, json.dumps(s.labels, sort_keys=True)): s.value for s in strict}


@pytest.mark.parametrize("name", RECORDS)
def test_both_parsers_read_the_metrics(name: str) -> None:
    record = RECORDS[name]()
    samples = _samples(machines.openmetrics(record))
    verdicts = {k[1]: v for k, v in samples.items() if k[0] == "readiness_verdict"}
    assert sum(verdicts.values()) == 1
    (holds,) = [json.loads(labels)["verdict"] for labels, v in verdicts.items() if v]
    assert holds == record.verdict
    checks = sum(v for k, v in samples.items() if k[0] == "readiness_checks")
    assert checks == len(record.checks)
    assert all(math.isfinite(value) for value in samples.values())


def test_the_metrics_say_how_much_was_judged_and_when() -> None:
    record = small_record()
    known = {name: v for (name, _), v in _samples(machines.openmetrics(record)).items()}
    assert known["readiness_coverage_ratio"] == pytest.approx(4 / 6)
    assert known["readiness_run_timestamp_seconds"] == record.run.finished.timestamp()
    assert known["readiness_run_duration_seconds"] == 702.3


def test_no_label_ends_early() -> None:
    record = small_record()
    hostile = 'a"b\\c\nd{x="1"} 2\n# EOF'
    target = record.target.model_copy(update={"name": hostile, "release": hostile})
    samples = _samples(machines.openmetrics(make_record([GOOD], target=target)))
    labels = {json.loads(found)["target"] for _, found in samples}
    assert labels == {'a"b\\c d{x="1"} 2 # EOF'}


def test_a_comment_says_verdict_coverage_work_and_changes() -> None:
    text = pull_request.render(sample())
    assert text.startswith("## ✗ NOT READY: ")
    assert "**Do not ship: 2 required checks failed; 2 could not be judged.**" in text
    assert "Judged 20 of 22 required (profile full)" in text
    assert "1. **BLOCKER** deployment.rollback-lossless" in text
    assert "   ```sh\n   kubectl -n orders patch deployment orders" in text
    assert "\n### Since " in text


def test_a_comment_is_at_most_20_kb() -> None:
    text = "Ä" * 900
    cause = CauseNote(what=text, remedy=text)
    checks = [
        make_check(f"a.b{n}", "", "error", message=text).model_copy(
            update={"causes": (cause.model_copy(update={"what": f"{n} {text}"}),)}
        )
        for n in range(200)
    ]
    comment = pull_request.render(make_record(checks))
    assert 10_000 < len(comment.encode()) <= pull_request.LARGEST
    assert comment.endswith("\nThe rest is in `readiness.html`.\n")


def test_no_command_ends_its_block() -> None:
    fix = "Run:\n    cat <<'X' ``` | sh --x\n"
    record = make_record([make_check("a.b", "", "fail", fix=fix, message="<b> @team #1 **x**")])
    html = MarkdownIt("commonmark", {"html": True}).render(pull_request.render(record))
    assert "<code class=\"language-sh\">cat &lt;&lt;'X' ``` | sh --x\n</code>" in html
    assert "<b>" not in html
    assert "@team" not in html


def test_a_ready_run_makes_a_short_comment() -> None:
    text = pull_request.render(make_record([GOOD]))
    assert text.startswith("## ✓ READY: orders 2026.11.3 · staging\n")
    assert "Do this" not in text


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_valid_by_the_published_schema(name: str) -> None:
    schema = json.loads((ROOT / "docs" / docs.NAME).read_text())
    known = jsonschema.validators.validator_for(schema)
    known.check_schema(schema)
    checker = known(schema, format_checker=known.FORMAT_CHECKER)
    checker.validate(json.loads(RECORDS[name]().to_json()))


def test_a_record_of_a_real_run_is_valid_by_the_published_schema() -> None:
    schema = json.loads((ROOT / "docs" / docs.NAME).read_text())
    record = json.loads((ROOT / "reports" / "sample" / "readiness.json").read_text())
    jsonschema.validate(record, schema)


@pytest.mark.parametrize("key", ["verdict", "checks", "run", "record_sha256"])
def test_what_is_not_a_record_is_not_valid(key: str) -> None:
    record = json.loads(small_record().to_json())
    del record[key]
    with pytest.raises(jsonschema.ValidationError, match=key):
        jsonschema.validate(record, docs.json_schema())
    wrong = json.loads(small_record().to_json()) | {"verdict": "MAYBE"}
    with pytest.raises(jsonschema.ValidationError, match="MAYBE"):
        jsonschema.validate(wrong, docs.json_schema())


def test_the_published_schema_is_that_of_the_model() -> None:
    published = (ROOT / "docs" / docs.NAME).read_text()
    assert published == docs.render(), "make docs"
