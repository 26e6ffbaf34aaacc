"""What can be wrong with the shop's WAL archive: each a context manager that puts it back."""

import contextlib
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Final

import psycopg

from readiness.areas.backup.reference.backups import Backups
from readiness.areas.backup.reference.wal_archive import WalArchive
from readiness.model.errors import ReferenceSystemError
from readiness.servers.account import server_account
from readiness.servers.files import kept, write_whole
from readiness.servers.shop import Shop

_PATIENCE_S: Final = 90.0
_SEGMENT: Final = re.compile(r"^([0-9A-F]{24})-")
_FAILING: Final = """
    select coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false)
    from pg_stat_archiver"""
_WAITING: Final = "select count(*) = 0 from pg_ls_archive_statusdir() where name like '%.ready'"

Replace = Callable[[str, str], contextlib.AbstractContextManager[None]]
"""Replaces a text in the system's readiness.toml."""


class ArchiveLevers:
    """Levers on the WAL archive."""

    def __init__(self, archive: WalArchive, shop: Shop) -> None:
        self._archive = archive
        self._shop = shop

    @contextlib.contextmanager
    def command(self, command: str) -> Iterator[None]:
        """Let the server archive with another command."""
        self._execute(f"alter system set archive_command = '{command}'")
        try:
            yield
        finally:
            self._execute("alter system reset archive_command")

    @contextlib.contextmanager
    def to_nowhere(self) -> Iterator[None]:
        """Let it archive to nowhere, and say that all is well; then begin anew."""
        try:
            with self.command("/bin/true"):
                yield
        finally:
            self._begin_anew()

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Let every attempt fail, and go on only once one has."""
        with self.command("/bin/false"):
            self._switch()
            self._await(_FAILING)
            yield
        self._switch()
        self._await(f"select not ({_FAILING.strip()})")
        self._await(_WAITING)

    @contextlib.contextmanager
    def file_lost(self) -> Iterator[None]:
        """Remove one WAL file from the middle of what was archived since the backup."""
        for _ in range(3):
            self._switch()
        self._await(_WAITING)
        lost = self._segments()[-2]
        hidden = self._archive.folder / lost.name
        lost.rename(hidden)
        try:
            yield
        finally:
            hidden.rename(lost)

    @contextlib.contextmanager
    def old_backup_damaged(self) -> Iterator[None]:
        """Make another backup, and damage the one before it: no restore of the newest needs it."""
        self._archive.run("--type=full", "backup")
        oldest = min(self._archive.repository.glob("backup/*/*F"))
        files = [path for path in oldest.rglob("*") if path.is_file()]
        largest = max(files, key=lambda path: path.stat().st_size)
        owner = largest.stat()
        with kept(largest):
            content = bytearray(largest.read_bytes())
            middle = len(content) // 2
            content[middle : middle + 3] = bytes(b ^ 0xFF for b in content[middle : middle + 3])
            write_whole(largest, bytes(content))
            os.chown(largest, owner.st_uid, owner.st_gid)
            yield
        os.chown(largest, owner.st_uid, owner.st_gid)

    @contextlib.contextmanager
    def unencrypted(self) -> Iterator[None]:
        """Let somebody make the repository anew, without encryption; then begin anew."""
        config = self._archive.config
        plain = "\n".join(
            line for line in config.read_text().splitlines() if not line.startswith("repo1-cipher")
        )
        before, aside = self._archive.repository, self._archive.folder / "encrypted"
        before.rename(aside)
        owner = aside.stat()
        before.mkdir(mode=0o700)
        os.chown(before, owner.st_uid, owner.st_gid)
        try:
            with kept(config):
                config.write_text(plain)
                self._archive.run("stanza-create")
                self._archive.run("--type=full", "backup")
                yield
        finally:
            os.chown(config, owner.st_uid, owner.st_gid)
            before.rename(self._archive.folder / f"plain-{time.monotonic_ns()}")
            aside.rename(before)
            self._begin_anew()

    @contextlib.contextmanager
    def restore_rots(self, replace: Replace) -> Iterator[None]:
        """Let what is restored be damaged on its way, by way of the tool's command."""
        words = ", ".join(f'"{word}"' for word in self._archive.command)
        script = self._archive.folder / "rotten.sh"
        script.write_bytes(
            resources.files("readiness.areas.backup.reference").joinpath(script.name).read_bytes()
        )
        server_account().own(script)
        rotten = f'"/bin/sh", "{script}", {words}'
        with replace(f"command = [{words}]", f"command = [{rotten}]"):
            yield

    def _begin_anew(self) -> None:
        """What was not archived is lost: only a new backup can be restored from now on."""
        self._archive.run("--type=full", "backup")
        self._archive.run("--repo1-retention-full=1", "expire")

    def _segments(self) -> list[Path]:
        found = [p for p in self._archive.repository.rglob("*") if _SEGMENT.match(p.name)]
        if len(found) < 3:  # noqa: PLR2004 - one before the backup, one of it, one after
            raise ReferenceSystemError(f"the archive has {len(found)} WAL files only")
        return sorted(found, key=lambda path: path.name)

    def _switch(self) -> None:
        self._execute("select pg_create_restore_point('lever')", "select pg_switch_wal()")

    def _await(self, query: str) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        with psycopg.connect(self._shop.superuser, autocommit=True) as connection:
            while time.monotonic() < deadline:
                if connection.execute(query.encode()).fetchone() == (True,):
                    return
                time.sleep(0.1)
        raise ReferenceSystemError("the archiver does not come round", where=shlex.quote(query))

    def _execute(self, *statements: str) -> None:
        with psycopg.connect(self._shop.superuser, autocommit=True) as connection:
            for statement in (*statements, "select pg_reload_conf()"):
                connection.execute(statement.encode())


def archive_levers(backups: Backups | None, shop: Shop) -> ArchiveLevers:
    """The levers on a system's WAL archive.

    Raises:
        ReferenceSystemError: it has none.
    """
    if backups is None or backups.archive is None:
        raise ReferenceSystemError("this system archives no WAL")
    return ArchiveLevers(backups.archive, shop)
