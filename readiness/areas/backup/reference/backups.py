"""The shop's backups and their tables in readiness.toml: dumps, layers, a copy, a locked store."""

import json
import os
import shutil
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from readiness.areas.backup.manifest import write_backup
from readiness.areas.backup.reference import vault
from readiness.areas.backup.reference.wal_archive import WalArchive
from readiness.lib.files import manifest_path
from readiness.model.errors import ReferenceSystemError
from readiness.model.secrets import Dsn
from readiness.servers.binaries import Binaries, find_binaries, run_program
from readiness.servers.files import quoted, write_whole
from readiness.servers.programs import refused
from readiness.servers.shop import Server, Shop

_TIMEOUT_S: Final = 120
_OLDER: Final = timedelta(days=8)
_TIMES: Final = ("started_at", "finished_at")
# A dump holds them only where the role that makes it may read them.
_RECEIPTS: Final = """
    select lo_from_bytea(%s, convert_to(repeat(%s, 200), 'utf8'))"""
_FIRST_RECEIPT: Final = 900_001
_NUMBER: Final = 3
_LAYERS: Final = {
    "globals.sql": ("pg_dumpall", "--globals-only", "--no-role-passwords"),
    "schema.sql": ("pg_dump", "--schema-only"),
    "rows.dump": ("pg_dump", "--data-only", "--format=custom"),
}


@dataclass(frozen=True, slots=True)
class Backups:
    """Where they are.

    Attributes:
        folder: the dumps with their manifests.
        layers: roles, schema, rows, and the files of the shop.
        offsite: the second copy of the dumps.
        vault: the store that locks what it holds.
        has_amcheck: whether what is restored here can be checked physically.
        archive: the server's files and its WAL; None where that cannot be had.
    """

    folder: Path
    layers: Path
    offsite: Path
    vault: Path
    has_amcheck: bool
    archive: WalArchive | None = None

    @property
    def dump(self) -> Path:
        """One of the dumps."""
        return next(self.folder.glob("*.dump"))

    @property
    def uploads(self) -> Path:
        """The archive of the files that customers sent."""
        return self.layers / "uploads.tar.gz"


def programs_for(server: Server) -> Binaries:
    """The programs that fit the server: its own, or this machine's for one in a container."""
    own = getattr(server, "binaries", None)
    return own if isinstance(own, Binaries) else find_binaries()


def make_backups(shop: Shop, root: Path, binaries: Binaries) -> Backups:
    """Make one of each kind, and one dump that is a week old."""
    made = Backups(
        folder=root / "backups",
        layers=root / "layers",
        offsite=root / "offsite",
        vault=root / "vault",
        has_amcheck=_has_amcheck(binaries),
    )
    made.layers.mkdir()
    vault.make(made.vault)
    with ThreadPoolExecutor(max_workers=2) as pool:
        layers = pool.submit(_make_layers, shop, made.layers, root, binaries)
        dump = write_backup(shop.backup, made.folder, binaries=binaries)
        layers.result()
    _add_an_older(dump)
    shutil.copytree(made.folder, made.offsite)
    return made


def file_receipts(shop: Shop) -> None:
    """Write a few large objects into the shop, which the backup role may read."""
    with psycopg.connect(shop.owner) as connection:
        if connection.execute("select 1 from pg_largeobject_metadata limit 1").fetchone():
            return  # they came with the copied data folder
        for number in range(_FIRST_RECEIPT, _FIRST_RECEIPT + _NUMBER):
            connection.execute(_RECEIPTS.encode(), [number, f"receipt {number} "])
            connection.execute(f"grant select on large object {number} to shop_backup".encode())


def _has_amcheck(binaries: Binaries) -> bool:
    """Whether these binaries come with amcheck (the wheel's do not)."""
    there = any(binaries.folder.parent.glob("lib/**/amcheck.*")) and not refused("amcheck")
    return there and (binaries.folder / "pg_amcheck").is_file()


def _make_layers(shop: Shop, folder: Path, root: Path, binaries: Binaries) -> None:
    for name, words in _LAYERS.items():
        (folder / name).write_bytes(run_client(binaries, shop.backup, *words))
    uploads = root / "uploads"
    uploads.mkdir()
    for number in range(_NUMBER):
        (uploads / f"photo-{number}.txt").write_text(f"a photo of product {number}\n" * 50)
    with tarfile.open(folder / "uploads.tar.gz", "w:gz") as archive:
        archive.add(uploads, arcname="uploads")


