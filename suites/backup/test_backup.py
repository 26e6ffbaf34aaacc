"""Is there a backup, does it restore, and is everything in it?"""

from collections.abc import Callable, Sequence

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.backup_manifest import Manifest, read_manifest
from readiness.config.backup import Backup
from readiness.errors import NoData
from readiness.probes.backup.files import age_of, newest, number_of, size_of
from readiness.probes.backup.restore import Restored
from readiness.table_contents import Difference, TableContent, differences

_NAMED = 3

RestoreOf = Callable[[Backup], Restored]


@check(
    "backup.backup-fresh",
    title="The newest backup is younger than the agreed loss of data",
    each="backup",
    severity="blocker",
    why="""What was written since the newest backup is lost in a disaster. Backup jobs stop
    without a sound: a full disk, an expired password, a cron entry that went with its host.""",
    fix="""Look at the last run of the job, then make a backup now:
      systemctl list-timers --all | grep -i backup;  journalctl -u UNIT --since -3d
      df -h FOLDER
      python -m readiness.backup_manifest --dsn-env VARIABLE --folder FOLDER
    Let the job alert when it does not end well, and not only when it says so.""",
)
def test_backup_fresh(backup: Backup, evidence: Evidence) -> None:
    """Judged by the newest file; a folder without any is a failure, not an unknown."""
    file = newest(backup)
    if file is None:
        evidence.judge(number_of(backup), at_least(1), "there is no backup at all")
        return
    evidence.judge(age_of(file), at_most(backup.max_age_h), "no backup was made since")
    evidence.judge(size_of(file), at_least(backup.min_bytes), "so small a file holds no database")


@check(
    "backup.restore-succeeds",
    title="The newest backup restores without an error, in the agreed time",
    each="backup",
    severity="blocker",
    why="""A backup that was never restored is a hope. Half a file still lists its contents, and
    a restore that passes over errors still ends in a database that answers.""",
    fix="""Do by hand what the check did, on a scratch server:
      pg_restore -f /dev/null FILE      (an error here: the file is damaged; take the one before)
      createdb scratch && pg_restore -d scratch FILE
    "role ... does not exist": the dump needs its roles, which no dump contains;
      pg_dumpall --globals-only > globals.sql   (in every backup), or make it with
      python -m readiness.backup_manifest --dsn-env VARIABLE --folder FOLDER
    Too slow: pg_restore --jobs=4, faster disks, or another agreement (`rto_s`).""",
)
def test_restore_succeeds(backup: Backup, restore_of: RestoreOf, evidence: Evidence) -> None:
    """Every error counts, whatever the exit status says."""
    restore = restore_of(backup)
    if not evidence.judge(restore.reading_errors(), equal_to(0), str(restore.reading)):
        return
    evidence.judge(restore.restore_errors(), equal_to(0), str(restore.restoring))
    evidence.judge(
        restore.restore_time(), at_most(backup.rto_s), "longer than agreed to be without service"
    )


@check(
    "backup.restore-row-parity",
    title="The restored tables hold exactly what the database held",
    each="backup",
    severity="blocker",
    why="""A dump can lack rows and restore without an error: row security filtered it, a table
    was left out, somebody replaced the file. Only comparing every table's rows with those of
    the dump's own snapshot shows it.""",
    fix="""The message names the worst tables. Then look at how the dump is made:
      excluded tables or schemas (-t, -n, --exclude-table-data), --enable-row-security, a role
      without BYPASSRLS, data copied by another job than the one that wrote the manifest.
    Make a whole one at once, and keep the broken one for the inquiry:
      python -m readiness.backup_manifest --dsn-env VARIABLE --folder FOLDER
    No manifest: the same command writes one with every backup.""",
)
def test_restore_row_parity(backup: Backup, restore_of: RestoreOf, evidence: Evidence) -> None:
    """Counts and checksums of every table, against the manifest written with the dump."""
    restore = restore_of(backup)
    found = restore.contents()
    manifest = read_manifest(restore.file.manifest)
    if not manifest.tables:
        raise NoData("the manifest names no table", where=str(restore.file.manifest))
    evidence.judge(
        restore.sha256(), equal_to(manifest.sha256), "the file was altered since it was written"
    )
    evidence.record(_compared(manifest, found))
    differing = differences(manifest.tables, found)
    evidence.judge(
        Measurement("tables that differ", len(differing), "count", str(restore.file.manifest)),
        equal_to(0),
        _worst(differing),
    )


def _compared(manifest: Manifest, found: dict[str, TableContent]) -> Measurement:
    rows = sum(content.rows for content in found.values())
    source = f"counts and checksums of {len(manifest.tables)} tables"
    return Measurement("rows compared", rows, "count", source, samples=len(manifest.tables))


def _worst(differing: Sequence[Difference]) -> str:
    named = "; ".join(map(str, differing[:_NAMED]))
    more = len(differing) - _NAMED
    return f"{named}; and {more} more" if more > 0 else named
