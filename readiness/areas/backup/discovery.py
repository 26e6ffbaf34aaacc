"""Finds the dumps in a folder of backups, and the CronJob that makes them."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from readiness.config.base.discovery import Finding, Gap, Line, Sources
from readiness.lib.kubernetes.discovery import cluster
from readiness.lib.kubernetes.objects import Container, CronJob
from readiness.model.errors import UsageError

_ENDINGS: Final = (".dump", ".backup", ".pgdump", ".sql.gz", ".sql.zst", ".sql", ".tar")
_REPOSITORIES: Final = {"backup/*/backup.info": "pgbackrest", "basebackups_005": "wal-g"}
_PROGRAMS: Final = re.compile(r"\b(pg_dump|pg_dumpall|pg_basebackup|pgbackrest|barman|wal-g)\b")
_NAMES: Final = re.compile(r"\b(backups?|dumps?)\b")
_OTHER_NAMES: Final = re.compile(r"\b(verify|restore|prune|clean|test)")
_HOUR_S: Final = 3600
_DAILY_H: Final = 26


def backups(sources: Sources) -> Iterator[Finding]:
    """The folder of `--backups`, and how often a dump is made."""
    jobs = [one for one in cluster(sources).of(CronJob) if _makes_backups(one)]
    yield from _suspended(jobs)
    if not sources.backups:
        made = f"where {' and '.join(map(_named, jobs))} writes the backups" if jobs else "backups"
        yield Gap(made, "readiness init --backups FOLDER, with --dsn")
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
    origin = "; ".join(["--backups", *map(_named, jobs)])
    yield Line(table, "path", sources.backups, origin)
    if len(jobs) == 1 and (role := _role(jobs[0])):
        yield Line(table, "role", role, f"PGUSER of {_named(jobs[0])}")
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


def _suspended(jobs: Iterable[CronJob]) -> Iterator[Finding]:
    for one in jobs:
        if one.spec.suspend:
            todo = (
                f'kubectl patch cronjob {one.metadata.name} -p \'{{"spec":{{"suspend":false}}}}\''
            )
            yield Gap(f"a backup by {_named(one)}: it is suspended", todo)


def _makes_backups(job: CronJob) -> bool:
    """Whether its name, or the program that it runs, is that of a backup."""
    name = re.sub(r"[-.]", " ", job.metadata.name)
    is_named = _NAMES.search(name) and not _OTHER_NAMES.search(name)
    return bool(is_named or any(_PROGRAMS.search(_words(one)) for one in _containers(job)))


def _words(container: Container) -> str:
    return " ".join((container.image, *container.command, *container.args))


def _role(job: CronJob) -> str:
    """The role that its one container connects as; empty if it is not plain to see."""
    named = [v.value for one in _containers(job) for v in one.env if v.name == "PGUSER"]
    return named[0] or "" if len(named) == 1 else ""


def _containers(job: CronJob) -> list[Container]:
    return job.spec.job_template.spec.template.spec.containers


def _named(job: CronJob) -> str:
    return f"CronJob {job.metadata.name} ({job.spec.schedule})"


def _ending(path: Path) -> str:
    return next((ending for ending in _ENDINGS if path.name.endswith(ending)), "")
