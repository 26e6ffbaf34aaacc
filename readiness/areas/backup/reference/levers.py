"""What can break the shop's backups: each a context manager that restores the very bytes."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from readiness.areas.backup.manifest import write_backup
from readiness.areas.backup.reference import vault
from readiness.areas.backup.reference.backups import Backups, programs_for, run_client, shifted
from readiness.lib.files import manifest_path
from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import kept, write_whole
from readiness.servers.provider import Server
from readiness.servers.shop import Shop

_COPY: Final = "readiness_spoiled"
_DAY_NS: Final = 86_400 * 10**9


@contextlib.contextmanager
def aged(folder: Path, hours: float) -> Iterator[None]:
    """Make all backups older, in the file system and in their manifests."""
    with kept(folder):
        for manifest in folder.glob("*.manifest.json"):
            _edit(manifest, lambda content: shifted(content, timedelta(hours=hours)))
        for file in folder.iterdir():
            info = file.stat()
            before = info.st_mtime_ns - int(hours * 3600e9)
            os.utime(file, ns=(before, before))
        yield


@contextlib.contextmanager
def truncated(folder: Path) -> Iterator[None]:
    """Cut off the last two fifths of the newest dump."""
    with kept(folder):
        dump = newest(folder)
        content = dump.read_bytes()
        write_whole(dump, content[: len(content) * 3 // 5])
        yield


@contextlib.contextmanager
def emptied(folder: Path) -> Iterator[None]:
    """Leave nothing of the newest dump but its name."""
    with kept(folder):
        write_whole(newest(folder), b"")
        yield


@contextlib.contextmanager
def removed(folder: Path) -> Iterator[None]:
    """Remove all backups."""
    with kept(folder):
        for file in folder.iterdir():
            file.unlink()
        yield


@contextlib.contextmanager
def replaced(
    folder: Path, dsn: str, server: Server, options: Sequence[str] = (), *, known: bool = True
) -> Iterator[None]:
    """Put a dump of another database in the place of the newest one.

    Its manifest keeps the contents of the old one; size and SHA-256 are those of the new file
    where that is `known`.
    """
    with kept(folder):
        dump = newest(folder)
        other = run_client(programs_for(server), dsn, "pg_dump", "--format=custom", *options)
        write_whole(dump, other)
        facts = {"sha256": hashlib.sha256(other).hexdigest(), "bytes": len(other)}
        if known:
            _edit(manifest_path(dump), lambda content: {**content, **facts})
        yield


def newest(folder: Path) -> Path:
    """The newest dump of a folder, by the file's time.

    Raises:
        ReferenceSystemError: there is none.
    """
    dumps = sorted(folder.glob("*.dump"), key=lambda dump: dump.stat().st_mtime_ns)
    if not dumps:
        raise ReferenceSystemError("there is no dump", where=str(folder))
    return dumps[-1]


def _edit(manifest: Path, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    content = json.loads(manifest.read_bytes())
    write_whole(manifest, json.dumps(edit(content), indent=1).encode())


class BackupLevers:
    """Levers on the dumps, the layers, the second copy and the locked store."""

    def __init__(self, backups: Backups, server: Server, shop: Shop) -> None:
        self._backups = backups
        self._server = server
        self._shop = shop

    @contextlib.contextmanager
    def replaced(
        self, sql: str = "", options: Sequence[str] = (), *, known: bool = True
    ) -> Iterator[None]:
        """Put a dump of a changed copy of the database in the place of the newest one.

        Args:
            sql: how the copy is changed.
            options: of pg_dump.
            known: whether the manifest has the SHA-256 of the new file.
        """
        with contextlib.ExitStack() as stack:
            with self._changed(sql) as dsn:
                stack.enter_context(kept(self._backups.offsite))
                folder = self._backups.folder
                stack.enter_context(replaced(folder, dsn, self._server, options, known=known))
                self._mirror()
            yield

    @contextlib.contextmanager
    def replaced_by_one_for(self, role: str) -> Iterator[None]:
        """Put a dump in the place of the newest one that grants to a role which is gone."""
        with contextlib.ExitStack() as stack:
            self._admin(f"create role {role}")
            try:
                stack.enter_context(self.replaced(f"grant select on shop.orders to {role}"))
            finally:
                self._admin(f"drop role {role}")
            yield

    @contextlib.contextmanager
    def made_of(self, sql: str) -> Iterator[None]:
        """Make a whole new backup, with a true manifest, of a changed copy of the database."""
        with kept(self._backups.folder), kept(self._backups.offsite):
            with self._changed(sql) as dsn:
                write_backup(dsn, self._backups.folder, binaries=programs_for(self._server))
                self._mirror()
            yield

    @contextlib.contextmanager
    def shrunk(self) -> Iterator[None]:
        """Let the dump of yesterday have been three times as large as the newest one."""
        folder = self._backups.folder
        with kept(folder):
            dump = newest(folder)
            before = folder / "shop-yesterday.dump"
            write_whole(before, dump.read_bytes() * 3)
            then = dump.stat().st_mtime_ns - _DAY_NS
            os.utime(before, ns=(then, then))
            yield

    @contextlib.contextmanager
    def without_old(self) -> Iterator[None]:
        """Remove all dumps but the newest."""
        folder = self._backups.folder
        with kept(folder):
            dump = newest(folder)
            for file in folder.iterdir():
                if not file.name.startswith(dump.stem):
                    file.unlink()
            yield

    @contextlib.contextmanager
    def layer_missing(self, name: str) -> Iterator[None]:
        """Remove a file of the layers."""
        with kept(self._backups.layers):
            (self._backups.layers / name).unlink()
            yield

    @contextlib.contextmanager
    def layer_cut_off(self, name: str) -> Iterator[None]:
        """Keep three fifths of a file of the layers."""
        path = self._backups.layers / name
        with kept(path):
            content = path.read_bytes()
            write_whole(path, content[: len(content) * 3 // 5])
            yield

    @contextlib.contextmanager
    def layer_edited(self, name: str, old: bytes, new: bytes) -> Iterator[None]:
        """Replace some bytes in a file of the layers; all of them where `old` is empty."""
        path = self._backups.layers / name
        with kept(path):
            content = path.read_bytes()
            if old not in content:
                raise ReferenceSystemError(f"{old!r} is not there", where=str(path))
            write_whole(path, content.replace(old, new) if old else new)
            yield

    @contextlib.contextmanager
    def layer_aged(self, name: str, hours: float) -> Iterator[None]:
        """Make a file of the layers that many hours older."""
        path = self._backups.layers / name
        with kept(path):
            then = path.stat().st_mtime_ns - int(hours * 3600e9)
            os.utime(path, ns=(then, then))
            yield

    @contextlib.contextmanager
    def newest_emptied(self) -> Iterator[None]:
        """Leave nothing of the newest dump but its name."""
        with emptied(self._backups.folder):
            yield

    @contextlib.contextmanager
    def copy_emptied(self) -> Iterator[None]:
        """Remove all that is in the second copy."""
        with removed(self._backups.offsite):
            yield

    @contextlib.contextmanager
    def copy_stopped(self) -> Iterator[None]:
        """Let the newest dump be in the second copy no more."""
        with kept(self._backups.offsite):
            newest(self._backups.offsite).unlink()
            yield

    @contextlib.contextmanager
    def copy_cut_off(self) -> Iterator[None]:
        """Let the newest dump be in the second copy as a half."""
        dump = newest(self._backups.offsite)
        with kept(dump):
            write_whole(dump, dump.read_bytes()[: dump.stat().st_size // 2])
            yield

    @contextlib.contextmanager
    def vault_opened(self) -> Iterator[None]:
        """Let the application delete what is in the locked store."""
        policy = self._backups.vault / vault.POLICY
        with kept(policy):
            allowed = json.loads(policy.read_bytes())
            allowed["application"].append("delete")
            write_whole(policy, json.dumps(allowed).encode())
            yield

    def _mirror(self) -> None:
        """What the job does that makes the second copy."""
        for file in self._backups.folder.iterdir():
            shutil.copy2(file, self._backups.offsite / file.name)

    @contextlib.contextmanager
    def _changed(self, sql: str) -> Iterator[str]:
        """A copy of the database, from its newest dump, that was changed."""
        self._admin(f"create database {_COPY}")
        try:
            dsn = self._server.dsn(_COPY)
            dump = str(newest(self._backups.folder))
            run_client(programs_for(self._server), dsn, "pg_restore", "--exit-on-error", dump)
            with psycopg.connect(dsn) as connection:
                connection.execute((sql or "select").encode())
            yield dsn
        finally:
            self._admin(f"drop database if exists {_COPY} with (force)")

    def _admin(self, statement: str) -> None:
        with psycopg.connect(self._shop.admin, autocommit=True) as connection:
            connection.execute(statement.encode())


def backup_levers(backups: Backups | None, server: Server, shop: Shop) -> BackupLevers:
    """The levers on a system's backups.

    Raises:
        ReferenceSystemError: it has none.
    """
    if backups is None:
        raise ReferenceSystemError("this system has no backups")
    return BackupLevers(backups, server, shop)
