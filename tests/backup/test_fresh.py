"""Backups in store, by their files: fresh, large enough, complete, with every layer."""

import gzip
import json
import os
import tarfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from readiness import Evidence
from readiness.areas.backup.config import Backup, Layer
from readiness.areas.backup.probes.stored import newest, sight_of
from readiness.areas.database.config import Database
from readiness.config.models import Config
from readiness.lib.files import age_of, manifest_path
from readiness.model.errors import CouldNotMeasure, NoData, Unreachable
from readiness.model.evidence import CheckFailed
from readiness.model.secrets import Dsn
from readiness.servers.binaries import find_binaries, run_program
from suites.backup import test_fresh as suite

Run = Callable[[str], None]

AWAY = Database(name="shop", dsn=Dsn("postgresql://me@127.0.0.1:1/shop"))


def backup(folder: Path, **changes: object) -> Backup:
    return Backup.model_validate(
        {"name": "shop", "database": "shop", "path": str(folder), **changes}
    )


def judged(found: Backup) -> Evidence:
    """As the check does; the database is away, so that it is not compared with."""
    evidence = Evidence()
    target = cast("Config", SimpleNamespace(databases={"shop": AWAY}))
    suite.test_fresh(found, target, evidence)
    return evidence


def missed(found: Backup) -> set[str]:
    return {m.key for m in judged(found).measurements if m.is_missed}


def write(
    folder: Path, name: str, *, age_h: float, manifest_age_h: float | None = None, size: int = 2000
) -> Path:
    path = folder / name
    path.write_bytes(b"PGDMP".ljust(size, b"x"))
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


@pytest.mark.parametrize(
    ("age_h", "manifest_age_h", "size", "expected", "says"),
    [
        (1, None, 2000, set(), ""),
        (-0.02, None, 2000, set(), ""),  # clocks may differ a little
        (27, None, 2000, {"age"}, "age of the newest backup: 27 h; limit 26 h"),
        # A copied file is as old as its manifest says.
        (0, 50, 2000, {"age"}, "age of the newest backup: 50 h"),
        (1, None, 10, {"size"}, "size of the newest backup: 10 bytes; at least 1,024 bytes"),
    ],
)
def test_age_and_size(
    tmp_path: Path,
    age_h: float,
    manifest_age_h: float | None,
    size: int,
    expected: set[str],
    says: str,
) -> None:
    write(tmp_path, "a.dump", age_h=age_h, manifest_age_h=manifest_age_h, size=size)
    evidence = judged(backup(tmp_path))
    assert missed(backup(tmp_path)) == expected
    assert says in "; ".join(evidence.failures)


def test_a_manifest_that_cannot_be_read_does_not_hide_the_age(tmp_path: Path) -> None:
    path = write(tmp_path, "a.dump", age_h=3)
    manifest_path(path).write_text("{")
    file = newest(backup(tmp_path))
    assert file is not None
    assert file.dated_by == "the file's time"
    assert age_of(file).value == pytest.approx(3, abs=0.1)


def test_newest_backup_is_found_by_time_not_name(tmp_path: Path) -> None:
    write(tmp_path, "z.dump", age_h=1, manifest_age_h=9)
    write(tmp_path, "a.dump", age_h=9, manifest_age_h=1)
    write(tmp_path, "m.dump", age_h=5)
    write(tmp_path, "b.dump.partial", age_h=0)
    file = newest(backup(tmp_path))
    assert file is not None
    assert file.path.name == "a.dump"


def test_no_backup_at_all_fails(tmp_path: Path) -> None:
    write(tmp_path, "a.sql", age_h=1)
    assert missed(backup(tmp_path)) == {"exists"}
    with pytest.raises(CheckFailed, match="No backup found in"):
        judged(backup(tmp_path)).conclude()


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    for folder in (tmp_path / "nothing", write(tmp_path, "a.dump", age_h=1)):
        with pytest.raises(Unreachable, match="the folder does not exist"):
            judged(backup(folder)).conclude()


def test_a_backup_from_the_future_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "a.dump", age_h=-1)
    with pytest.raises(CouldNotMeasure, match="from the future"):
        judged(backup(tmp_path)).conclude()


