"""Whose data a backup holds, how old that is by its own word, and what it does not hold."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from readiness import Evidence
from readiness.areas.backup.config import Backup
from readiness.areas.backup.manifest import write_backup
from readiness.areas.backup.probes.contents import as_archived, heading_of
from readiness.areas.backup.probes.origin import left_out
from readiness.areas.backup.probes.restore import Restored
from readiness.areas.database.config import Database
from readiness.config.models import Config
from readiness.lib.files import BackupFile, age_of, manifest_path
from readiness.model.errors import CouldNotMeasure
from readiness.model.measurement import now
from readiness.model.secrets import Dsn
from readiness.servers.binaries import Ended, find_binaries, run_program
from readiness.servers.postgres import PrivatePostgres
from suites.backup import test_fresh as suite
from tests.support.database_health import execute

Run = Callable[[str], None]


def backup(folder: Path, **changes: object) -> Backup:
    found = {"name": "shop", "database": "shop", "path": str(folder), "pattern": "it*"}
    return Backup.model_validate({**found, "database_share_min": 0.0001, **changes})


def dump(dsn: Dsn, path: Path, *options: str, program: str = "pg_dump") -> None:
    words = [f"--file={path}", *options]
    assert run_program(find_binaries(), program, words, timeout_s=60, dsn=dsn).clean


def edited(dumped: Path, **changes: object) -> None:
    path = manifest_path(dumped)
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))


def judged(found: Backup, dsn: Dsn) -> Evidence:
    evidence = Evidence()
    target = SimpleNamespace(databases={"shop": Database(name="shop", dsn=dsn)})
    suite.test_fresh(found, cast("Config", target), evidence)
    return evidence


@pytest.mark.parametrize(
    ("options", "system", "says"),
    [
        (None, "", ""),
        (("-Fc",), "", ""),
        (("-Fd",), "", ""),
        (("-C",), "", ""),
        ((), "", ""),
        (None, "7412", "of the server with the system identifier 7412"),
    ],
)
@pytest.mark.contract
@pytest.mark.clients
def test_backups_of_the_database_itself(
    shop: Dsn, folder: Path, options: tuple[str, ...] | None, system: str, says: str
) -> None:
    """With a manifest, or as pg_dump makes them with these options."""
    if options is None:
        made = write_backup(shop.reveal(), folder, name="it")
        if system:
            edited(made, system=system)
    else:
        dump(shop, folder / "it", *options)
    failures = judged(backup(folder, min_bytes=1), shop).failures
    assert len(failures) == bool(says)
    assert says in "".join(failures)


@pytest.fixture(scope="module")
def dsn_with_a_table(server: PrivatePostgres) -> Dsn:
    """Another database, with a table of its own."""
    other = Dsn(server.dsn("another"))
    execute(server.dsn(), "create database another")
    execute(other.reveal(), "create table public.theirs (a int)")
    return other


@pytest.mark.parametrize("options", [None, ("-Fc",), ("-Fd",), ("-Ft",), ("-C",), ()])
@pytest.mark.contract
@pytest.mark.clients
def test_backups_of_another_database(
    shop: Dsn, dsn_with_a_table: Dsn, folder: Path, options: tuple[str, ...] | None
) -> None:
    """Plain SQL does not name the database without --create: its tables must be known."""
    if options is None:
        edited(write_backup(shop.reveal(), folder, name="it"), database="shop_test")
    else:
        dump(dsn_with_a_table, folder / "it", *options)
    evidence = judged(backup(folder, min_bytes=1), shop)
    assert {m.key for m in evidence.measurements if m.is_missed} == {"source"}


LISTING = """;
; Archive created at 2026-03-01 02:00:00 UTC
;     dbname: by_a_pooler
;     Dumped from database version: 15.18
;
4000; 1262 16384 DATABASE - shop an_owner
4001; 0 0 DATABASE PROPERTIES - shop an_owner
"""


def test_an_old_dump_under_todays_date_is_old(tmp_path: Path) -> None:
    """Its list of contents has no time zone: what that may hide is allowed for."""
    heading = heading_of(LISTING)
    assert (heading.database, heading.has_settings) == ("shop", True)
    assert heading_of(LISTING.replace("- shop", "- my shop")).database == "by_a_pooler"
    assert heading.created_at
    today = BackupFile(tmp_path / "a.dump", now(), 1, "the file's time", now())
    old = as_archived(today, heading)
    assert old.data_at == heading.created_at + timedelta(hours=12)
    assert float(age_of(old).value) > 24
    assert as_archived(today, replace(heading, created_at=now() - timedelta(hours=11))) == today
    assert as_archived(today, heading_of("")) == today


@pytest.mark.parametrize(("age_s", "says"), [(30, "does not show how old its data is"), (90, "")])
def test_data_loss_of_a_dump_without_a_manifest(tmp_path: Path, age_s: float, says: str) -> None:
    """It is as old as its file at least; a dump of a stale standby is older."""
    at = now() - timedelta(seconds=age_s)
    done = Ended(0, 0, ())
    restore = Restored(BackupFile(tmp_path / "a.dump", at, 1, "the file's time", at), done, done)
    promised = backup(tmp_path, rpo_s=60)
    if says:
        with pytest.raises(CouldNotMeasure, match=says):
            restore.data_loss(promised)
    else:
        assert float(restore.data_loss(promised).value) > 60


@pytest.mark.contract
@pytest.mark.clients
def test_what_no_layer_holds_is_named(
    shop: Dsn, role: Dsn, server: PrivatePostgres, folder: Path, run: Run
) -> None:
    name = str(role.words["user"])
    run(
        f"alter role {name} set search_path = shop; create unlogged table shop.cache ();"
        f" alter database {shop.words['dbname']} set work_mem = '8MB'"
    )
    database = Database(name="shop", dsn=shop)
    layers = {"roles": {"name": "roles", "holds": "globals", "pattern": "globals.sql"}}
    dump(shop, folder / "it", "-Fc")
    bare = left_out(backup(folder), database)
    assert any(one.startswith("roles, their passwords") for one in bare)
    assert any(one == f"settings of role {name}: search_path" for one in bare)
    dump(shop, folder / "globals.sql", "--globals-only", program="pg_dumpall")
    assert left_out(backup(folder, layers=layers), database) == []
    dump(shop, folder / "globals.sql", "-g", "--no-role-passwords", program="pg_dumpall")
    dump(shop, folder / "it")
    assert left_out(backup(folder, layers=layers), database) == [
        "passwords of roles (pg_dumpall --no-role-passwords)",
        f"settings of database {shop.words['dbname']}: work_mem",
    ]
    edited(write_backup(shop.reveal(), folder, name="it2"), replayed_until=now().isoformat())
    lost = left_out(backup(folder, pattern="it2*", layers=layers), database)
    assert "rows of unlogged tables (a standby has none): shop.cache" in lost
