"""The shop's WAL archive: pgBackRest, where it can be had, and what can break the archive."""

import contextlib
import os
import re
import secrets
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from readiness.lib.guardian import Guardian
from readiness.model.errors import ReferenceSystemError
from readiness.model.secrets import register
from readiness.servers import programs
from readiness.servers.binaries import reachable_folder, server_account
from readiness.servers.files import kept, write_whole
from readiness.servers.postgres import PrivatePostgres
from readiness.servers.shop import Shop

PART: Final = "WAL archive"
STANZA: Final = "shop"
_PROGRAM: Final = "pgbackrest"
_TIMEOUT_S: Final = 120
_CONFIG: Final = """\
[global]
repo1-path={repository}
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass={password}
repo1-retention-full=2
{bundle}lock-path={folder}/lock
spool-path={folder}/spool
log-level-file=off
log-level-console=warn
archive-timeout=60
compress-level=1
start-fast=y

[{stanza}]
pg1-path={data}
pg1-port={port}
pg1-user={user}
"""
# Small files are joined: each file of a backup is flushed to the disk, and a server has 1300.
_BUNDLE: Final = "repo1-bundle=y\n"
_BUNDLING: Final = (2, 39)  # Ubuntu 22.04 has 2.37
_PATIENCE_S: Final = 90.0
_SEGMENT: Final = re.compile(r"^([0-9A-F]{24})-")
_FAILING: Final = """
    select coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false)
    from pg_stat_archiver"""
_WAITING: Final = "select count(*) = 0 from pg_ls_archive_statusdir() where name like '%.ready'"
# Restores to another point than the one that is asked for.
_DETOUR: Final = """\
point=$1
shift
for word; do
    shift
    case $point$word in
        early--type=name) set -- "$@" --type=immediate ;;
        early--target=*) ;;
        late--target=*) set -- "$@" "${word}_end" ;;
        *) set -- "$@" "$word" ;;
    esac
done
exec "$@"
"""

# A way to the disk that loses bits: runs the command, then damages what it restored. In the first
# leaf page of each large index, two entries change places: every row is there, the server starts
# without an error, and searches miss these entries.
_ROTTEN: Final = r"""
place=
for word in "$@"; do
    case $word in --pg1-path=*) place=${word#--pg1-path=} ;; esac
done
"$@" || exit $?
[ -n "$place" ] || exit 0
find "$place/base" -type f -size +160k -name '[1-9][0-9][0-9][0-9][0-9]' | while read -r file; do
    # The second page: where its special space begins (16 bytes before its end, for a B-tree),
    # and the flag of a leaf in it. Line pointers have 4 bytes each, from byte 24 of a page on.
    special=$(od -An -tu2 -j8208 -N2 "$file")
    flags=$(od -An -tu2 -j16380 -N2 "$file")
    [ "$special" -eq 8176 ] && [ $((flags & 1)) -eq 1 ] || continue
    {
        dd if="$file" of="$place/../first" bs=4 skip=2055 count=1
        dd if="$file" of="$place/../second" bs=4 skip=2056 count=1
        dd if="$place/../second" of="$file" bs=4 seek=2055 conv=notrunc
        dd if="$place/../first" of="$file" bs=4 seek=2056 conv=notrunc
    } 2>/dev/null
done
"""

Replace = Callable[[str, str], contextlib.AbstractContextManager[None]]
"""Replaces a text in the system's readiness.toml."""


@dataclass(frozen=True, slots=True)
class WalArchive:
    """Where the archive is."""

    folder: Path
    program: str

    @property
    def command(self) -> list[str]:
        """The tool, with its options."""
        return [self.program, f"--config={self.config}", f"--stanza={STANZA}"]

    @property
    def repository(self) -> Path:
        """Where the backups and the WAL are."""
        return self.folder / "repository"

    @property
    def config(self) -> Path:
        """The tool's configuration, with the key."""
        return self.folder / "pgbackrest.conf"

    def settings(self) -> dict[str, str]:
        """What the server needs in its configuration."""
        push = shlex.join([*self.command, "archive-push"])
        return {"archive_mode": "on", "archive_command": f"{push} %p", "archive_timeout": "60"}

    def begin(self, server: PrivatePostgres) -> None:
        """Make the repository, and a full backup of the server that runs now."""
        self._write_config(server)
        self.run("stanza-create")
        self.run("--type=full", "backup")

    def run(self, *arguments: str) -> str:
        """Call the tool, and return what it printed."""
        done = subprocess.run(
            [*self.command, *arguments],
            cwd="/",
            # It has no options for the host and the password: libpq takes them from here.
            env={**os.environ, "PGHOST": "127.0.0.1", "PGPASSFILE": str(self.folder / "pgpass")},
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
            **server_account().popen,
        )
        if done.returncode != 0:
            told = (done.stdout + done.stderr)[-400:].strip()
            raise ReferenceSystemError(f"{_PROGRAM} failed: {told}", where=" ".join(arguments))
        return done.stdout

    def _write_config(self, server: PrivatePostgres) -> None:
        key = secrets.token_hex(24)
        register(key)
        version = tuple(map(int, re.findall(r"\d+", self.run("version"))))
        text = _CONFIG.format(
            repository=self.repository, password=key, folder=self.folder, stanza=STANZA,
            data=server.home / "data", port=server.port, user=server.superuser,
            bundle=_BUNDLE if version >= _BUNDLING else "",
        )  # fmt: skip
        for path, content in (
            (self.config, text),
            (self.folder / "pgpass", f"*:*:*:{server.superuser}:{server.password}\n"),
        ):
            path.write_text(content)
            server_account().own(path)


