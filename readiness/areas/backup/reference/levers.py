"""What can break the shop's backups: each a context manager that restores the very bytes."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from readiness.areas.backup.manifest import write_backup
from readiness.areas.backup.reference import vault
from readiness.areas.backup.reference.backups import Backups, programs_for, run_client, shifted
from readiness.lib.files import manifest_path
from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import kept, write_whole
from readiness.servers.shop import NAME, Server, Shop

Lever = contextlib.AbstractContextManager[None]

_COPY: Final = "readiness_spoiled"
_DAY_NS: Final = 86_400 * 10**9


@contextlib.contextmanager
def aged(folder: Path, hours: float) -> Iterator[None]:
    """Make all backups older, in the file system and in their manifests."""
    with kept(folder):
        for manifest in folder.glob("*.manifest.json"):
            _edit(manifest, lambda content: shifted(content, timedelta(hours=hours)))
        for file in folder.iterdir():
            _age(file, hours)
        yield


def truncated(folder: Path) -> Lever:
    """Cut off the last two fifths of the newest dump."""
    return _changed(newest(folder), _cut_off)


def removed(folder: Path) -> Lever:
    """Remove all backups."""
    return _changed(folder, _clear)


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
    """The newest dump of a folder, by the file's time."""
    dumps = sorted(folder.glob("*.dump"), key=lambda dump: dump.stat().st_mtime_ns)
    if not dumps:
        raise ReferenceSystemError("no dump found", where=str(folder))
    return dumps[-1]


def _edit(manifest: Path, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    content = json.loads(manifest.read_bytes())
    write_whole(manifest, json.dumps(edit(content), indent=1).encode())


@contextlib.contextmanager
def _changed(path: Path, change: Callable[[Path], object]) -> Iterator[None]:
    """Change a file, or the files of a folder, and restore them."""
    with kept(path):
        change(path)
        yield


def _cut_off(path: Path) -> None:
    write_whole(path, path.read_bytes()[: path.stat().st_size * 3 // 5])


def _clear(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def _age(path: Path, hours: float) -> None:
    then = path.stat().st_mtime_ns - int(hours * 3600e9)
    os.utime(path, ns=(then, then))


def _replace(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    if old not in content:
        raise ReferenceSystemError(f"the file does not contain {old!r}", where=str(path))
    write_whole(path, content.replace(old, new))


def _triple_the_one_before(folder: Path) -> None:
    dump, before = newest(folder), folder / "shop-yesterday.dump"
    write_whole(before, dump.read_bytes() * 3)
    then = dump.stat().st_mtime_ns - _DAY_NS
    os.utime(before, ns=(then, then))


def _keep_the_newest(folder: Path) -> None:
    name = newest(folder).stem
    for file in folder.iterdir():
        if not file.name.startswith(name):
            file.unlink()


def _before(content: dict[str, Any], hours: float) -> str:
    started = datetime.fromisoformat(content["started_at"])
    return (started - timedelta(hours=hours)).isoformat()


def _allow_deletion(policy: Path) -> None:
    allowed = json.loads(policy.read_bytes())
    allowed["application"].append("delete")
    write_whole(policy, json.dumps(allowed).encode())


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
            with self._copy(sql) as dsn:
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
    def made_of(self, sql: str = "", *, renamed: bool = False) -> Iterator[None]:
        """Make a whole new backup, with a true manifest, of a changed copy of the database.

        Args:
            sql: how the copy is changed.
            renamed: whether the manifest has the name of the copy, and not that of the database.
        """
        with kept(self._backups.folder), kept(self._backups.offsite):
            with self._copy(sql) as dsn:
                made = write_backup(dsn, self._backups.folder, binaries=programs_for(self._server))
                if not renamed:
                    _edit(manifest_path(made), lambda content: {**content, "database": NAME})
                self._mirror()
            yield

    def of_a_standby_that_stands_still(self, hours: float) -> Lever:
        """Let the manifest of the newest dump say that a standby had replayed nothing since."""
        return self._manifest(
            lambda content: {**content, "replayed_until": _before(content, hours)}
        )

    def of_another_server(self) -> Lever:
        """Let the manifest of the newest dump have the identifier of another server."""
        return self._manifest(lambda content: {**content, "system": "1"})

    @contextlib.contextmanager
    def _manifest(self, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[None]:
        with kept(self._backups.folder):
            _edit(manifest_path(newest(self._backups.folder)), edit)
            yield

    def shrunk(self) -> Lever:
        """Let the dump of yesterday have been three times as large as the newest one."""
        return _changed(self._backups.folder, _triple_the_one_before)

    def without_old(self) -> Lever:
        """Remove all dumps but the newest."""
        return _changed(self._backups.folder, _keep_the_newest)

    def newest_emptied(self) -> Lever:
        """Leave nothing of the newest dump but its name."""
        return _changed(newest(self._backups.folder), lambda path: write_whole(path, b""))

    def layer_missing(self, name: str) -> Lever:
        """Remove a file of the layers."""
        return _changed(self._backups.layers / name, Path.unlink)

    def layer_cut_off(self, name: str) -> Lever:
        """Keep three fifths of a file of the layers."""
        return _changed(self._backups.layers / name, _cut_off)

    def layer_edited(self, name: str, old: bytes, new: bytes) -> Lever:
        """Replace some bytes in a file of the layers."""
        return _changed(self._backups.layers / name, lambda path: _replace(path, old, new))

    def layer_aged(self, name: str, hours: float) -> Lever:
        """Make a file of the layers that many hours older."""
        return _changed(self._backups.layers / name, lambda path: _age(path, hours))

    def copy_stopped(self) -> Lever:
        """Remove the newest dump from the second copy."""
        return _changed(newest(self._backups.offsite), Path.unlink)

    def copy_cut_off(self) -> Lever:
        """Keep three fifths of the newest dump in the second copy."""
        return _changed(newest(self._backups.offsite), _cut_off)

    def copy_emptied(self) -> Lever:
        """Remove all that is in the second copy."""
        return _changed(self._backups.offsite, _clear)

    def vault_opened(self) -> Lever:
        """Let the application delete what is in the locked store."""
        return _changed(self._backups.vault / vault.POLICY, _allow_deletion)

    def _mirror(self) -> None:
        """What the job does that makes the second copy."""
        for file in self._backups.folder.iterdir():
            shutil.copy2(file, self._backups.offsite / file.name)

    @contextlib.contextmanager
    def _copy(self, sql: str) -> Iterator[str]:
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
    """The levers on a system's backups."""
    if backups is None:
        raise ReferenceSystemError("this system has no backups")
    return BackupLevers(backups, server, shop)
