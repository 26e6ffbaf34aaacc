"""Finds the dumps in a folder of backups."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from readiness.config.base.discovery import Finding, Gap, Line, Sources
from readiness.model.errors import UsageError

_ENDINGS: Final = (".dump", ".backup", ".pgdump", ".sql.gz", ".sql.zst", ".sql", ".tar")
_REPOSITORIES: Final = {"backup/*/backup.info": "pgbackrest", "basebackups_005": "wal-g"}
_HOUR_S: Final = 3600
_DAILY_H: Final = 26


def backups(sources: Sources) -> Iterator[Finding]:
    """The folder of `--backups`, and how often a dump is made."""
    if not sources.backups:
        yield Gap("backups", "readiness init --backups FOLDER, with --dsn")
        return
    if not sources.database:
        yield Gap("the database of the backups", "readiness init --dsn DSN --backups FOLDER")
        return
    folder = sources.folder / sources.backups
    table = ("backup", sources.database)
    try:
        files = [path for path in folder.iterdir() if path.is_file()]
    except OSError as error:
        raise UsageError(
            f"cannot be read: {error.strerror}",
            where=sources.backups,
            remedy="name the folder as it is mounted on this machine",
        ) from None
    for pattern, tool in _REPOSITORIES.items():
        if next(folder.glob(pattern), None):
            yield Gap(f"how {tool} is called", f'[backup.{sources.database}] with tool = "{tool}"')
            return
    counted = Counter(ending for path in files if (ending := _ending(path)))
    if not counted:
        yield Gap(f"a dump in {sources.backups}", f"`pattern` in [backup.{sources.database}]")
        return
    ending, number = counted.most_common(1)[0]
    yield Line(table, "database", sources.database, "--dsn")
    yield Line(table, "path", sources.backups, "--backups")
    yield Line(table, "pattern", f"*{ending}", f"{number} file{'s' * (number > 1)}")
    if not next(folder.glob("*.manifest.json"), None):
        todo = "python -m readiness.areas.backup.manifest, in place of pg_dump"
        yield Gap("a manifest beside the dumps, by which a restore is compared", todo)
    times = sorted(path.stat().st_mtime for path in files if _ending(path) == ending)
    gaps = [(later - one) / _HOUR_S for one, later in pairwise(times)]
    if gaps and max(gaps) > _DAILY_H:
        source = f"default, a day; the longest time between two was {max(gaps):.0f} h"
        yield Line(table, "max_age_h", _DAILY_H, source)
    yield Gap("a second copy", f"[backup.{sources.database}.copies.NAME]")


def _ending(path: Path) -> str:
    return next((ending for ending in _ENDINGS if path.name.endswith(ending)), "")
