from datetime import timedelta
from pathlib import Path

from readiness.model.record import RunRecord, TargetFacts
from readiness.report import history
from tests.support.records import BEGAN, make_check, make_record


def _record(minute: int, target: str = "orders", severity: str = "major") -> RunRecord:
    facts = TargetFacts(name=target, environment="staging", release="1", fingerprint="f")
    return make_record(
        [make_check(severity=severity)],
        began=BEGAN + timedelta(minutes=minute),
        run_id=f"run-{minute}",
        target=facts,
    )


def test_the_newest_of_the_same_target_is_found(tmp_path: Path) -> None:
    for record in (_record(2), _record(1), _record(3, "stock")):
        history.store(record, tmp_path)
    found = history.latest(tmp_path, "orders")
    assert found == _record(2)
    assert history.latest(tmp_path, "nobody") is None


def test_the_last_ready_record_is_preferred_to_newer_ones(tmp_path: Path) -> None:
    ready = [_record(minute, severity="blocker") for minute in (1, 2)]
    assert {record.verdict for record in ready} == {"READY"}
    others = [_record(minute) for minute in (3, 4)]
    for record in (*ready, *others, _record(5, "stock", severity="blocker")):
        history.store(record, tmp_path)
    assert history.latest(tmp_path, "orders") == ready[1]


def test_earlier_records_are_those_of_the_target_that_began_before(tmp_path: Path) -> None:
    records = [_record(minute) for minute in range(1, 6)]
    for record in (*records, _record(0, "stock")):
        history.store(record, tmp_path)
    assert history.earlier(tmp_path, records[3], 2) == (records[2], records[1])
    assert history.earlier(tmp_path, records[3], 9) == (records[2], records[1], records[0])
    assert history.earlier(tmp_path / "missing", records[3], 2) == ()


def test_no_folder_is_no_history(tmp_path: Path) -> None:
    assert history.latest(tmp_path / "missing", "orders") is None


def test_unreadable_and_altered_records_are_passed_over(tmp_path: Path) -> None:
    history.store(_record(1), tmp_path)
    altered = history.store(_record(2), tmp_path)
    altered.write_text(altered.read_text().replace("INCOMPLETE", "READY"))
    history.store(_record(3), tmp_path).write_text("{")
    found = history.latest(tmp_path, "orders")
    assert found is not None
    assert found.run.id == "run-1"


def test_only_the_newest_hundred_are_kept_and_nothing_else_is_touched(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    folder.mkdir()
    (folder / "notes.json").write_text("mine")
    for minute in range(101):
        (folder / f"20250101T{minute:06}Z-old.json").write_text("{}")
    kept = history.store(_record(1), tmp_path)
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 101
    assert "notes.json" in names
    assert kept.name in names
    assert "20250101T000001Z-old.json" not in names


def test_a_run_id_cannot_leave_the_folder(tmp_path: Path) -> None:
    path = history.store(make_record(run_id="../../x y"), tmp_path)
    assert path.parent == tmp_path / "history"
