"""A streaming standby of a private server: a copy of it that follows, on a port of its own."""

import subprocess
from pathlib import Path
from typing import Final, Self

from readiness.lib.guardian import Guardian
from readiness.model.errors import Unreachable
from readiness.servers.account import reachable_folder, server_account
from readiness.servers.ports import free_port
from readiness.servers.postgres import PrivatePostgres

_COPY_TIMEOUT_S: Final = 60.0
_TAIL: Final = 2000


class PrivateStandby(PrivatePostgres):
    """A running standby. Made by `follow`; roles and passwords are those of its primary."""

    @classmethod
    def follow(
        cls, primary: PrivatePostgres, folder: Path, *, dsn: str, slot: str, guardian: Guardian
    ) -> Self:
        """Copy a running server, follow it, and wait until the copy answers.

        Args:
            primary: the server to copy.
            folder: where its data goes, as for `PrivatePostgres.start`.
            dsn: the primary as a role with REPLICATION; its `application_name` is how the
                primary knows the standby.
            slot: the slot it makes on the primary, so that no WAL is missed while it is away.
            guardian: stops it when this process dies.

        Raises:
            Unreachable: the primary has no pg_basebackup or cannot be copied, or the copy did
                not start within a minute.
        """
        account = server_account()
        home = reachable_folder(folder, account)
        standby = cls(home, primary.binaries, account, guardian)
        standby.password = primary.password
        standby._owns_home = home != folder.resolve()
        try:
            if standby._owns_home:
                standby._tokens.append(guardian.remove(home))
            standby._copy(dsn, slot)
            standby._launch(free_port())
        except BaseException:  # an interrupt too must leave nothing
            standby._remove_home()
            raise
        return standby

    def _copy(self, dsn: str, slot: str) -> None:
        data = self._data()
        data.mkdir()
        self._account.own(data)
        copied = subprocess.run(
            [
                *(self.binaries.program("pg_basebackup"), "--pgdata", data, "--dbname", dsn),
                *("--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast"),
                *("--create-slot", "--slot", slot, "--no-sync", "--no-manifest"),
            ],
            env=self._environ(),
            cwd="/",
            capture_output=True,
            timeout=_COPY_TIMEOUT_S,
            check=False,
            start_new_session=True,
            **self._account.popen,
        )
        if copied.returncode != 0:
            raise Unreachable(
                f"pg_basebackup failed: {copied.stderr.decode(errors='replace')[-_TAIL:]}",
                where=str(self.binaries.folder),
            )
