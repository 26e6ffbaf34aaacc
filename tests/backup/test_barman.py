"""Barman for real: a backup over the streaming protocol, its archive, and a restore of it."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from readiness.areas.backup.config import Backup, Physical
from readiness.areas.backup.probes.physical import continuity_of, restored_cluster
from readiness.areas.backup.tools import tool_of
from readiness.areas.database.config import Database
from readiness.lib.guardian import Guardian
from readiness.lib.postgres import connect, fetch
from readiness.model.errors import NoData
from readiness.model.secrets import Dsn
from readiness.servers import programs
from readiness.servers.binaries import server_account
from readiness.servers.postgres import PrivatePostgres
from tests.support.processes import eventually, needed, reachable

pytestmark = pytest.mark.contract

CONFIG = """\
[barman]
barman_user = {user}
barman_home = {folder}
log_file = {folder}/barman.log
configuration_files_directory = {folder}/none
path_prefix = {binaries}
[shop]
description = the shop
conninfo = {conninfo} dbname=postgres
streaming_conninfo = {conninfo}
backup_method = postgres
streaming_archiver = on
slot_name = barman
create_slot = auto
immediate_checkpoint = true
"""


class Home:
    """Barman's folder, and how it is called."""

    def __init__(self, folder: Path, server: PrivatePostgres) -> None:
        self.folder = folder
        self.account = server_account()
        self.user = pwd.getpwuid(self.account.uid).pw_name
        self.config = folder / "barman.conf"
        secret = folder / "pgpass"
        secret.write_text(f"*:*:*:{server.superuser}:{server.password}\n")
        conninfo = f"host=127.0.0.1 port={server.port} user={server.superuser} passfile={secret}"
        self.config.write_text(
            CONFIG.format(
                user=self.user, folder=folder, binaries=server.binaries.folder, conninfo=conninfo
            )
        )
        for path in (folder, secret, self.config):
            self.account.own(path)

    @property
    def command(self) -> list[str]:
        return ["env", f"HOME={self.folder}", needed(programs.BARMAN), "-c", str(self.config)]

    def run(self, *words: str) -> int:
        return subprocess.run(
            [*self.command, *words], check=False, cwd="/", timeout=120, **self.account.popen
        ).returncode


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    folder = tmp_path_factory.mktemp("source")
    with PrivatePostgres.start(folder, settings={"fsync": "off"}) as running:
        with psycopg.connect(running.dsn(), autocommit=True) as connection:
            connection.execute("create table rows as select generate_series(1, 1000) n")
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, server: PrivatePostgres) -> Iterator[Home]:
    """With one backup that is done; its receiver of WAL is stopped at the end."""
    account = server_account()
    with reachable(tmp_path_factory.mktemp("barman"), account) as folder:
        place = folder / "home"
        place.mkdir()
        made = Home(place, server)
        try:
            made.run("cron")
            eventually(lambda: made.run("switch-wal", "--force", "--archive", "shop") == 0, 60)
            assert made.run("backup", "--wait", "shop") == 0
            yield made
        finally:
            made.run("receive-wal", "--stop", "shop")
            shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def backup(home: Home) -> Backup:
    physical = Physical(
        command=home.command,
        server="shop",
        account=home.user if os.geteuid() == 0 else None,
    )
    return Backup(
        name="wal", database="shop", tool="barman", path=str(home.folder), rto_s=60,
        physical=physical,
    )  # fmt: skip


@pytest.mark.fast
def test_a_backup_is_verified_and_restores(backup: Backup, server: PrivatePostgres) -> None:
    tool = tool_of(backup)
    (found,) = tool.backups()
    assert (found.failed, found.size > 1_000_000) == (False, True)
    assert found.first_segment in tool.segments()
    verified = tool.verify()
    assert (verified.problems, verified.good) == ((), True)
    database = Database(name="shop", dsn=Dsn(server.dsn()))
    assert continuity_of(backup, database).missing == ()
    assert tool.pieces()
    with Guardian() as guardian, restored_cluster(backup, database, guardian) as cluster:
        assert cluster.problem == ""
        with connect(cluster.database(), timeout_s=10) as connection:
            assert fetch(connection, "select count(*) from rows") == [(1000,)]


def test_a_changed_file_is_reported(backup: Backup, home: Home) -> None:
    file = max(
        (home.folder / "shop" / "base").rglob("data/base/*/*"), key=lambda p: p.stat().st_size
    )
    before = file.read_bytes()
    try:
        file.write_bytes(bytes([before[0] ^ 1, *before[1:]]))
        assert not tool_of(backup).verify().good
    finally:
        file.write_bytes(before)


def test_a_missing_manifest_is_an_error(backup: Backup, home: Home) -> None:
    (manifest,) = (home.folder / "shop" / "base").rglob("backup_manifest")
    aside = manifest.with_name("aside")
    manifest.rename(aside)
    try:
        with pytest.raises(NoData, match="generate-manifest shop latest"):
            tool_of(backup).verify()
    finally:
        aside.rename(manifest)


def test_a_stray_file_is_reported(backup: Backup, home: Home) -> None:
    """Its name is like the manifest's, which is not missing."""
    (manifest,) = (home.folder / "shop" / "base").rglob("backup_manifest")
    stray = manifest.with_name("backup_manifest.old")
    stray.touch()
    try:
        assert not tool_of(backup).verify().good
    finally:
        stray.unlink()
