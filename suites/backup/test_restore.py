"""Does the newest backup restore, and is everything in it? Proven, not believed."""

from collections.abc import Callable
from typing import TypeVar

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.backup.beside_tables import LargeObjects, lagging
from readiness.areas.backup.config import Backup
from readiness.areas.backup.dump_objections import accepted
from readiness.areas.backup.manifest import COMMAND, Manifest, read_manifest
from readiness.areas.backup.probes.application import try_application
from readiness.areas.backup.probes.cluster import RestoredCluster
from readiness.areas.backup.probes.controls import archive_controls, dump_controls
from readiness.areas.backup.probes.restore import Restored
from readiness.areas.backup.restore_ladder import STEPS, first_gap, level_of
from readiness.areas.backup.restore_proof import data_loss, steps_of
from readiness.config.models import Config
from readiness.lib.postgres.contents import TableContent, differences
from readiness.lib.postgres.fingerprint import differences as schema_differences
from readiness.lib.text import worst
from readiness.model.errors import CouldNotMeasure, NoData

_T = TypeVar("_T")

AnyRestore = Restored | RestoredCluster
RestoreOf = Callable[[Backup], AnyRestore]
RestoredDump = Callable[[Backup], Restored]


@check(
    "backup.restore-succeeds",
    title="The newest backup restores without an error, in the agreed time",
    each="restorable_backup",
    severity="blocker",
    why="""A backup that was never restored is a hope. Half a file still lists its contents, and
    a restore that passes over errors still ends in a database that answers.""",
    fix="""Do by hand what the check did, on a scratch server:
      pg_restore -f /dev/null FILE      (an error here: the file is damaged; take the one before)
      createdb scratch && pg_restore -d scratch FILE
      pgbackrest --stanza=NAME --pg1-path=EMPTY_FOLDER --archive-mode=off restore
    "role ... does not exist": the dump needs its roles, which no dump contains;
      pg_dumpall --globals-only > globals.sql   (in every backup), or make it with
      python -m readiness.areas.backup.manifest --dsn-env VARIABLE --folder FOLDER
    Too slow: pg_restore --jobs=4, faster disks, or another agreement (`rto_s`).""",
)
def test_restore_succeeds(
    restorable_backup: Backup, restore_of: RestoreOf, evidence: Evidence
) -> None:
    """Every error counts, whatever the exit status says."""
    restore = restore_of(restorable_backup)
    for errors, said in restore.errors():
        evidence.judge("errors", errors, equal_to(0), said)
    if isinstance(restore, Restored) and not restore.reading.clean:
        return
    if isinstance(restore, RestoredCluster) and restore.problem:
        return
    evidence.judge(
        "restore-time",
        restore.restore_time(),
        at_most(restorable_backup.rto_s),
        "longer than agreed to be without service",
    )


@check(
    "backup.restore-row-parity",
    title="The restored tables hold exactly what the database held",
    each="dump_backup",
    severity="blocker",
    why="""A dump can lack rows and restore without an error: row security filtered it, a table
    was left out, somebody replaced the file. Only comparing every table's rows with those of
    the dump's own snapshot shows it.""",
    fix="""The message names the worst tables. Then look at how the dump is made:
      excluded tables or schemas (-t, -n, --exclude-table-data), --enable-row-security, a role
      without BYPASSRLS, data copied by another job than the one that wrote the manifest.
    Make a whole one at once, and keep the broken one for the inquiry:
      python -m readiness.areas.backup.manifest --dsn-env VARIABLE --folder FOLDER
    No manifest: the same command writes one with every backup.""",
)
def test_restore_row_parity(
    dump_backup: Backup, restored_dump: RestoredDump, evidence: Evidence
) -> None:
    """Counts and checksums of every table, against the manifest written with the dump."""
    restore = restored_dump(dump_backup)
    found = restore.contents()
    manifest = read_manifest(restore.file.manifest)
    if not manifest.tables:
        raise NoData("the manifest names no table", where=str(restore.file.manifest))
    evidence.judge(
        "sha256",
        restore.sha256(),
        equal_to(manifest.sha256),
        "the file was altered since it was written",
    )
    evidence.record(_compared(manifest, found))
    differing = differences(manifest.tables, found)
    evidence.judge(
        "tables-differ",
        Measurement("tables that differ", len(differing), "count", str(restore.file.manifest)),
        equal_to(0),
        worst(map(str, differing)),
    )


