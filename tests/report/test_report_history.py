from datetime import timedelta
from pathlib import Path

import pytest

from readiness.model.record import Facts, Policy, RunRecord, Selection, TargetFacts
from readiness.model.verdict import judge
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


def _part(record: RunRecord) -> RunRecord:
    return _again(record, selection=Selection(select=("performance",), partial=True))


def _interrupted(record: RunRecord) -> RunRecord:
    return _again(record, interrupted=True)


def _again(record: RunRecord, **run: object) -> RunRecord:
    known = {name: getattr(record, name) for name in Facts.model_fields}
    return judge(Facts(**{**known, "run": record.run.model_copy(update=run)}))


def _stored(folder: Path, *records: RunRecord) -> history.Files:
    for record in records:
        history.store(record, folder)
    return history.Files(folder)


def test_the_newest_of_the_same_target_says_how_long_checks_take(tmp_path: Path) -> None:
    kept = _stored(tmp_path, _record(2), _record(1), _record(3, "stock"))
    assert history.latest(kept, "orders") == _record(2)
    assert history.latest(kept, "nobody") is None


def test_the_last_ready_record_is_the_baseline_and_red_ones_are_not(tmp_path: Path) -> None:
    ready = [_record(minute, severity="blocker") for minute in (1, 2)]
    assert {record.verdict for record in ready} == {"READY"}
    red = [_record(minute) for minute in (3, 4)]
    other = _record(5, "stock", severity="blocker")
    now = _record(9)
    assert history.baseline(_stored(tmp_path, *ready, *red, other), now) == ready[1]


def test_before_the_first_ready_run_the_last_whole_one_is_compared_with(tmp_path: Path) -> None:
    partial, interrupted = _part(_record(2)), _interrupted(_record(3))
    kept = _stored(tmp_path, _record(1), partial, interrupted)
    assert history.baseline(kept, _record(9)) == _record(1)


@pytest.mark.parametrize("how", ["profile", "environment"])
def test_runs_of_another_profile_or_environment_are_not_compared_with(
    tmp_path: Path, how: str
) -> None:
    now = _record(9)
    changed = (
        {"policy": Policy(profile="core")}
        if how == "profile"
        else {"target": now.target.model_copy(update={"environment": "production"})}
    )
    kept = _stored(tmp_path, _record(1), _record(2, severity="blocker"))
    assert history.baseline(kept, now) is not None
    assert len(history.earlier(kept, now)) == 2
    other = now.model_copy(update=changed)
    assert history.baseline(kept, other) is None
    assert history.earlier(kept, other) == ()


def test_earlier_runs_are_those_of_the_target_that_began_before(tmp_path: Path) -> None:
    records = [_record(minute) for minute in range(1, 6)]
    kept = _stored(tmp_path, *records, _record(0, "stock"))

    def found(most: int) -> list[str]:
        return [run.id for run in history.earlier(kept, records[3], most)]

    assert found(2) == ["run-3", "run-2"]
    assert found(9) == ["run-3", "run-2", "run-1"]
    assert history.earlier(history.Files(tmp_path / "missing"), records[3]) == ()


def test_no_folder_is_no_history(tmp_path: Path) -> None:
    kept = history.Files(tmp_path / "missing")
    assert history.latest(kept, "orders") is None
    assert history.baseline(kept, _record(1)) is None


def test_unreadable_and_altered_records_are_passed_over(tmp_path: Path) -> None:
    kept = _stored(tmp_path, _record(1))
    altered = history.store(_record(2), tmp_path)
    altered.write_text(altered.read_text().replace("INCOMPLETE", "READY"))
    history.store(_record(3), tmp_path).write_text("{")
    found = history.baseline(kept, _record(9))
    assert found is not None
    assert found.run.id == "run-1"
    assert [run.id for run in history.earlier(kept, _record(9))] == ["run-1"]


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
