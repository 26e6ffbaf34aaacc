"""pgBackRest, by what it prints: its exit status says nothing.

`verify` ends with 0 whatever it finds (2.45 and 2.53 alike), and reports "ok" for an archive with a
gap, and for a damaged manifest whose copy is intact: continuity is judged by the names of the
segments, and manifests by its log.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from readiness.areas.backup.tools.tool import (
    PIECES,
    VERIFY_S,
    CommandTool,
    PhysicalBackup,
    Piece,
    Verified,
    at,
    unknown_format,
)
from readiness.lib.command import Answer
from readiness.model.errors import CouldNotMeasure, NoData

_STATUS: Final = re.compile(r"^ *status: (\w+)", re.MULTILINE)
# In its log alone: where a manifest or a list of backups is damaged, it takes the copy and reports
# "ok". What it quotes of them is left out, as it may hold a key. Two that differ may be a backup
# that is just ending. Single files are in its summary.
_SPARE: Final = re.compile(
    r"(?:DETAIL|WARN): (?!.*does not match|invalid \w+ ')"
    r"([^':=]*\b(?:invalid|missing|unable|unusable|recoverable|required|at line)\b[^':=]*)"
    r"(?:.*(<REPO:\S+))?"
)
_UNDER_WAY: Final = re.compile(r"backup '(\S+)' appears to be in progress")
_CHECKED: Final = re.compile(r"total WAL checked: (\d+)")
_BAD_BACKUP: Final = re.compile(r"backup: \S+, status: (?!valid)\S+.*")
_COUNTS: Final = re.compile(r"\b(missing|checksum invalid|size invalid|other): ([1-9]\d*)")
# Its errors of checksum, file, format and decryption: what it read is damaged.
_DAMAGED: Final = re.compile(r"ERROR: \[0(26|28|29|95)\]")
_WAL: Final = re.compile(r"/([0-9A-F]{24}|[0-9A-F]{8}\.history)(?:-[0-9a-f]{40}\S*)?$")


class PgBackRest(CommandTool):
    """One stanza."""

    def backups(self) -> list[PhysicalBackup]:
        """All backups, the newest first."""
        try:
            stanza = self._stanza()
            systems = {db.get("id"): str(db.get("system-id", "")) for db in stanza.get("db", [])}
            found = [self._backup_of(entry, systems) for entry in stanza.get("backup", [])]
        except (KeyError, TypeError) as error:
            raise unknown_format(f"no {error}", self.source("info")) from None
        return sorted(found, key=lambda b: b.taken_at, reverse=True)

    def verify(self) -> Verified:
        """`pgbackrest verify`, of the first repository."""
        logging = ["--log-level-console=detail", "--log-timestamp=n"]
        words = [*self._repository(), *logging, "verify", "--output=text", "--verbose"]
        answer = self.ask(*words, verb="verify the repository", timeout_s=VERIFY_S)
        return read_verify(answer, self.source(*words))

    def segments(self) -> list[str]:
        """Every WAL file and history file of the archive of the newest server version."""
        stanza = self._stanza()
        archives = stanza.get("archive") or []
        if not archives:
            return []
        listed = self._listed(f"archive/{stanza['name']}")
        newest = max(int(str(db.get("id", 0))) for db in stanza.get("db", [{}]))
        inside = [
            name for name in listed if name.partition("-")[2].partition("/")[0] == str(newest)
        ]
        return sorted({match[1] for name in inside if (match := _WAL.search(name))})

    def pieces(self) -> list[Piece]:
        """The first bytes of the largest files of the newest backup."""
        stanza, newest = self._stanza(), self.backups()[0]
        place = f"backup/{stanza['name']}/{newest.label}"
        files = self._listed(place)
        names = sorted(files, key=lambda name: -files[name])[:PIECES]
        return [Piece(name, self._piece(f"{place}/{name}")) for name in names]

    def restore(self, folder: Path, point: str) -> Answer:
        """Into an empty folder, which becomes the data directory."""
        target = [f"--target={point}", "--type=name", "--target-action=promote"] if point else []
        # Never where the tablespaces of the source are.
        spaces = f"--tablespace-map-all={folder.parent / 'tablespaces'}"
        words = [f"--pg1-path={folder}", "--archive-mode=off", spaces, *target, "restore"]
        return self.ask(*words, verb="restore", timeout_s=2 * self.backup.patience_s)

    def _stanza(self) -> dict[str, Any]:
        answer = self.json("info", "--output=json", verb="list the backups")
        if not isinstance(answer, list) or not answer:
            raise NoData(
                "pgBackRest does not know this stanza",
                where=self.source("info"),
                remedy="correct --config and --stanza in `command`",
            )
        stanza: dict[str, Any] = answer[0]
        return stanza

    def _backup_of(self, entry: dict[str, Any], systems: dict[Any, str]) -> PhysicalBackup:
        return PhysicalBackup(
            label=entry["label"],
            taken_at=at(entry["timestamp"]["stop"]),
            size=int(entry["info"].get("repository", {}).get("delta", 0)),
            failed=bool(entry.get("error")),
            first_segment=entry["archive"]["start"],
            restored_bytes=int(entry["info"].get("size", 0)),
            where=f"{self.backup.path} {entry['label']}",
            dated_by=self.source("info"),
            whole=entry["type"] == "full",
            system=systems.get(entry.get("database", {}).get("id"), ""),
        )

    def _repository(self) -> list[str]:
        """Some commands want one repository named where there are several."""
        keys = [repo.get("key", 1) for repo in self._stanza().get("repo", [])]
        return [f"--repo={keys[0]}"] if len(keys) > 1 else []

    def _listed(self, place: str) -> dict[str, int]:
        words = [*self._repository(), "repo-ls", place, "--recurse", "--output=json"]
        answer = self.json(*words, verb="list the repository")
        return {
            name: int(entry.get("size", 0))
            for name, entry in answer.items()
            if entry.get("type") == "file"
        }

    def _piece(self, name: str) -> bytes:
        words = [*self._repository(), "repo-get", "--raw", name]
        return self.head(*words, verb="read a file of the repository")


def read_verify(answer: Answer, source: str) -> Verified:
    """Read what `pgbackrest verify --output=text --verbose` printed.

    Raises:
        CouldNotMeasure: it printed no status.
        NoData: it had nothing to verify.
    """
    found = _STATUS.search(answer.output)
    if found is None and _DAMAGED.search(answer.said):
        return Verified(False, (answer.said,), answer.status, source)
    if found is None:
        raise CouldNotMeasure(
            f"pgBackRest printed no status (exit status {answer.status}): {answer.said}",
            where=source,
        )
    if not any(int(number) for number in _CHECKED.findall(answer.output)):
        raise NoData("pgBackRest had no WAL to verify", where=source)
    problems = tuple(dict.fromkeys(_problems(answer.output)))  # its log repeats them
    return Verified(found[1] == "ok" and not problems, problems, answer.status, source)


def _problems(text: str) -> Iterator[str]:
    place, under_way = "", _UNDER_WAY.findall(text)
    for line in text.splitlines():
        if (spare := _SPARE.search(line)) and not any(label in line for label in under_way):
            yield f"its log: {spare[1].strip()} {spare[2] or ''}".strip()
        if line.strip().startswith(("archiveId:", "backup:")):
            place = line.strip().partition(",")[0]
        if bad := _BAD_BACKUP.search(line):
            yield bad[0]
        yield from (f"{place}: {what} {number}" for what, number in _COUNTS.findall(line))
