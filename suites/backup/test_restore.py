"""The proof of restore: each backup is restored and compared once, level by level."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.backup.config import Backup
from readiness.areas.backup.manifest import COMMAND, lagging, read_manifest
from readiness.areas.backup.probes.physical import RestoredCluster
from readiness.areas.backup.probes.restore import Restored
from readiness.areas.backup.probes.restored_copy import (
    AnyRestore,
    bad_checksums,
    dump_controls,
    sound,
    try_application,
)
from readiness.lib.postgres.contents import differences
from readiness.lib.postgres.fingerprint import differences as schema_differences
from readiness.lib.text import worst
from readiness.model.errors import CouldNotMeasure, NoData

_T = TypeVar("_T")

RestoreOf = Callable[[Backup], AnyRestore]


@check(
    "backup.restores",
    title="The newest backup restores completely, and the application works in it",
    failure_title="The newest backup does not restore completely",
    each="backup",
    needs="is_restorable",
    severity="blocker",
    core=True,
    why="""Half a file still lists its contents, a restore that skips errors ends in a database that
    answers, and a dump can lack rows, an index or a right without any error. Only a restored copy
    that is compared with what was backed up shows what a disaster would leave.""",
    fix="""Do by hand what the check did, on a scratch server:
      pg_restore -f /dev/null FILE
      createdb scratch && pg_restore -d scratch FILE
      pgbackrest --stanza=STANZA --pg1-path=EMPTY_FOLDER --archive-mode=off restore
    readable: the file is damaged; use the backup before it, and look for the cause: df -h FOLDER
    restored: what the message names must be in the backup; a function or view that names a table
    without its schema does not restore: alter function NAME set search_path = SCHEMA.
    A dump holds no roles (those that it names are created here); back them up:
      pg_dumpall --globals-only > globals.sql
      python -m readiness.areas.backup.manifest --dsn-env VARIABLE --folder FOLDER
    unaltered, rows, schema: see what the job leaves out, then make a backup with the command above:
      grep -rn pg_dump /etc/cron* /etc/systemd/system |
        grep -E -- '--(no-|section|exclude|enable-row-security)|-x|-t|-n'
      pg_dump leaves out invalid indexes: reindex index concurrently NAME;
    sequences: dump sequences together with their tables; in the restored copy:
      select setval('SEQUENCE', (select max(COLUMN) from TABLE));
    large-objects: pg_dump -Fc --large-objects (--blobs before 16); "permission denied":
      grant select on large object NUMBER to ROLE;
    sound, checksums: see whether the source is damaged too, fix it there, make a new backup:
      pg_amcheck --heapallindexed --install-missing DATABASE
      reindex index concurrently NAME;   smartctl -H /dev/DISK
    application-reads, application-writes: try the statement in a restored copy; memberships and
    settings of roles are in `pg_dumpall --globals-only`:
      set session authorization ROLE; begin; STATEMENT; rollback;
    damaged-copies: lower `max_age_h`, raise `min_bytes` in [backup.NAME].
    No manifest: make the next backup with the command above. No amcheck on this machine:
      apt-get install postgresql-contrib, or agree on a lower `restore_level` in [backup.NAME].""",
    judgements=(
        "readable",
        "restored",
        "unaltered",
        "rows",
        "schema",
        "sequences",
        "large-objects",
        "sound",
        "checksums",
        "application-reads",
        "application-writes",
        "damaged-copies",
    ),
)
def test_restores(backup: Backup, restore_of: RestoreOf, evidence: Evidence) -> None:
    """Every level on its own, so that one that cannot be measured does not hide the others."""
    restore = restore_of(backup)
    if not _judge_restore(restore, evidence):
        return  # there is nothing to compare
    if isinstance(restore, Restored):
        for judge in (_judge_rows, _judge_schema, _judge_sequences, _judge_large_objects):
            with _level(4, backup, evidence):
                judge(restore, evidence)
    with _level(5, backup, evidence):
        _judge_soundness(restore, evidence)
    with _level(6, backup, evidence):
        _judge_application(backup, restore, evidence)
    if isinstance(restore, Restored):
        with _level(8, backup, evidence):
            _judge_damaged_copies(backup, restore, evidence)


@contextmanager
def _level(number: int, backup: Backup, evidence: Evidence) -> Iterator[None]:
    """Judge a level; above the agreed one, what cannot be measured is shown and is no error."""
    agreed = backup.restore_level
    if agreed is None or number <= agreed:
        with evidence.attempt():
            yield
        return
    try:
        yield
    except CouldNotMeasure as error:
        source = backup.deciding("restore_level")
        evidence.record(Measurement(f"level {number} not tested", error.sentence, "text", source))


def _judge_restore(restore: AnyRestore, evidence: Evidence) -> bool:
    """Whether there is a restored copy. Every error counts, whatever the exit status is."""
    if isinstance(restore, RestoredCluster):
        failed = restore.failed()
        return evidence.judge(
            "restored", failed, equal_to(0), restore.problem, says="The restore failed"
        )
    errors = restore.reading_errors()
    if not evidence.judge("readable", errors, equal_to(0), str(restore.reading)):
        return False
    evidence.judge("restored", restore.restore_errors(), equal_to(0), str(restore.restoring))
    return True


def _judge_rows(restore: Restored, evidence: Evidence) -> None:
    """Counts and checksums of every table, against the manifest written with the dump."""
    if not restore.file.manifest.exists():
        says = "No restored table has a row: the dump holds the schema alone"
        evidence.judge("rows", restore.filled(), at_least(1), says=says)
    manifest = read_manifest(restore.file.manifest)
    if not manifest.tables:
        raise NoData("the manifest names no table", where=str(restore.file.manifest))
    evidence.judge(
        "unaltered",
        restore.sha256(),
        equal_to(manifest.sha256),
        f"its SHA-256 is not that of {restore.file.manifest}",
        says="The dump was altered since it was written",
    )
    found = restore.contents()
    tables = len(manifest.tables)
    rows = sum(content.rows for content in found.values())
    source = f"counts and checksums of {tables} tables"
    evidence.record(Measurement("rows compared", rows, "count", source, samples=tables))
    differing = list(map(str, differences(manifest.tables, found)))
    _judge_none("rows", "tables that differ from the manifest", differing, tables, source, evidence)


def _judge_schema(restore: Restored, evidence: Evidence) -> None:
    """Definitions, not only names, against the fingerprint in the manifest."""
    expected = _known(read_manifest(restore.file.manifest).objects, "schema", restore)
    changes = list(map(str, schema_differences(expected, restore.objects())))
    name, source = "objects that differ from the manifest", str(restore.file.manifest)
    _judge_none("schema", name, changes, len(expected), source, evidence)


def _judge_sequences(restore: Restored, evidence: Evidence) -> None:
    """The manifest has the values from just before the dump: sequences keep to no snapshot."""
    expected = _known(read_manifest(restore.file.manifest).sequences, "sequences", restore)
    behind = lagging(expected, restore.sequences())
    name, source = "sequences that would issue values again", str(restore.file.manifest)
    _judge_none("sequences", name, behind, len(expected), source, evidence)


def _judge_large_objects(restore: Restored, evidence: Evidence) -> None:
    expected = _known(read_manifest(restore.file.manifest).large_objects, "large objects", restore)
    found = restore.large_objects()
    source = f"pg_largeobject_metadata, {restore.file.manifest}"
    if evidence.judge(
        "large-objects",
        Measurement("large objects", found.number, "count", source),
        equal_to(expected.number),
        says=f"{found.number} of {expected.number} large objects are restored",
    ):
        evidence.judge(
            "large-objects",
            Measurement("checksum of the large objects", found.checksum, "text", source),
            equal_to(expected.checksum),
            says=f"The contents of the {found.number} large objects differ from the manifest",
        )


def _judge_soundness(restore: AnyRestore, evidence: Evidence) -> None:
    """pg_amcheck on everything; the checksum of every page, where there are checksums."""
    found = sound(restore)
    name = "relations that amcheck reports as corrupt"
    _judge_none("sound", name, found.corrupt, found.relations, found.source, evidence)
    # A dump has no pages.
    if isinstance(restore, RestoredCluster) and (bad := bad_checksums(restore)) is not None:
        evidence.judge(
            "checksums",
            Measurement("pages with a wrong checksum", bad, "count", "pg_checksums --check"),
            equal_to(0),
        )


def _judge_application(backup: Backup, restore: AnyRestore, evidence: Evidence) -> None:
    """Each statement as the application's role, in a transaction that is rolled back."""
    if backup.application is None:
        return
    for tried in try_application(restore.database(), backup.application):
        key = "application-writes" if tried.writes else "application-reads"
        because = f"{tried.problem or 'no row'}, in: {tried.rows.source}"
        evidence.judge(key, tried.rows, at_least(1), because)