def run_client(binaries: Binaries, dsn: str, name: str, *arguments: str) -> bytes:
    """What a program of PostgreSQL prints."""
    with tempfile.TemporaryFile() as output:
        ended = run_program(
            binaries, name, arguments, timeout_s=_TIMEOUT_S, dsn=Dsn(dsn), output=output
        )
        if not ended.clean:
            raise ReferenceSystemError(f"{name} failed: {ended}")
        output.seek(0)
        return output.read()


def shifted(content: dict[str, Any], by: timedelta) -> dict[str, Any]:
    """The content of a manifest, with its times moved back."""
    earlier = {key: (datetime.fromisoformat(content[key]) - by).isoformat() for key in _TIMES}
    return {**content, **earlier}


def _add_an_older(dump: Path) -> None:
    """Add a dump that is a week old: the same one, with its times moved back."""
    old = dump.with_name(f"shop-older{dump.suffix}")
    content = shifted(json.loads(manifest_path(dump).read_bytes()), _OLDER)
    shutil.copy2(dump, old)
    text = json.dumps({**content, "dump": old.name}, indent=1)
    write_whole(manifest_path(old), text.encode())
    before = dump.stat().st_mtime_ns - int(_OLDER.total_seconds() * 1e9)
    for path in (old, manifest_path(old)):
        os.utime(path, ns=(before, before))


_ALL: Final = 8
_WITHOUT_AMCHECK: Final = 4


def backup(backups: Backups) -> str:
    """[backup.NAME], one for each."""
    text = _BACKUP.format(
        folder=quoted(str(backups.folder)),
        layers=quoted(str(backups.layers)),
        offsite=quoted(str(backups.offsite)),
        vault=vault.__name__,
        python=quoted(sys.executable),
        level=_ALL if backups.has_amcheck else _WITHOUT_AMCHECK,
    )
    level = "" if backups.has_amcheck else f"restore_level = {_WITHOUT_AMCHECK}\n"
    return text + (_archive(backups.archive, level) if backups.archive else "")


def _archive(archive: WalArchive, level: str) -> str:
    words = ", ".join(map(quoted, archive.command))
    # PostgreSQL never runs as root, and neither does what reads its files.
    account = 'account = "nobody"\n' if os.geteuid() == 0 else ""
    return _ARCHIVE.format(
        repository=quoted(str(archive.repository)), command=words, account=account, level=level
    )


_BACKUP: Final = """
# The newest of these dumps is restored into a private server and compared with its manifest.
[backup.shop]
database = "shop"
path = {folder}
role = "shop_backup"
retention_days = 7
# What was written since the newest dump is lost; the WAL archive below covers the time between.
rpo_s = 93600
restore_level = {level}

# What the application does, tried in the restored copy and rolled back.
[backup.shop.application]
role = "shop_app"
reads = [
  "select order_id from shop.orders order by created_at desc limit 5",
  "select customer from shop.recent_orders limit 1",
]
writes = ["insert into shop.orders (customer_id, total_cents) values (1, 100) returning order_id"]

[backup.shop.layers.roles]
holds = "globals"
folder = {layers}
pattern = "globals.sql"

[backup.shop.layers.schema]
holds = "schema"
folder = {layers}
pattern = "schema.sql"

[backup.shop.layers.rows]
holds = "data"
folder = {layers}
pattern = "rows.dump"

[backup.shop.layers.uploads]
holds = "volume"
folder = {layers}
pattern = "uploads.tar.gz"

# Only a reference system has its second copy on the same machine.
[backup.shop.copies.offsite]
folder = {offsite}
other_device = false

[backup.shop.immutable]
put = [{python}, "-m", "{vault}", "backup", "put", "{{object}}"]
exists = [{python}, "-m", "{vault}", "backup", "exists", "{{object}}"]
access = [{python}, "-m", "{vault}", "application", "exists", "{{object}}"]
delete = [{python}, "-m", "{vault}", "application", "delete", "{{object}}"]
remove = [{python}, "-m", "{vault}", "keeper", "delete", "{{object}}"]
"""

_ARCHIVE: Final = """
# The server's files and every change since: any moment can be restored.
[backup.shop-wal]
database = "shop"
tool = "pgbackrest"
path = {repository}
encrypted = true
rpo_s = 93600
{level}
[backup.shop-wal.physical]
command = [{command}]
{account}# May create a schema, pg_create_restore_point and pg_switch_wal; nothing else.
dsn = "${{REFERENCE_DRILL_DSN}}"
archived_within_s = 20
# The shop writes orders all the time: the newest shows how much would be lost.
heartbeat_sql = "select max(created_at) from shop.orders"
"""
