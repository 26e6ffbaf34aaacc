"""The WAL archive: every change reaches the repository, without a gap, and restores to a point."""

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.backup.config import Backup
from readiness.areas.backup.probes.physical import (
    archiver_of,
    continuity_of,
    deliver,
    restore_to_point,
)
from readiness.areas.backup.tools.tool import physical_of
from readiness.config.base.tables import Database
from readiness.config.models import Config
from readiness.lib.guardian import Guardian
from readiness.lib.text import worst


@check(
    "backup.wal",
    title="WAL is archived without failures, backlog or gaps",
    failure_title="WAL archiving fails, falls behind or has gaps",
    each="backup",
    needs="archives_wal",
    severity="blocker",
    explains=("backup.archive-end-to-end", "backup.point-in-time"),
    why="""A restore replays one WAL file after the other and stops at the first that is missing,
    without an error: the server starts, and everything after the gap is gone. While the archiver
    fails, WAL files fill the server's own disk until it stops.""",
    fix="""archiver, backlog: read the server's log and run the command by hand; never remove files
    from pg_wal:
      psql -c 'select last_failed_wal, last_failed_time, failed_count from pg_stat_archiver'
      grep -i 'archive command failed' POSTGRES_LOG | tail
      pgbackrest --stanza=STANZA --log-level-console=detail archive-push PG_WAL/FILE
    continuous: make a full backup at once, so that new changes can be recovered. Then look for the
    file on the server and on every standby, and for what removed it:
      pgbackrest --stanza=STANZA --type=full backup
      ls PG_WAL/FILE;  pgbackrest --stanza=STANZA repo-ls archive/NAME --recurse | grep FILE
    Expire the backups whose WAL has the gap once the new one was restored.""",
    judgements=("archiver", "backlog", "continuous"),
)
def test_wal(backup: Backup, target: Config, evidence: Evidence) -> None:
    """The server's own view of its archiver, and the names of the files in the repository."""
    database = target.databases[backup.database]
    with evidence.attempt():
        _judge_archiver(backup, database, evidence)
    with evidence.attempt():
        found = continuity_of(backup, database)
        source = f"{backup.path}, from {found.first} to {found.last or 'nothing'}"
        evidence.record(Measurement("WAL files in the repository", found.there, "count", source))
        missing = len(found.missing)
        evidence.judge(
            "continuous",
            Measurement(
                "WAL files missing since the oldest backup",
                missing,
                "count",
                source,
                samples=found.there,
            ),
            equal_to(0),
            f"{worst(found.missing)}: a restore stops there",
        )


def _judge_archiver(backup: Backup, database: Database, evidence: Evidence) -> None:
    archiver = archiver_of(database)
    is_on = archiver.mode in {"on", "always"}
    if not evidence.judge(
        "archiver",
        Measurement("archive_mode is on", is_on, "text", archiver.source),
        equal_to(True),
        says=f"archive_mode is {archiver.mode}: no WAL is archived",
    ):
        return
    evidence.judge(
        "archiver",
        Measurement("the last attempt failed", archiver.failing, "text", archiver.source),
        equal_to(False),
        archiver.last_failed,
        says=f"The archiver's last attempt failed, {archiver.failed} failed so far",
    )
    limit = at_most(physical_of(backup).backlog_max, physical_of(backup).deciding("backlog_max"))
    evidence.judge("backlog", archiver.waiting, limit, "they fill the server's disk")


@check(
    "backup.archive-end-to-end",
    title="A finished WAL file arrives in the repository",
    failure_title="WAL files do not arrive in the repository in time",
    each="backup",
    needs=("archives_wal", "physical.dsn"),
    severity="blocker",
    effect="write",
    why="""With `archive_command = '/bin/true'` every view of the server reports success while the
    repository stays empty. Only looking for one file in the repository shows that it arrives.""",
    fix="""See what the server calls, run it by hand, and see where the file goes:
      psql -c 'show archive_mode' -c 'show archive_command' -c 'show archive_library'
      pgbackrest --stanza=STANZA check;  barman check SERVER
      psql -c 'select * from pg_stat_archiver'
    Once it works, make a full backup at once: what was not archived cannot be recovered.
    "permission denied": grant execute on function pg_switch_wal() to ROLE, and likewise
    pg_create_restore_point(text).""",
    judgements=("arrival",),
)
def test_archive_end_to_end(backup: Backup, evidence: Evidence) -> None:
    """A restore point is written, its WAL file finished, and that very file looked for."""
    delivered = deliver(backup)
    physical = physical_of(backup)
    lost = f"The WAL file {delivered.segment} is not in the repository"
    evidence.judge(
        "arrival",
        Measurement("time until the WAL file arrived", delivered.seconds, "s", delivered.source),
        at_most(physical.archived_within_s, physical.deciding("archived_within_s")),
        says="" if delivered.arrived else lost,
    )


@check(
    "backup.point-in-time",
    title="A restore to a point in time ends at that point",
    failure_title="A restore to a point in time fails, or ends elsewhere",
    each="backup",
    needs=("archives_wal", "is_restorable", "physical.dsn"),
    severity="blocker",
    effect="write",
    why="""After somebody dropped the wrong table, only the moment before it is of any use. A
    restore that ends too early or goes on too far looks exactly like one that worked.""",
    fix="""Do by hand what the check did, into an empty folder on another machine:
      pgbackrest --stanza=STANZA --pg1-path=DATA_FOLDER --type=name --target=POINT \\
        --target-action=promote --archive-mode=off restore
    "recovery ended before configured recovery target was reached": WAL is missing, see
    backup.wal and backup.archive-end-to-end.
    It ended elsewhere: grep recovery_target DATA_FOLDER/postgresql.auto.conf
    Too slow: pgbackrest --process-max=4, more frequent backups; or another `rto_s`.""",
    judgements=("restored", "row-before", "row-after", "restore-time"),
)
def test_point_in_time(
    backup: Backup, target: Config, guardian: Guardian, evidence: Evidence
) -> None:
    """A row is written before a named restore point and one after it, in a schema of our own."""
    found = restore_to_point(backup, target.databases[backup.database], guardian)
    source = f"restore of {backup.name} to the restore point {found.point}"
    if not evidence.judge(
        "restored",
        Measurement("failed restores", int(bool(found.problem)), "count", source),
        equal_to(0),
        found.problem,
        says="The restore to a point in time failed",
    ):
        return
    evidence.judge(
        "row-before",
        Measurement("row from before the point", int(found.before), "count", source),
        equal_to(1),
        says="The restore ended too early: a row committed before the point is missing",
    )
    evidence.judge(
        "row-after",
        Measurement("row from after the point", int(found.after), "count", source),
        equal_to(0),
        says="The restore went on too far: a row committed after the point is there",
    )
    if found.time:
        evidence.judge("restore-time", found.time, at_most(backup.rto_s, backup.deciding("rto_s")))
