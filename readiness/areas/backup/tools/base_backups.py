"""Base backups, those of pg_basebackup and of Barman: pg_verifybackup checks both."""

import json
import re
import shutil
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from readiness.areas.backup.config import Backup
from readiness.areas.backup.probes.packed import head_of
from readiness.areas.backup.tools.tool import (
    PIECES,
    VERIFY_S,
    CommandTool,
    PhysicalBackup,
    Piece,
    Verified,
    account_of,
    at,
    no_backup,
    parsed,
    physical_of,
    unknown_format,
)
from readiness.areas.backup.wal_segments import parse
from readiness.lib.command import Answer
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, Unreachable
from readiness.servers.binaries import find_binaries, run_program

_MANIFEST: Final = "backup_manifest"
_START: Final = re.compile(r"^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)", re.MULTILINE)
_DONE: Final = "DONE"
# The words of pg_verifybackup; a file that the manifest does not name is another problem.
_NO_MANIFEST: Final = re.compile(r'could not open file "[^"]*backup_manifest": No such file')
# Barman reports OK for limits that are not set; age and size are judged by backup.fresh.
_OTHERS: Final = frozenset(
    {"backup_maximum_age", "backup_minimum_size", "minimum_redundancy_requirements"}
)


class Barman(CommandTool):
    """One server of Barman."""

    def __init__(self, backup: Backup) -> None:
        super().__init__(backup)
        self._server = self.physical.server or backup.database

    def backups(self) -> list[PhysicalBackup]:
        """All backups, the newest first; one that still waits for WAL counts as failed."""
        entries = self._json("list-backups", verb="list the backups").get(self._server)
        if not isinstance(entries, list):
            raise unknown_format("no list of backups", self._json_source("list-backups"))
        found = [self._backup_of(str(entry["backup_id"])) for entry in entries]
        return sorted(found, key=lambda b: b.taken_at, reverse=True)

    def verify(self) -> Verified:
        """`barman check`, and pg_verifybackup of the newest backup by its manifest."""
        source = self._json_source("check")
        words = self._words("check")
        answer = self.ask(*words, verb="check the server", timeout_s=VERIFY_S)
        problems = read_check(answer, self._server, source)
        newest = ["verify-backup", self._server, "latest"]
        verify = self.ask(*newest, verb="verify", timeout_s=VERIFY_S)
        text = f"{verify.output} {verify.said}"
        if verify.status == 0 and "successfully verified" in text:
            return Verified(not problems, problems, answer.status, source)
        if _NO_MANIFEST.search(text) and not problems:
            raise NoData(
                "the newest backup has no manifest, so that its files cannot be verified",
                where=source,
                remedy=self.source("generate-manifest", self._server, "latest"),
            )
        return Verified(False, (*problems, verify.said), verify.status, source)

    def segments(self) -> list[str]:
        """Every WAL file that one of its backups can use."""
        names: set[str] = set()
        for backup in self.backups():
            argv = self.argv("list-files", "--target", "wal", self._server, backup.label)
            names |= {Path(line).name for line in self.lines(argv, "list the archive")}
        return sorted(name for name in names if parse(name))

    def pieces(self) -> list[Piece]:
        """The first bytes of the largest files of the newest backup."""
        argv = self.argv("list-files", "--target", "data", self._server, "latest")
        files = map(Path, filter(None, self.lines(argv, "list the newest backup")))
        if not (found := _largest(path for path in files if path.is_file())):
            raise NoData("barman lists no file that this machine can read", where=self._server)
        return found

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
        return self.ask(*words, verb="restore", timeout_s=2 * self.backup.patience_s)

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
            where=f"{self.backup.path} {label}",
            dated_by=self._json_source("show-backup"),
            system=str(shown.get("system_id") or shown.get("systemid") or ""),
        )

    def _shown(self, label: str) -> dict[str, Any]:
        answer = self._json("show-backup", label, verb="show a backup")
        shown = answer.get(self._server)
        if not isinstance(shown, dict):
            raise unknown_format("no backup", self._json_source("show-backup"))
        return shown

    def _words(self, name: str, *arguments: str) -> list[str]:
        return ["-f", "json", name, self._server, *arguments]

    def _json(self, name: str, *arguments: str, verb: str) -> dict[str, Any]:
        answer = self.json(*self._words(name, *arguments), verb=verb)
        if not isinstance(answer, dict):
            raise unknown_format("no object", self._json_source(name))
        return answer

    def _json_source(self, name: str) -> str:
        return self.source(*self._words(name))