def prepare(folder: Path, guardian: Guardian) -> WalArchive | str:
    """The folder of an archive, before there is a server; or why it cannot be had."""
    try:
        program = programs.get(programs.PGBACKREST)
    except programs.AbsentError as problem:
        return problem.sentence
    account = server_account()
    place = reachable_folder(folder, account)
    if place != folder.resolve():
        guardian.remove(place)
    for made in (place, *(place / name for name in ("repository", "lock", "spool"))):
        made.mkdir(exist_ok=True)
        account.own(made)
    return WalArchive(place, program)


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
        """Let it report success and archive nothing; then make a new backup."""
        try:
            with self.command("/bin/true"):
                yield
        finally:
            self._back_up_again()

    @contextlib.contextmanager
    def failing(self, files: int = 1) -> Iterator[None]:
        """Let every attempt fail while some files wait, and go on only once one attempt has."""
        with self.command("/bin/false"):
            for _ in range(files):
                self._switch()
            self._await(_FAILING)
            yield
        self._switch()
        self._await(f"select not ({_FAILING.strip()})")
        self._await(_WAITING)

    @contextlib.contextmanager
    def behind(self, replace: Replace) -> Iterator[None]:
        """Let more files wait for a failing archiver than readiness.toml allows."""
        patient = "archived_within_s = 20\n"
        with replace(patient, f"{patient}backlog_max = 1\n"), self.failing(files=3):
            yield

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
        with kept(largest):
            content = bytearray(largest.read_bytes())
            middle = len(content) // 2
            content[middle : middle + 3] = bytes(b ^ 0xFF for b in content[middle : middle + 3])
            write_whole(largest, bytes(content))
            server_account().own(largest)
            yield
        server_account().own(largest)

    @contextlib.contextmanager
    def unencrypted(self) -> Iterator[None]:
        """Make the repository again without encryption; then undo that, with a new backup."""
        config = self._archive.config
        plain = "\n".join(
            line for line in config.read_text().splitlines() if not line.startswith("repo1-cipher")
        )
        before, aside = self._archive.repository, self._archive.folder / "encrypted"
        before.rename(aside)
        before.mkdir()
        server_account().own(before)
        try:
            with kept(config):
                config.write_text(plain)
                self._archive.run("stanza-create")
                self._archive.run("--type=full", "backup")
                yield
        finally:
            server_account().own(config)
            before.rename(self._archive.folder / f"plain-{time.monotonic_ns()}")
            aside.rename(before)
            self._back_up_again()

    @contextlib.contextmanager
    def restore_rots(self, replace: Replace) -> Iterator[None]:
        """Let what is restored be damaged on its way to the disk."""
        with self._called_by(_ROTTEN, replace):
            yield

    @contextlib.contextmanager
    def restore_misses(self, point: str, replace: Replace) -> Iterator[None]:
        """Let a restore to a point end elsewhere: `early` or `late`."""
        with self._called_by(_DETOUR, replace, point):
            yield

    @contextlib.contextmanager
    def _called_by(self, script: str, replace: Replace, *words: str) -> Iterator[None]:
        """Let a script call the tool, which gets these words and the tool's command."""
        path = self._archive.folder / "caller.sh"
        path.write_text(script)
        server_account().own(path)
        command = ", ".join(f'"{word}"' for word in self._archive.command)
        caller = ", ".join(f'"{word}"' for word in ("/bin/sh", path, *words))
        with replace(f"command = [{command}]", f"command = [{caller}, {command}]"):
            yield

    def _back_up_again(self) -> None:
        """What was not archived is lost: only a new backup can be restored."""
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
        raise ReferenceSystemError(
            "the archiver is not in the expected state in time", where=shlex.quote(query)
        )

    def _execute(self, *statements: str) -> None:
        with psycopg.connect(self._shop.superuser, autocommit=True) as connection:
            for statement in (*statements, "select pg_reload_conf()"):
                connection.execute(statement.encode())


def archive_levers(archive: WalArchive | None, shop: Shop) -> ArchiveLevers:
    """The levers on a system's WAL archive."""
    if archive is None:
        raise ReferenceSystemError("this system archives no WAL")
    return ArchiveLevers(archive, shop)
