import hashlib
import json
import os
from pathlib import Path

import pytest

from readiness.model.errors import ReadinessError
from readiness.model.record import load
from readiness.report import html, write_all
from tests.support.records import LAST_WEEK, make_check, make_record, small_record

FILES = [
    "readiness.json",
    "readiness.html",
    "readiness.xml",
    "readiness.md",
    "readiness.pr.md",
    "readiness.ctrf.json",
    "readiness.prom",
]


def test_everything_is_written(tmp_path: Path) -> None:
    record = small_record()
    written = write_all(record, tmp_path / "new" / "reports", environ={})
    assert [path.name for path in written[:-1]] == FILES
    assert written[-1].parent.name == "history"
    assert load(written[0]) == load(written[-1]) == record
    assert {path.stat().st_mode & 0o777 for path in written} == {0o644}
    assert not list((tmp_path / "new" / "reports").glob(".*"))


def test_the_same_record_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_all(small_record(), tmp_path / "a", environ={})
    second = write_all(small_record(), tmp_path / "b", environ={})
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_an_unwritable_output_does_not_keep_the_others(tmp_path: Path) -> None:
    (tmp_path / "readiness.html").mkdir()
    (tmp_path / "readiness.md").mkdir()
    with pytest.raises(ReadinessError) as caught:
        write_all(small_record(), tmp_path, environ={})
    assert "readiness.html is a folder" in str(caught.value)
    assert "readiness.md is a folder" in str(caught.value)
    assert caught.value.remedy
    assert (tmp_path / "readiness.json").is_file()
    assert (tmp_path / "readiness.xml").is_file()
    assert len(list((tmp_path / "history").iterdir())) == 1


def test_a_fault_in_one_output_does_not_keep_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_record: object, **_: object) -> list[str]:
        raise ZeroDivisionError

    monkeypatch.setattr(html, "render", broken)
    with pytest.raises(ReadinessError, match="ZeroDivisionError") as caught:
        write_all(small_record(), tmp_path, environ={})
    assert caught.value.where.endswith("readiness.html")
    assert (tmp_path / "readiness.md").is_file()


def test_an_older_file_is_left_whole_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(small_record(), tmp_path, environ={})
    before = (tmp_path / "readiness.html").read_bytes()

    def torn(_record: object, **_: object) -> object:
        yield "<!DOCTYPE html>"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(html, "render", torn)
    with pytest.raises(ReadinessError, match="No space"):
        write_all(make_record(), tmp_path, environ={})
    assert (tmp_path / "readiness.html").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("")
    with pytest.raises(ReadinessError, match="is not a folder") as caught:
        write_all(small_record(), tmp_path / "reports", environ={})
    assert caught.value.where.endswith("reports")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ReadinessError, match="Permission denied"):
        write_all(small_record(), tmp_path, environ={})


def test_a_lone_surrogate_is_still_json(tmp_path: Path) -> None:
    record = make_record([make_check(subject="x\udc80", message="\ud800")])
    path = write_all(record, tmp_path, environ={})[0]
    assert json.loads(path.read_text(encoding="utf-8"))["checks"][0]["subject"] == "x\udc80"


def test_in_github_actions_annotations_and_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    write_all(small_record(), tmp_path / "reports", environ=environ)
    markdown = (tmp_path / "reports" / "readiness.md").read_text()
    assert summary.read_text() == "before\n" + markdown
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("::error title=readiness deployment.rollback-lossless,file=")


def test_elsewhere_nothing_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_all(small_record(), tmp_path, environ={})
    assert capsys.readouterr().out == ""


def test_a_summary_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path)}
    with pytest.raises(ReadinessError, match="job summary") as caught:
        write_all(small_record(), tmp_path / "reports", environ=environ)
    assert "GITHUB_STEP_SUMMARY" in caught.value.where


def test_earlier_records_beside_the_reports_are_drawn(tmp_path: Path) -> None:
    before = make_record([make_check(outcome="pass")], began=LAST_WEEK, run_id="before")
    failed = make_record([make_check(outcome="fail")])
    write_all(before, tmp_path, environ={})
    write_all(failed, tmp_path, environ={})
    assert "Last runs:" in (tmp_path / "readiness.html").read_text()
    write_all(failed, tmp_path / "elsewhere", environ={})
    assert "Last runs:" not in (tmp_path / "elsewhere" / "readiness.html").read_text()


def test_the_annex_can_be_left_out_of_the_page(tmp_path: Path) -> None:
    write_all(small_record(), tmp_path, environ={}, evidence="findings")
    assert 'id="annex"' not in (tmp_path / "readiness.html").read_text()


def test_record_of_an_older_tool_can_be_read_again_after_it_was_reported(tmp_path: Path) -> None:
    raw = json.loads(make_record().to_json())
    del raw["record_sha256"], raw["coverage"], raw["policy"], raw["not_asked"]
    canonical = json.dumps(raw, sort_keys=True, separators=(",", ":"))
    raw["record_sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
    older = tmp_path / "older.json"
    older.write_text(json.dumps(raw), encoding="utf-8")
    written = write_all(load(older), tmp_path, environ={})
    again = load(written[0])
    assert again.checks == make_record().checks
    assert again.record_sha256 in (tmp_path / "readiness.html").read_text(encoding="utf-8")
