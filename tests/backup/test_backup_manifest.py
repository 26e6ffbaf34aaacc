"""Backups with a manifest, from a real server."""

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from readiness.areas.backup.manifest import main, read_manifest, write_backup
from readiness.lib.files import manifest_path, sha256_of
from readiness.lib.postgres import connect
from readiness.lib.postgres.contents import differences, table_contents
from readiness.model.errors import CouldNotMeasure, NotPermitted, UsageError
from readiness.model.secrets import Dsn
from readiness.servers.binaries import find_binaries, run_program

pytestmark = [pytest.mark.contract, pytest.mark.clients]

Run = Callable[[str], None]


def test_the_manifest_describes_the_dump(shop: Dsn, folder: Path, run: Run) -> None:
    run("create table public.empty ()")
    dump = write_backup(shop.reveal(), folder)
    manifest = read_manifest(manifest_path(dump))
    assert manifest.dump == dump.name
    assert (manifest.bytes, manifest.sha256) == (dump.stat().st_size, sha256_of(dump))
    assert manifest.started_at <= manifest.finished_at
    assert {name: content.rows for name, content in manifest.tables.items()} == {
        "public.empty": 0,
        "shop.customers": 20,
        "shop.orders": 500,
    }
    assert "postgres" in manifest.roles
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [dump.name, manifest_path(dump).name]
    )


def test_manifest_lists_roles_with_objects_or_grants(
    shop: Dsn, role: Dsn, folder: Path, run: Run
) -> None:
    name = str(role.words["user"])
    assert name not in read_manifest(manifest_path(write_backup(shop.reveal(), folder))).roles
    run(f"grant select (amount) on shop.orders to {name}")
    assert name in read_manifest(manifest_path(write_backup(shop.reveal(), folder))).roles


def test_writers_in_the_same_second_do_not_collide(shop: Dsn, folder: Path) -> None:
    dumps: list[Path] = []
    writers = [
        threading.Thread(target=lambda: dumps.append(write_backup(shop.reveal(), folder)))
        for _ in range(3)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert len(set(dumps)) == 3
    assert all(read_manifest(manifest_path(dump)).sha256 == sha256_of(dump) for dump in dumps)


def test_existing_backup_is_not_overwritten(shop: Dsn, folder: Path) -> None:
    first = write_backup(shop.reveal(), folder, name="daily")
    before = first.read_bytes()
    with pytest.raises(UsageError, match="already"):
        write_backup(shop.reveal(), folder, name="daily")
    assert first.read_bytes() == before


def test_unreadable_table_leaves_no_partial_backup(shop: Dsn, role: Dsn, folder: Path) -> None:
    with pytest.raises(CouldNotMeasure, match="permission denied") as caught:
        write_backup(role.reveal(), folder)
    assert "correct horse" not in str(caught.value)
    assert list(folder.iterdir()) == []


def test_policy_that_hides_rows_is_an_error(shop: Dsn, role: Dsn, run: Run) -> None:
    name = str(role.words["user"])
    run(
        f"""grant usage on schema shop to {name};
            grant select on all tables in schema shop to {name};
            alter table shop.orders enable row level security;
            create policy few on shop.orders using (id < 10)"""
    )
    with pytest.raises(NotPermitted, match="row-level security"), connect(role, timeout_s=5) as c:
        table_contents(c)


def test_checksum_ignores_row_order_and_detects_changes(shop: Dsn, run: Run) -> None:
    def contents() -> dict[str, object]:
        with connect(shop, timeout_s=5) as connection:
            return dict(table_contents(connection))

    before = contents()
    run(
        "set timezone = 'Asia/Tokyo'; update shop.orders set note = note; cluster shop.customers"
        " using customers_pkey"
    )
    assert contents() == before
    run("update shop.orders set amount = amount + 0.01 where id = 1")
    assert contents() != before


def test_duplicate_rows_are_counted(dsn: Dsn, run: Run) -> None:
    run("create table t (a int)")
    with connect(dsn, timeout_s=5) as connection:
        before = table_contents(connection)
        run("insert into t values (1), (1)")
        changed = differences(before, table_contents(connection))
    assert [str(d) for d in changed] == ["public.t has 2 rows, expected 0"]


def test_partitions_and_quoted_names_are_counted(dsn: Dsn, run: Run) -> None:
    run(
        """create table p (t int) partition by range (t);
           create table p1 partition of p for values from (0) to (10);
           create table "Odd ""Name" (t text, r text);
           insert into p values (1); insert into "Odd ""Name" values ('a', 'b')"""
    )
    with connect(dsn, timeout_s=5) as connection:
        found = table_contents(connection)
    assert {name: content.rows for name, content in found.items()} == {
        'public.Odd "Name': 1,
        "public.p1": 1,
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Invalid JSON"),
        ("{}", "Field required"),
        ('{"format": "readiness-backup/2"}', "format"),
    ],
)
def test_invalid_manifest_names_the_problem(folder: Path, text: str, says: str) -> None:
    path = folder / "x.manifest.json"
    path.write_text(text)
    with pytest.raises(CouldNotMeasure, match=says) as caught:
        read_manifest(path)
    assert caught.value.where == str(path)


def test_missing_manifest_names_the_command_that_writes_one(folder: Path) -> None:
    with pytest.raises(CouldNotMeasure, match=r"python -m readiness\.areas\.backup\.manifest"):
        read_manifest(folder / "x.manifest.json")


def test_command_writes_a_backup_with_manifest(shop: Dsn, folder: Path) -> None:
    arguments = ["--dsn-env", "SHOP_DSN", "--folder", str(folder)]
    ended = CliRunner().invoke(main, arguments, env={"SHOP_DSN": shop.reveal()})
    assert ended.exit_code == 0, ended.output
    manifest = json.loads(manifest_path(Path(ended.output.strip())).read_text())
    assert manifest["format"] == "readiness-backup/1"


def test_command_without_its_variable_is_a_usage_error(folder: Path) -> None:
    ended = CliRunner().invoke(main, ["--dsn-env", "NOT_THERE", "--folder", str(folder)])
    assert ended.exit_code == 2
    assert "NOT_THERE" in ended.output


def test_no_secret_is_an_argument(shop: Dsn, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """libpq has a variable for the password alone: `sslpassword` goes through a service file."""
    seen: list[list[str]] = []
    real = subprocess.Popen

    def spy(arguments: list[str], **options: Any) -> subprocess.Popen[bytes]:
        seen.append(arguments)
        return real(arguments, **options)

    monkeypatch.setattr("readiness.servers.binaries.subprocess.Popen", spy)
    write_backup(psycopg.conninfo.make_conninfo(shop.reveal(), sslpassword="of-the-key"), folder)
    assert seen
    for hidden in (shop.words["password"], "of-the-key"):
        assert not any(hidden in str(word) for arguments in seen for word in arguments)


def test_service_with_sslpassword_is_refused(shop: Dsn) -> None:
    dsn = Dsn("service=shop sslpassword=of-the-key")
    with pytest.raises(CouldNotMeasure, match="cannot both be given"):
        run_program(find_binaries(), "pg_dump", [], timeout_s=60, dsn=dsn)
