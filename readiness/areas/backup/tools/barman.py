"""Barman, by its JSON: WAITING_FOR_WALS is not DONE, and a limit that is not set is not OK."""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from readiness.areas.backup.config import Backup
from readiness.areas.backup.probes.contents import head_of
from readiness.areas.backup.tools.tool import (
    VERIFY_S,
    Calls,
    PhysicalBackup,
    Piece,
    Verified,
    at,
    parsed,
    physical_of,
    unknown_format,
)
from readiness.areas.backup.wal_segments import parse
from readiness.lib.command import Answer
from readiness.model.errors import CouldNotMeasure, NoData

_DONE: Final = "DONE"
# The words of pg_verifybackup; a file that the manifest does not name is another problem.
_NO_MANIFEST: Final = re.compile(r'could not open file "[^"]*backup_manifest": No such file')
_PIECES: Final = 5
# Barman reports OK for limits that are not set; age and size are judged by backup.fresh.
_OTHERS: Final = frozenset(
    {"backup_maximum_age", "backup_minimum_size", "minimum_redundancy_requirements"}
)


class Barman:
    """One server of Barman."""

    def __init__(self, backup: Backup) -> None:
        self._backup = backup
        self._physical = physical_of(backup)
        self._calls = Calls(self._physical)
        self._server = self._physical.server or backup.database

    def backups(self) -> list[PhysicalBackup]:
        """All backups, the newest first; one that still waits for WAL counts as failed."""
        entries = self._json("list-backups", verb="list the backups").get(self._server)
        if not isinstance(entries, list):
            raise unknown_format("no list of backups", self._source("list-backups"))
        found = [self._backup_of(str(entry["backup_id"])) for entry in entries]
        return sorted(found, key=lambda b: b.taken_at, reverse=True)

    def verify(self) -> Verified:
        """`barman check`, and pg_verifybackup of the newest backup by its manifest."""
        source = self._source("check")
        words = self._words("check")
        answer = self._calls.ask(*words, verb="check the server", timeout_s=VERIFY_S)
        problems = read_check(answer, self._server, source)
        verify = self._calls.ask(
            "verify-backup", self._server, "latest", verb="verify", timeout_s=VERIFY_S
        )
        text = f"{verify.output} {verify.said}"
        if verify.status == 0 and "successfully verified" in text:
            return Verified(not problems, problems, answer.status, source)
        if _NO_MANIFEST.search(text) and not problems:
            raise NoData(
                "the newest backup has no manifest, so that its files cannot be verified",
                where=source,
                remedy=f"{self._command} generate-manifest {self._server} latest",
            )
        return Verified(False, (*problems, verify.said), verify.status, source)

    def segments(self) -> list[str]:
        """Every WAL file that one of its backups can use."""
        names: set[str] = set()
        for backup in self.backups():
            words = ["list-files", "--target", "wal", self._server, backup.label]
            answer = self._calls.ask(*words, verb="list the archive")
            if answer.status != 0:
                raise CouldNotMeasure(
                    f"barman ended with {answer.status}: {answer.said}",
                    where=self._source("list-files"),
                )
            names |= {Path(line.strip()).name for line in answer.output.splitlines()}
        return sorted(name for name in names if parse(name))

    def pieces(self) -> list[Piece]:
        """The first bytes of the largest files of the newest backup."""
        words = ["list-files", "--target", "data", self._server, "latest"]
        answer = self._calls.ask(*words, verb="list the newest backup")
        files = [Path(line.strip()) for line in answer.output.splitlines() if line.strip()]
        there = sorted((p for p in files if p.is_file()), key=lambda p: -p.stat().st_size)
        if not there:
            raise NoData(
                "barman lists no file that can be read on this machine", where=self._server
            )
        return [Piece(p.name, head_of(p)) for p in there[:_PIECES]]

    def restore(self, folder: Path, point: str) -> Answer:
        """Into an empty folder; the WAL is copied along with it."""
        shown = self._shown("latest")
        if shown.get("tablespaces"):
            raise CouldNotMeasure(
                "the backup has tablespaces, which would be restored where the server has them",
                where=self._server,
                remedy="restore it by hand with --tablespace NAME:FOLDER for each of them",
            )
        target = ["--target-name", point, "--target-action", "promote"] if point else []
        words = ["recover", *target, self._server, "latest", str(folder)]
        return self._calls.ask(*words, verb="restore", timeout_s=2 * self._backup.patience_s)

    def _backup_of(self, label: str) -> PhysicalBackup:
        shown = self._shown(label)
        base = shown.get("base_backup_information") or {}
        failed = shown.get("status") != _DONE
        end = base.get("end_time_timestamp")
        taken = at(float(end)) if end else datetime.min.replace(tzinfo=UTC)
        return PhysicalBackup(
            label=label,
            taken_at=taken,
            size=_bytes(base.get("disk_usage_bytes") or base.get("incremental_size_bytes")),
            failed=failed or not end,
            first_segment=base.get("begin_wal"),
            restored_bytes=_bytes(base.get("disk_usage_bytes")),
            where=f"{self._backup.path} {label}",
            dated_by=self._source("show-backup"),
        )

    def _shown(self, label: str) -> dict[str, Any]:
        answer = self._json("show-backup", label, verb="show a backup")
        shown = answer.get(self._server)
        if not isinstance(shown, dict):
            raise unknown_format("no backup", self._source("show-backup"))
        return shown

    def _words(self, name: str, *arguments: str) -> list[str]:
        return ["-f", "json", name, self._server, *arguments]

    def _json(self, name: str, *arguments: str, verb: str) -> dict[str, Any]:
        answer = self._calls.json(*self._words(name, *arguments), verb=verb)
        if not isinstance(answer, dict):
            raise unknown_format("no object", self._source(name))
        return answer

    def _source(self, name: str) -> str:
        return f"{self._command} {shlex.join(self._words(name))}"

    @property
    def _command(self) -> str:
        return shlex.join(self._physical.command or [])


def read_check(answer: Answer, server: str, source: str) -> tuple[str, ...]:
    """The problems in what `barman -f json check` printed; its exit status is 1 then.

    Raises:
        CouldNotMeasure: it printed something else.
    """
    found = parsed(Answer(0, answer.output, answer.said), [source], "check the server")
    checks = found.get(server) if isinstance(found, dict) else None
    if not isinstance(checks, dict) or not checks:
        raise unknown_format("no checks", source)
    if odd := [name for name, entry in checks.items() if not isinstance(entry, dict)]:
        raise unknown_format(f"no status of {odd[0]}", source)
    return tuple(
        f"{name}: {entry.get('hint') or entry.get('status')}"
        for name, entry in checks.items()
        if entry.get("status") != "OK" and name not in _OTHERS
    )


def _bytes(value: object) -> int:
    return int(value) if isinstance(value, int | float | str) and str(value).isdigit() else 0
