"""The shop's backups: dumps with manifests, the other layers, a second copy, a locked store."""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from readiness.areas.backup.reference import vault
from readiness.areas.backup.reference.job import run_backup
from readiness.areas.backup.reference.wal_archive import WalArchive
from readiness.model.errors import ReferenceSystemError
from readiness.servers.binaries import Binaries
from readiness.servers.files import write_whole
from readiness.servers.shop import Shop
from readiness.servers.without import refused

_TIMEOUT_S: Final = 120
_OLDER: Final = timedelta(days=8)
_TIMES: Final = ("started_at", "finished_at")
# A dump holds them only where the role that makes it may read them.
_RECEIPTS: Final = """
    select lo_from_bytea(%s, convert_to(repeat(%s, 200), 'utf8'))"""
_FIRST_RECEIPT: Final = 900_001
_NUMBER: Final = 3


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


def make_backups(shop: Shop, root: Path, binaries: Binaries) -> Backups:
    """Make one of each kind, and one dump that is a week old.

    Raises:
        ReferenceSystemError: a program of PostgreSQL failed.
    """
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
        dump = run_backup(shop.backup, made.folder, binaries)
        layers.result()
    _remember(dump)
    shutil.copytree(made.folder, made.offsite)
    return made


def file_receipts(shop: Shop) -> None:
    """Put a few large objects into the shop, which the backup role may read."""
    with psycopg.connect(shop.owner) as connection:
        if connection.execute("select 1 from pg_largeobject_metadata limit 1").fetchone():
            return  # they came with a copy
        for number in range(_FIRST_RECEIPT, _FIRST_RECEIPT + _NUMBER):
            connection.execute(_RECEIPTS.encode(), [number, f"receipt {number} "])
            connection.execute(f"grant select on large object {number} to shop_backup".encode())


def _has_amcheck(binaries: Binaries) -> bool:
    """Whether these binaries come with amcheck (the wheel's do not)."""
    there = any(binaries.folder.parent.glob("lib/**/amcheck.*")) and not refused("amcheck")
    return there and (binaries.folder / "pg_amcheck").is_file()


def _make_layers(shop: Shop, folder: Path, root: Path, binaries: Binaries) -> None:
    _dump(binaries, shop.backup, folder / "globals.sql", "pg_dumpall", "--globals-only",
          "--no-role-passwords")  # fmt: skip
    _dump(binaries, shop.backup, folder / "schema.sql", "pg_dump", "--schema-only")
    _dump(binaries, shop.backup, folder / "rows.dump", "pg_dump", "--data-only", "--format=custom")
    uploads = root / "uploads"
    uploads.mkdir()
    for number in range(_NUMBER):
        (uploads / f"photo-{number}.txt").write_text(f"a photo of product {number}\n" * 50)
    with tarfile.open(folder / "uploads.tar.gz", "w:gz") as archive:
        archive.add(uploads, arcname="uploads")


def _dump(binaries: Binaries, dsn: str, file: Path, program: str, *options: str) -> None:
    words = conninfo_to_dict(dsn)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
    database = str(words["dbname"])
    target: Sequence[str] = [f"--dbname=dbname={database}"]
    with file.open("wb") as output:
        done = subprocess.run(
            [binaries.program(program), *options, *target],
            env={**os.environ, **{name: str(words[word]) for name, word in names.items()}},
            stdout=output,
            stderr=subprocess.PIPE,
            timeout=_TIMEOUT_S,
            check=False,
        )
    if done.returncode != 0:
        told = done.stderr[-300:].decode(errors="replace")
        raise ReferenceSystemError(f"{program} failed: {told}")


def _remember(dump: Path) -> None:
    """A dump that is a week old: the same one, with its times moved back."""
    manifest = dump.with_name(f"{dump.stem}.manifest.json")
    old = dump.with_name(f"shop-older{dump.suffix}")
    content = json.loads(manifest.read_bytes())
    for key in _TIMES:
        content[key] = (datetime.fromisoformat(content[key]) - _OLDER).isoformat()
    content["dump"] = old.name
    shutil.copy2(dump, old)
    written = old.with_name(f"{old.stem}.manifest.json")
    write_whole(written, json.dumps(content, indent=1).encode())
    before = dump.stat().st_mtime_ns - int(_OLDER.total_seconds() * 1e9)
    for path in (old, written):
        os.utime(path, ns=(before, before))
