"""One summary over the records of several targets: `readiness report A.json B.json`."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from readiness.cli.main import main
from readiness.model.record import RunRecord, TargetFacts
from readiness.report import write_all
from tests.support.records import make_check, make_record


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def _record(target: str, outcome: str = "pass", *, report_only: bool = False) -> RunRecord:
    facts = TargetFacts(name=target, environment="staging", release="2.4.0", fingerprint="f")
    check = make_check(outcome=outcome, severity="blocker", message="too slow")
    return make_record([check], run_id=f"run-{target}", target=facts, report_only=report_only)


def _report(*records: RunRecord) -> Result:
    paths = []
    for record in records:
        folder = Path(record.target.name)
        write_all(record, folder, environ={})
        paths.append(str(folder / "readiness.json"))
    return CliRunner().invoke(main, ["report", *paths, "--reports", "all"])


@pytest.mark.parametrize(
    ("outcomes", "code", "worst"),
    [
        (("pass", "pass"), 0, "✓ READY  2 of 2"),
        (("pass", "error"), 3, "◆ INCOMPLETE  1 of 2"),
        (("error", "fail", "pass"), 1, "✗ NOT READY  1 of 3"),
    ],
)
def test_the_exit_code_is_the_worst(outcomes: tuple[str, ...], code: int, worst: str) -> None:
    shown = _report(*(_record(f"shop-{n}", outcome) for n, outcome in enumerate(outcomes)))
    assert shown.exit_code == code
    assert shown.output.splitlines()[-1] == f"{worst} targets are READY · exit {code}"


def test_a_red_run_with_report_only_does_not_stop_the_pipeline_and_says_so() -> None:
    shown = _report(_record("shop"), _record("stock", "fail", report_only=True))
    assert shown.exit_code == 0
    assert "!! --report-only: its exit code is 0 whatever the verdict" in shown.output


def test_the_worst_target_stands_first_with_its_steps_and_its_page(folder: Path) -> None:
    shown = _report(_record("shop"), _record("stock", "fail"))
    lines = shown.output.splitlines()
    assert lines[0] == "✗ NOT READY  stock 2.4.0 · staging · 1 of 1 judged, profile full"
    assert lines[1] == "    BLOCKER  performance.query-latency[orders-db]: too slow"
    assert "    Page stock/readiness.html" in lines
    assert all(len(line) <= 80 for line in lines if "$ " not in line)
    for name, link in (
        ("summary.html", '<a href="../stock/readiness.html">stock 2.4.0 · staging</a>'),
        ("summary.md", "[stock 2.4.0 · staging](../stock/readiness.html)"),
    ):
        text = (folder / "all" / name).read_text()
        assert link in text
        assert text.index("stock 2.4.0") < text.index("shop 2.4.0")
    assert "<script" not in (folder / "all/summary.html").read_text()


def test_each_record_is_verified(folder: Path) -> None:
    assert _report(_record("shop"), _record("stock", "fail")).exit_code == 1
    path = folder / "stock/readiness.json"
    path.write_text(path.read_text().replace("too slow", "fine"))
    shown = CliRunner().invoke(
        main, ["report", "shop/readiness.json", "stock/readiness.json", "--reports", "again"]
    )
    assert shown.exit_code == 2
    assert "stock/readiness.json: was changed after it was written" in shown.output
    assert not (folder / "again").exists()


def test_the_same_run_twice_is_refused() -> None:
    shown = _report(_record("shop"), _record("shop"))
    assert shown.exit_code == 2
    assert re.search("is the same run as shop/readiness.json", shown.output)