@check(
    "backup.restored-schema",
    title="The restored schema is the one that was backed up, object by object",
    each="dump_backup",
    severity="blocker",
    why="""All rows can be back while an index, a trigger, a policy or a right is not: the system
    is slow, loses what triggers did, or shows one customer the data of another.""",
    fix="""The message names the objects. Look which option left them out, and make a whole dump:
      grep -rn 'pg_dump' /etc/cron* /etc/systemd/system | grep -E -- '--(no-|section|exclude)|-x|-t'
      python -m readiness.areas.backup.manifest --dsn-env VARIABLE --folder FOLDER
    An index that is missing: pg_dump leaves out invalid ones; `reindex index concurrently NAME`.
    A manifest of before has no schema: make the next backup with this release.""",
)
def test_restored_schema(
    dump_backup: Backup, restored_dump: RestoredDump, evidence: Evidence
) -> None:
    """By the fingerprint in the manifest: definitions, not only names."""
    restore = restored_dump(dump_backup)
    found = restore.objects()
    expected = _told(read_manifest(restore.file.manifest).objects, "schema", restore)
    changes = schema_differences(expected, found)
    source = f"{len(expected)} objects in {restore.file.manifest}"
    evidence.judge(
        "objects-differ",
        Measurement("objects that differ", len(changes), "count", source, samples=len(expected)),
        equal_to(0),
        worst(map(str, changes)),
    )


@check(
    "backup.restored-sequences",
    title="No restored sequence gives a number again that was given before",
    each="dump_backup",
    severity="blocker",
    why="""Every row is there and every page opens, and the first order that somebody places fails
    with "duplicate key": the sequence began again. Data-only restores and replicas do that.""",
    fix="""Set each sequence ahead of what is in its column, in the restored database:
      select setval(pg_get_serial_sequence('TABLE', 'COLUMN'), max(COLUMN)) from TABLE;
    Then see why the dump lacks them: `--section=data` and `-t TABLE` leave sequences behind.""",
)
def test_restored_sequences(
    dump_backup: Backup, restored_dump: RestoredDump, evidence: Evidence
) -> None:
    """Each at least as far as it was when the dump began: sequences keep to no snapshot."""
    restore = restored_dump(dump_backup)
    found = restore.sequences()
    expected = _told(read_manifest(restore.file.manifest).sequences, "sequences", restore)
    behind = lagging(expected, found)
    source = f"{len(expected)} sequences in {restore.file.manifest}"
    evidence.judge(
        "sequences-behind",
        Measurement("sequences behind", len(behind), "count", source, samples=len(expected)),
        equal_to(0),
        worst(behind),
    )


@check(
    "backup.restored-large-objects",
    title="Every large object is restored, with its contents",
    each="dump_backup",
    severity="major",
    why="""Documents and pictures kept as large objects are in no table: `-t`, `-n` and --no-blobs
    leave them out of a dump, and every table of it compares equal.""",
    fix="""Count them on both sides, and make a dump without these options:
      select count(*) from pg_largeobject_metadata;
      pg_dump -Fc --large-objects ...   (--blobs before 16)
    "permission denied": grant select on large object NUMBER to the role that makes the backups.""",
)
def test_restored_large_objects(
    dump_backup: Backup, restored_dump: RestoredDump, evidence: Evidence
) -> None:
    """Number and checksum, against the manifest; none on both sides is equal, too."""
    restore = restored_dump(dump_backup)
    found = restore.large_objects()
    expected: LargeObjects = _told(
        read_manifest(restore.file.manifest).large_objects, "large objects", restore
    )
    source = f"pg_largeobject_metadata, {restore.file.manifest}"
    if evidence.judge(
        "large-objects",
        Measurement("large objects", found.number, "count", source),
        equal_to(expected.number),
        "the dump was made without them",
    ):
        evidence.judge(
            "checksum-large-objects",
            Measurement("checksum of the large objects", found.checksum, "text", source),
            equal_to(expected.checksum),
            "their contents differ",
        )


@check(
    "backup.restored-sound",
    title="Tables and indexes of the restored copy are physically sound",
    each="restorable_backup",
    severity="blocker",
    why="""A tool that copies the server's files copies their damage, and calls the copy verified.
    A broken index answers, with rows missing; nobody sees it until a unique key is there twice.""",
    fix="""See whether the source has it too, then mend there, and make a new backup:
      pg_amcheck --heapallindexed --install-missing DATABASE
      reindex index concurrently NAME;   (an index)
    A page with a wrong checksum: restore an older backup and look when it began; test the disk
    (smartctl -H /dev/DISK) and the memory.""",
)
def test_restored_sound(
    restorable_backup: Backup, restore_of: RestoreOf, evidence: Evidence
) -> None:
    """pg_amcheck on everything; the checksum of every page, where there are checksums."""
    restore = restore_of(restorable_backup)
    found = restore.sound()
    evidence.judge(
        "relations-amcheck-complains",
        Measurement(
            "relations that amcheck complains of",
            len(found.corrupt),
            "count",
            found.source,
            samples=found.relations,
        ),
        equal_to(0),
        worst(found.corrupt),
    )
    if isinstance(restore, RestoredCluster):
        bad = restore.bad_checksums()
        if bad is not None:
            evidence.judge(
                "pages-wrong-checksum",
                Measurement("pages with a wrong checksum", bad, "count", "pg_checksums --check"),
                equal_to(0),
                "the disk, or the way to it, changed what was written",
            )