def read_check(answer: Answer, server: str, source: str) -> tuple[str, ...]:
    """The problems in what `barman -f json check` printed; its exit status is 1 then."""
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


class BaseBackups:
    """Plain base backups in a folder."""

    def __init__(self, backup: Backup) -> None:
        self._backup = backup

    def backups(self) -> list[PhysicalBackup]:
        """All backups, the newest first; one without a manifest was cut off and has failed."""
        root = Path(self._backup.path)
        try:
            folders = [p for p in root.iterdir() if (p / "backup_label").is_file()]
        except PermissionError as error:
            raise NotPermitted("the folder cannot be read", where=str(root)) from error
        except OSError as error:
            raise Unreachable(
                "the folder does not exist, or is not mounted here", where=str(root)
            ) from error
        return sorted(map(_backup_of, folders), key=lambda b: b.taken_at, reverse=True)

    def verify(self) -> Verified:
        """`pg_verifybackup` of the same release; unlike other tools, its exit status is right."""
        newest = self._newest()
        account = account_of(physical_of(self._backup))
        ended = run_program(
            find_binaries(), "pg_verifybackup", [str(newest)], timeout_s=VERIFY_S, account=account
        )
        source = f"pg_verifybackup {newest}"
        if ended.status is None:
            raise CouldNotMeasure(f"pg_verifybackup: {ended}", where=source)
        problems = () if ended.clean else ended.said or (str(ended),)
        return Verified(ended.clean, problems, ended.status, source)

    def segments(self) -> list[str]:
        """Raises NoData: WAL is not archived, each backup has what it needs."""
        raise NoData("pg_basebackup does not archive WAL", where=self._backup.path)

    def pieces(self) -> list[Piece]:
        """The first bytes of the largest files of the newest backup."""
        return _largest(path for path in self._newest().rglob("*") if path.is_file())

    def restore(self, folder: Path, point: str) -> Answer:
        """Copy the newest one; links stay links, and are checked before a server starts."""
        if point:
            message = "a base backup without archived WAL cannot be restored to a restore point"
            raise NoData(message, where=self._backup.path)
        try:
            shutil.copytree(self._newest(), folder, symlinks=True, dirs_exist_ok=True)
        except (OSError, shutil.Error) as error:
            return Answer(1, "", str(error)[:300])
        return Answer(0, "", "")

    def _newest(self) -> Path:
        found = next((b for b in self.backups() if not b.failed), None)
        if found is None:
            raise no_backup(self._backup)
        return Path(self._backup.path) / found.label


def _backup_of(folder: Path) -> PhysicalBackup:
    label = (folder / "backup_label").read_text(errors="replace")
    start = _START.search(label)
    manifest = folder / _MANIFEST
    size = _size(manifest)
    # pg_basebackup writes the manifest last.
    written = (manifest if manifest.is_file() else folder).stat().st_mtime
    return PhysicalBackup(
        label=folder.name,
        taken_at=at(written),
        size=size or 0,
        failed=size is None,
        first_segment=start[1] if start else None,
        restored_bytes=size or 0,
        where=str(folder),
        dated_by="its backup_manifest",
        system=_system(folder / "global" / "pg_control"),
    )


def _system(control: Path) -> str:
    """The system identifier, which pg_control begins with; empty where it cannot be read."""
    try:
        with control.open("rb") as file:
            return str(int.from_bytes(file.read(8), sys.byteorder))
    except OSError:
        return ""


def _size(manifest: Path) -> int | None:
    """The bytes of all files that a manifest names; None if it is not there, or cut off."""
    try:
        files = json.loads(manifest.read_bytes())["Files"]
        return sum(int(entry["Size"]) for entry in files)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _largest(files: Iterable[Path]) -> list[Piece]:
    largest = sorted(files, key=lambda path: -path.stat().st_size)[:PIECES]
    return [Piece(path.name, head_of(path)) for path in largest]
