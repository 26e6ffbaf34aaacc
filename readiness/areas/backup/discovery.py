"""Finds the dumps in a folder of backups, the CronJob that makes them, and a WAL archive."""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, Final

from readiness.areas.backup.config import Backup
from readiness.areas.backup.tools import tool_of
from readiness.config.base import tables
from readiness.config.base.discovery import Finding, Gap, Line, Sources
from readiness.lib import postgres
from readiness.lib.kubernetes.discovery import cluster
from readiness.lib.kubernetes.objects import Container, CronJob
from readiness.lib.postgres.session import looking
from readiness.model.errors import UsageError
from readiness.model.figures import counted

_ENDINGS: Final = (".dump", ".backup", ".pgdump", ".sql.gz", ".sql.zst", ".sql", ".tar")
_REPOSITORIES: Final = {"backup/*/backup.info": "pgbackrest", "basebackups_005": "wal-g"}
_PROGRAMS: Final = re.compile(r"\b(pg_dump|pg_dumpall|pg_basebackup|pgbackrest|barman|wal-g)\b")
_NAMES: Final = re.compile(r"\b(backups?|dumps?)\b")
_OTHER_NAMES: Final = re.compile(r"\b(verify|restore|prune|clean|test)")
_ARCHIVE: Final = """
select current_setting('archive_mode') <> 'off', current_setting('archive_command')"""
_PUSH: Final = "archive-push"
_PLAIN: Final = re.compile(r"--(stanza|config|config-path|repo1-path|log-path|lock-path)=")
_CONFIGURATIONS: Final = ("/etc/pgbackrest/pgbackrest.conf", "/etc/pgbackrest.conf")
_REPOSITORY: Final = re.compile(r"^\s*repo1-path\s*=\s*(\S+)", re.MULTILINE)
_HOUR_S: Final = 3600
_DAILY_H: Final = 26


def backups(sources: Sources) -> Iterator[Finding]:
    """The folder of `--backups`, and how often a dump is made."""
    jobs = [one for one in cluster(sources).of(CronJob) if _makes_backups(one)]
    yield from _suspended(jobs)
    if not sources.backups:
        made = f"where {' and '.join(map(_named, jobs))} writes the dumps" if jobs else "dumps"
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
        program = "python -m readiness.areas.backup.manifest --dsn-env BACKUP_DSN"
        todo = f"in place of pg_dump: {program} --folder {folder}"
        yield Gap("a manifest beside the dumps, by which a restore is compared", todo)
    times = sorted(path.stat().st_mtime for path in files if _ending(path) == ending)
    gaps = [(later - one) / _HOUR_S for one, later in pairwise(times)]
    if gaps and max(gaps) > _DAILY_H:
        source = f"default, a day; the longest time between two was {max(gaps):.0f} h"
        yield Line(table, "max_age_h", _DAILY_H, source)
    yield Gap("a second copy", f"[backup.{sources.database}.copies.NAME]")


def archive(sources: Sources) -> Iterator[Finding]:
    """The repository that `archive_command` writes to, if its tool shows the backups from here."""
    if sources.dsn is None:
        return
    database = tables.Database(name=sources.database, dsn=sources.dsn, timeout_s=sources.timeout_s)
    name = f"{sources.database}-wal" if sources.backups else sources.database
    with looking(database) as connection:
        archives, text = postgres.fetch(connection, _ARCHIVE)[0]
    if not archives:
        return
    command = _pgbackrest(text)
    if command:
        yield from _read_by(command, sources.database, name)
    else:
        # The whole command may hold a key.
        writer = text.split(maxsplit=1)[0] if text else "another program"
        todo = f"[backup.{name}] with `tool` of pgbackrest, barman, wal-g or command"
        yield Gap(f"how the WAL archive is read: {writer} writes it", todo)


def _read_by(command: Sequence[str], database: str, name: str) -> Iterator[Finding]:
    """The table of the backups, if the tool shows them from here."""
    table: dict[str, Any] = {
        "database": database,
        "tool": "pgbackrest",
        "path": _repository(command),
        "physical": {"command": command},
    }
    number = len(tool_of(Backup.model_validate({"name": name, **table})).backups())
    source = f"archive_command; it has {counted(number, 'backup')}"
    yield from (Line(("backup", name), key, value, source) for key, value in table.items())


def _pgbackrest(archive_command: str) -> list[str]:
    """The call of pgBackRest with its options; empty if the server calls another program.

    What a server says is run on this machine: nothing before the program, and no option that names
    a command, is taken.
    """
    try:
        words = shlex.split(archive_command)
    except ValueError:
        return []
    call = words[: words.index(_PUSH)] if _PUSH in words else []
    is_plain = all(_PLAIN.match(option) for option in call[1:])
    return call if call and PurePosixPath(call[0]).name == "pgbackrest" and is_plain else []


def _repository(command: Sequence[str]) -> str:
    """Its first repository: an option, else a line of its configuration, else its default."""
    options = dict(word[2:].split("=", 1) for word in command if re.match("--[^=]+=", word))
    texts = [f"repo1-path={options['repo1-path']}"] if "repo1-path" in options else []
    for file in (options.get("config", ""), *_CONFIGURATIONS):
        with suppress(OSError, UnicodeDecodeError):
            texts.append(Path(file).read_text(encoding="utf-8"))
    found = (_REPOSITORY.search(text) for text in texts)
    return next((one[1] for one in found if one), "/var/lib/pgbackrest")


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