def _judge_damaged_copies(backup: Backup, restore: Restored, evidence: Evidence) -> None:
    """Copies in a temporary folder are damaged; the limits of this backup must reject each."""
    controls = dump_controls(backup, restore)
    accepted = [one.name for one in controls if not one.rejected]
    name, source = "damaged copies that would be accepted", f"copies of {restore.where}"
    _judge_none("damaged-copies", name, accepted, len(controls), source, evidence)


def _judge_none(
    key: str, name: str, found: Sequence[str], of: int, source: str, evidence: Evidence
) -> None:
    """Judge that nothing was found, and list what was."""
    figure = Measurement(name, len(found), "count", source, samples=of)
    evidence.judge(key, figure, equal_to(0), worst(found))


def _known(value: _T | None, what: str, restore: Restored) -> _T:
    if value is None:
        raise CouldNotMeasure(
            f"the manifest has no {what}: it was written by an older release",
            where=str(restore.file.manifest),
            remedy=f"make the next backup with this release: {COMMAND}",
        )
    return value


@check(
    "backup.recovery-objectives",
    title="Data loss and restore time are within the agreed objectives",
    failure_title="A restore loses more data, or takes longer, than agreed",
    each="backup",
    needs="is_restorable",
    severity="blocker",
    why="""RPO and RTO are promised in contracts, and both are measured here on the restored copy:
    how old its newest data is, and how long it took until it served again. A figure that was only
    estimated is found wrong in the middle of the outage.""",
    fix="""Too much lost: back up more often, or archive WAL, so that minutes are lost at most:
      systemctl edit --full backup.timer;  alter system set archive_timeout = 60
    Old although the dump is new: the standby that is dumped does not replay; dump the primary.
    Not known how old: set `heartbeat_sql` in [backup.NAME], or write dumps with a manifest.
    Too slow: pg_restore --jobs=4, process-max=4 in pgbackrest.conf, incremental backups, a standby.
    Or agree on other objectives: `rpo_s` and `rto_s` in [backup.NAME].""",
    judgements=("restore-time", "data-loss"),
)
def test_recovery_objectives(backup: Backup, restore_of: RestoreOf, evidence: Evidence) -> None:
    """By the restored copy itself, and not by what a job reports."""
    restore = restore_of(backup)
    limit = at_most(backup.rto_s, backup.deciding("rto_s"))
    evidence.judge("restore-time", restore.restore_time(), limit)
    if backup.rpo_s:
        limit = at_most(backup.rpo_s, backup.deciding("rpo_s"))
        evidence.judge("data-loss", restore.data_loss(backup), limit)