@check(
    "backup.restored-application",
    title="The application reads and writes in the restored copy",
    each="tried_backup",
    severity="blocker",
    why="""A restored database is for the application. Rights that a dump does not carry, a setting
    of the role, a sequence that lags: reading works, and the first write fails.""",
    fix="""The message names the statement and the error. Try it in a restored copy:
      set session authorization ROLE; begin; STATEMENT; rollback;
    "permission denied": memberships and settings of roles are only in `pg_dumpall --globals-only`.
    "duplicate key": see backup.restored-sequences, and the same in the database itself.""",
)
def test_restored_application(
    tried_backup: Backup, restore_of: RestoreOf, evidence: Evidence
) -> None:
    """Each statement as the application's role, in a transaction that is rolled back."""
    application = tried_backup.application
    assert application, "the subject declares its statements"
    for tried in try_application(restore_of(tried_backup).database(), application):
        evidence.judge(
            "rows", tried.rows, at_least(1), tried.problem or "no row came, or was written"
        )


@check(
    "backup.recovery-objectives",
    title="What would be lost, and how long it would take, is within what was agreed",
    each="promised_backup",
    severity="blocker",
    why="""RPO and RTO stand in contracts. Measured, they are: what was written since the moment
    that the restored copy is of, and the time until it served again.""",
    fix="""Too much lost: back up more often, or archive the WAL, so that minutes are lost at most:
      systemctl edit --full backup.timer;  archive_timeout = 60
    Too slow: pg_restore --jobs=4, process-max=4 in pgbackrest.conf, incremental backups, a standby.
    Or agree on other figures: `rpo_s` and `rto_s` in [backup.NAME].""",
)
def test_recovery_objectives(
    promised_backup: Backup, restore_of: RestoreOf, evidence: Evidence
) -> None:
    """By the restored copy itself, and not by what a job says of it."""
    restore = restore_of(promised_backup)
    evidence.judge(
        "data-loss",
        data_loss(promised_backup, restore),
        at_most(promised_backup.rpo_s or 0),
        "what was written since then is in no backup",
    )
    evidence.judge(
        "restore-time", restore.restore_time(), at_most(promised_backup.rto_s), "longer than agreed"
    )


@check(
    "backup.negative-controls",
    title="Copies that were damaged on purpose are rejected",
    each="controlled_backup",
    severity="major",
    why="""A proof that nothing can make fail proves nothing: a limit set too wide, a program that
    always ends with 0. So the newest backup is copied, each copy is damaged in one way, and the
    judgements of the other checks have to reject each for that very damage.""",
    fix="""The message names the damage that would have passed. See what should have caught it:
      an old copy: `max_age_h` in [backup.NAME];  an empty file: `min_bytes`
      a bit that turned: a manifest with the SHA-256, python -m readiness.areas.backup.manifest
      a row less: the same manifest, with its tables""",
)
def test_negative_controls(
    controlled_backup: Backup, restore_of: RestoreOf, target: Config, evidence: Evidence
) -> None:
    """On copies in a temporary folder; backups and archive are only read."""
    backup = controlled_backup
    restore = restore_of(backup) if backup.tool == "dump" else None
    controls = (
        dump_controls(backup, restore)
        if isinstance(restore, Restored)
        else archive_controls(backup, target.databases[backup.database])
    )
    passed = accepted(controls)
    evidence.judge(
        "damaged-copies-would-passed",
        Measurement(
            "damaged copies that would have passed",
            len(passed),
            "count",
            f"copies of {backup.name}",
            samples=len(controls),
        ),
        equal_to(0),
        worst(passed),
    )


@check(
    "backup.restore-level",
    title="The proof of restore reaches the level that was agreed",
    each="dump_backup",
    severity="major",
    why="""\"The restore was tested\" means anything from \"the job said so\" to \"the application
    wrote in it\". The levels say which: none counts without those below it.""",
    fix="""The message names the first level that is not shown, and why. What each of them needs:
      4 rows and schema: a manifest with each dump, python -m readiness.areas.backup.manifest
      5 soundness: amcheck on this machine, apt-get install postgresql-contrib
      6 application: [backup.NAME.application];  7 objectives: `rpo_s` in [backup.NAME]
    Another agreement: `restore_level` in [backup.NAME].""",
)
def test_restore_level(
    dump_backup: Backup, restored_dump: RestoredDump, evidence: Evidence
) -> None:
    """Counted from the bottom; the first level that is not shown ends it."""
    steps = steps_of(dump_backup, restored_dump(dump_backup))
    reached, gap = level_of(steps), first_gap(steps)
    evidence.judge(
        "level-reached",
        Measurement("level reached", reached, "count", "; ".join(map(str, steps))),
        at_least(dump_backup.restore_level),
        f"{STEPS[gap.level]}: {gap.problem}" if gap else "",
    )


def _told(value: _T | None, what: str, restore: Restored) -> _T:
    if value is None:
        raise CouldNotMeasure(
            f"the manifest says nothing of the {what}: it was written by an older release",
            where=str(restore.file.manifest),
            remedy=f"make the next backup with this release: {COMMAND}",
        )
    return value


def _compared(manifest: Manifest, found: dict[str, TableContent]) -> Measurement:
    rows = sum(content.rows for content in found.values())
    source = f"counts and checksums of {len(manifest.tables)} tables"
    return Measurement("rows compared", rows, "count", source, samples=len(manifest.tables))
