"""Which backup is the newest, and how old it is."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from readiness import Evidence
from readiness.areas.backup.config import Backup
from readiness.areas.backup.probes.files import newest
from readiness.lib.files import age_of, manifest_path
from readiness.model.errors import CouldNotMeasure, Unreachable
from readiness.model.evidence import CheckFailed, Outcome
from suites.backup import test_files as suite


def _write(
    folder: Path, name: str, *, age_h: float, manifest_age_h: float | None = None, size: int = 2000
) -> Path:
    path = folder / name
    path.write_bytes(b"x" * size)
    changed = time.time() - age_h * 3600
    os.utime(path, (changed, changed))
    if manifest_age_h is not None:
        finished = datetime.now(UTC) - timedelta(hours=manifest_age_h)
        manifest = {
            "format": "readiness-backup/1",
            "database": "shop",
            "server_version": "15.1",
            "dump": name,
            "started_at": finished.isoformat(),
            "finished_at": finished.isoformat(),
            "sha256": "0" * 64,
            "bytes": size,
            "roles": [],
            "tables": {"public.t": {"rows": 1, "checksum": "1"}},
        }
        manifest_path(path).write_text(json.dumps(manifest))
    return path


def _backup(folder: Path) -> Backup:
    return Backup(name="shop", database="shop", path=str(folder))


def _judge(folder: Path) -> Outcome:
    evidence = Evidence()
    suite.test_backup_fresh(_backup(folder), evidence)
    return evidence.conclude()


def test_a_fresh_backup_passes(tmp_path: Path) -> None:
    _write(tmp_path, "a.dump", age_h=1)
    assert _judge(tmp_path) is Outcome.PASS


def test_an_old_one_fails(tmp_path: Path) -> None:
    _write(tmp_path, "a.dump", age_h=27)
    with pytest.raises(CheckFailed, match="age of the newest backup 27"):
        _judge(tmp_path)


def test_a_copied_file_is_as_old_as_its_manifest_says(tmp_path: Path) -> None:
    _write(tmp_path, "a.dump", age_h=0, manifest_age_h=50)
    with pytest.raises(CheckFailed, match="age of the newest backup 50"):
        _judge(tmp_path)


def test_a_manifest_that_cannot_be_read_does_not_hide_the_age(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.dump", age_h=3)
    manifest_path(path).write_text("{")
    file = newest(_backup(tmp_path))
    assert file is not None
    assert file.dated_by == "the file's time"
    assert age_of(file).value == pytest.approx(3, abs=0.1)


def test_the_newest_is_taken_whatever_its_name(tmp_path: Path) -> None:
    _write(tmp_path, "z.dump", age_h=1, manifest_age_h=9)
    _write(tmp_path, "a.dump", age_h=9, manifest_age_h=1)
    _write(tmp_path, "m.dump", age_h=5)
    _write(tmp_path, "b.dump.partial", age_h=0)
    file = newest(_backup(tmp_path))
    assert file is not None
    assert file.path.name == "a.dump"


def test_a_small_file_is_no_backup(tmp_path: Path) -> None:
    _write(tmp_path, "a.dump", age_h=1, size=10)
    with pytest.raises(CheckFailed, match="10 bytes"):
        _judge(tmp_path)


def test_no_backup_at_all_fails(tmp_path: Path) -> None:
    _write(tmp_path, "a.sql", age_h=1)
    with pytest.raises(CheckFailed, match="there is no backup at all"):
        _judge(tmp_path)


def test_a_folder_that_is_not_there_cannot_be_judged(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="no such folder"):
        _judge(tmp_path / "nothing")


def test_a_file_in_place_of_the_folder_cannot_be_judged(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        _judge(_write(tmp_path, "a.dump", age_h=1))


def test_a_backup_from_the_future_cannot_be_judged(tmp_path: Path) -> None:
    _write(tmp_path, "a.dump", age_h=-1)
    with pytest.raises(CouldNotMeasure, match="from the future"):
        _judge(tmp_path)


def test_clocks_may_differ_a_little(tmp_path: Path) -> None:
    _write(tmp_path, "a.dump", age_h=-0.02)
    assert _judge(tmp_path) is Outcome.PASS