def dump(dsn: Dsn, path: Path, *options: str) -> Path:
    arguments = [f"--file={path}", *options]
    assert run_program(find_binaries(), "pg_dump", arguments, timeout_s=60, dsn=dsn).clean
    return path


@pytest.mark.contract
@pytest.mark.clients
def test_layers_hold_what_they_declare(shop: Dsn, folder: Path) -> None:
    dump(shop, folder / "all.dump", "--format=custom")
    dump(shop, folder / "schema.sql", "--schema-only")
    dump(shop, folder / "rows.dump", "--format=custom", "--data-only")
    with tarfile.open(folder / "files.tar.gz", "w:gz") as archive:
        archive.add(folder / "schema.sql", arcname="schema.sql")
    for holds, pattern, expected in (
        ("full", "all.dump", set()), ("schema", "schema.sql", set()), ("data", "rows.dump", set()),
        ("volume", "*.gz", set()), ("full", "nothing.*", {"layer-exists"}),
        ("full", "schema.sql", {"layer-contents"}), ("data", "schema.sql", {"layer-contents"}),
        ("schema", "rows.dump", {"layer-contents"}), ("globals", "schema.sql", {"layer-contents"}),
        ("volume", "all.dump", {"layer-contents"}),
    ):  # fmt: skip
        layer = Layer.model_validate({"name": "it", "holds": holds, "pattern": pattern})
        found = missed(backup(folder, layers={"it": layer}, previous_share_min=0.001))
        assert found == expected, (holds, pattern)


@pytest.mark.contract
@pytest.mark.clients
def test_a_plain_dump_that_was_cut_off(shop: Dsn, folder: Path) -> None:
    """As it is, and compressed by gzip."""
    plain = dump(shop, folder / "all.sql").read_bytes()
    (folder / "all.sql").unlink()
    for name, content, says in (
        ("all.sql", plain, ""),
        ("all.sql", plain[:-400], "cut off"),
        ("all.sql.gz", gzip.compress(plain), ""),
        ("all.sql.gz", gzip.compress(plain[:-400]), "cut off"),
        ("all.sql.gz", gzip.compress(plain)[:-100], "cannot be read to its end"),
    ):
        (folder / name).write_bytes(content)
        evidence = judged(backup(folder, pattern=name))
        assert says in "".join(evidence.failures)
        assert {m.key for m in evidence.measurements if m.is_missed} == (
            {"complete"} if says else set()
        )


@pytest.mark.parametrize(
    ("content", "encrypted", "is_error"),
    [
        (b"PK\x03\x04" + bytes(range(256)) * 5, False, True),  # zip
        (b"PK\x03\x04" + bytes(range(256)) * 5, True, True),
        (b"Salted__" + bytes(range(256)) * 5, False, True),
        (b"Salted__" + bytes(range(256)) * 5, True, False),  # encrypted, as it should be
        (b"PGDMP" + bytes(range(256)) * 5, False, False),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(
    tmp_path: Path, content: bytes, encrypted: bool, is_error: bool
) -> None:
    (tmp_path / "all.dump").write_bytes(content)
    lost = [str(error) for error in judged(backup(tmp_path, encrypted=encrypted)).lost]
    assert any("cannot be read here: all.dump" in error for error in lost) is is_error


@pytest.mark.contract
@pytest.mark.parametrize(
    ("statements", "bypasses", "tables"),
    [
        ("", False, ()),
        ("alter role {role} bypassrls", True, ("public.t",)),
        ("alter table t enable row level security", False, ("public.t",)),
        ("alter table t owner to {role}; alter table t enable row level security", False, ()),
    ],
)
def test_which_rows_a_role_sees(
    dsn: Dsn, role: Dsn, run: Run, statements: str, bypasses: bool, tables: tuple[str, ...]
) -> None:
    name = str(role.words["user"])
    run("create table t ()")
    if "bypassrls" in statements:
        run("alter table t enable row level security")
    run(statements.format(role=name) or "select")
    found = sight_of(name, Database(name="shop", dsn=dsn))
    assert (found.bypasses, found.tables) == (bypasses, tables)
    with pytest.raises(NoData, match="the role 'ghost' does not exist"):
        sight_of("ghost", Database(name="shop", dsn=dsn))
