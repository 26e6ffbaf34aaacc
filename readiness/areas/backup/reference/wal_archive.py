"""The shop's WAL archive: pgBackRest, where it is installed and the server is on this machine."""

import os
import secrets
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.lib.guardian import Guardian
from readiness.model.errors import ReferenceSystemError
from readiness.model.secrets import register
from readiness.servers import programs
from readiness.servers.account import reachable_folder, server_account
from readiness.servers.postgres import PrivatePostgres

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
lock-path={folder}/lock
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


@dataclass(frozen=True, slots=True)
class WalArchive:
    """Where the archive is.

    Attributes:
        folder: all of it; belongs to the account of the server.
        program: the tool.
    """

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
        """Make the repository, and a full backup of the server that runs now.

        Raises:
            ReferenceSystemError: the tool failed.
        """
        self._write_config(server)
        self.run("stanza-create")
        self.run("--type=full", "backup")

    def run(self, *arguments: str) -> str:
        """Call the tool; gives what it printed.

        Raises:
            ReferenceSystemError: it failed.
        """
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
        text = _CONFIG.format(
            repository=self.repository, password=key, folder=self.folder, stanza=STANZA,
            data=server.home / "data", port=server.port, user=server.superuser,
        )  # fmt: skip
        for path, content in (
            (self.config, text),
            (self.folder / "pgpass", f"*:*:*:{server.superuser}:{server.password}\n"),
        ):
            path.write_text(content)
            server_account().own(path)


def prepare(folder: Path, guardian: Guardian) -> WalArchive | str:
    """The place for an archive, before there is a server; or why there can be none."""
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
