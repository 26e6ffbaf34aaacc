"""What can be wrong with the shop's backups beside the newest dump: each a context manager."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from typing import Final

import psycopg

from readiness.areas.backup.reference import levers, vault
from readiness.areas.backup.reference.backups import Backups
from readiness.areas.backup.reference.job import programs_for, run_backup
from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import kept, write_whole
from readiness.servers.provider import Server
from readiness.servers.shop import Shop

_COPY: Final = "readiness_spoiled"
_DAY_NS: Final = 86_400 * 10**9


class BackupSpoilers:
    """Levers on the dumps, the layers, the second copy and the locked store."""

    def __init__(self, backups: Backups, server: Server, shop: Shop) -> None:
        self._backups = backups
        self._server = server
        self._shop = shop

    @contextlib.contextmanager
    def replaced(self, sql: str = "", options: Sequence[str] = ()) -> Iterator[None]:
        """Put a dump of a changed copy of the database in the place of the newest one.

        Args:
            sql: how the copy is changed.
            options: of pg_dump.
        """
        with contextlib.ExitStack() as stack:
            with self._changed(sql) as dsn:
                stack.enter_context(kept(self._backups.offsite))
                replaced = levers.replaced(self._backups.folder, dsn, self._server, options)
                stack.enter_context(replaced)
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
                run_backup(dsn, self._backups.folder, programs_for(self._server))
                self._mirror()
            yield

    @contextlib.contextmanager
    def shrunk(self) -> Iterator[None]:
        """Let the dump of yesterday have been three times as large as the newest one."""
        folder = self._backups.folder
        with kept(folder):
            newest = levers.newest(folder)
            before = folder / "shop-yesterday.dump"
            write_whole(before, newest.read_bytes() * 3)
            then = newest.stat().st_mtime_ns - _DAY_NS
            os.utime(before, ns=(then, then))
            yield

    @contextlib.contextmanager
    def without_old(self) -> Iterator[None]:
        """Remove all dumps but the newest."""
        folder = self._backups.folder
        with kept(folder):
            newest = levers.newest(folder)
            for file in folder.iterdir():
                if not file.name.startswith(newest.stem):
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
    def copy_stopped(self) -> Iterator[None]:
        """Let the newest dump be in the second copy no more."""
        with kept(self._backups.offsite):
            levers.newest(self._backups.offsite).unlink()
            yield

    @contextlib.contextmanager
    def copy_cut_off(self) -> Iterator[None]:
        """Let the newest dump be in the second copy as a half."""
        newest = levers.newest(self._backups.offsite)
        with kept(newest):
            write_whole(newest, newest.read_bytes()[: newest.stat().st_size // 2])
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
            levers.restore_newest(self._backups.folder, dsn, self._server)
            with psycopg.connect(dsn) as connection:
                connection.execute((sql or "select").encode())
            yield dsn
        finally:
            self._admin(f"drop database if exists {_COPY} with (force)")

    def _admin(self, statement: str) -> None:
        with psycopg.connect(self._shop.admin, autocommit=True) as connection:
            connection.execute(statement.encode())


def spoilers(backups: Backups | None, server: Server, shop: Shop) -> BackupSpoilers:
    """The levers on a system's backups.

    Raises:
        ReferenceSystemError: it has none.
    """
    if backups is None:
        raise ReferenceSystemError("this system has no backups")
    return BackupSpoilers(backups, server, shop)
