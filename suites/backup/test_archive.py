"""Does every change reach the repository, and is what lies there sound?"""

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.backup.config import Backup
from readiness.areas.backup.probes.archive import archiver_of, continuity_of, deliver
from readiness.areas.backup.tools.known import tool_of
from readiness.areas.backup.tools.tool import physical_of
from readiness.config.models import Config
from readiness.lib.text import worst


@check(
    "backup.tool-verified",
    title="The backup tool's own check says that everything in the repository is sound",
    each="physical_backup",
    severity="blocker",
    why="""A disk that loses a bit, or a copy that broke off, is noticed on the day of the restore,
    unless somebody reads what is there. Several tools end with status 0 whatever they find: what
    they print is read here, and nothing else counts.""",
    fix="""Read the whole of it, then make a new backup, and find out what damaged the old one:
      pgbackrest --stanza=NAME --output=text --verbose verify   (it ends with 0 in any case)
      barman check SERVER;  barman verify-backup SERVER latest;  wal-g wal-verify integrity timeline
      pg_verifybackup FOLDER;  smartctl -H /dev/DISK
    Do not expire the backups from before the damage until the new one was restored once.""",
)
def test_tool_verified(physical_backup: Backup, evidence: Evidence) -> None:
    """By what the tool prints; its exit status is shown, and does not decide."""
    verified = tool_of(physical_backup).verify()
    evidence.record(Measurement("exit status", verified.status, "status", verified.source))
    problems = verified.problems or (() if verified.good else ("it does not say that all is well",))
    evidence.judge(
        "problems-tool-names",
        Measurement("problems that the tool names", len(problems), "count", verified.source),
        equal_to(0),
        worst(problems),
    )


@check(
    "backup.archive-end-to-end",
    title="A WAL file that is finished now arrives in the repository",
    each="drilled_backup",
    severity="blocker",
    effect="write",
    why="""`archive_command = '/bin/true'` makes every view of the server look well: the archiver
    archives, nothing fails, nothing waits, and nothing is in the repository. Only looking for the
    very file there tells.""",
    fix="""See what the server calls, run it by hand, and see where it goes:
      psql -c 'show archive_mode' -c 'show archive_command' -c 'show archive_library'
      pgbackrest --stanza=NAME check;  barman check SERVER
      select * from pg_stat_archiver;
    After it works again: make a full backup at once, what was not archived is lost for recovery.
    "permission denied": grant execute on function pg_switch_wal() to ROLE, and likewise
      pg_create_restore_point(text).""",
)
def test_archive_end_to_end(drilled_backup: Backup, evidence: Evidence) -> None:
    """A restore point is written, its file finished, and that file looked for."""
    delivered = deliver(drilled_backup)
    within_s = physical_of(drilled_backup).archived_within_s
    if evidence.judge(
        "finished-wal-files-arrived",
        Measurement(
            "finished WAL files that arrived", int(delivered.arrived), "count", delivered.source
        ),
        equal_to(1),
        f"{delivered.segment} is not there after {within_s:g} s",
    ):
        evidence.judge(
            "time-until-there",
            Measurement("time until it was there", delivered.seconds, "s", delivered.source),
            at_most(within_s),
        )


@check(
    "backup.archiver",
    title="The server's archiver works, and nothing waits for it",
    each="archived_backup",
    severity="major",
    why="""While the archiver fails, every WAL file stays on the server's own disk: what happened
    since cannot be recovered elsewhere, and the disk fills up until the server stops.""",
    fix="""See what it says, in the server's log and in the view, and run the command by hand:
      select last_failed_wal, last_failed_time, failed_count from pg_stat_archiver;
      grep -i 'archive command failed' POSTGRES_LOG | tail
      pgbackrest --stanza=NAME --log-level-console=detail archive-push PG_WAL/FILE
    Nobody but the archiver may remove files of pg_wal.""",
)
def test_archiver(archived_backup: Backup, target: Config, evidence: Evidence) -> None:
    """What the server says of it: necessary, and no proof (see backup.archive-end-to-end)."""
    archiver = archiver_of(target.databases[archived_backup.database])
    if not evidence.judge(
        "archive-mode", Measurement("archive_mode is on", archiver.mode in {"on", "always"}, "text",
                    archiver.source),
        equal_to(True),
        "nothing is archived at all",
    ):  # fmt: skip
        return
    evidence.judge(
        "last-attempt-failed",
        Measurement("last attempt failed", archiver.failing, "text", archiver.source),
        equal_to(False),
        f"{archiver.failed} failed so far, the last one with {archiver.last_failed}",
    )
    evidence.judge(
        "waiting",
        archiver.waiting,
        at_most(physical_of(archived_backup).backlog_max),
        "it does not keep up, or cannot: they fill the server's disk",
    )


@check(
    "backup.wal-continuity",
    title="No WAL file is missing since the oldest backup that is kept",
    each="archived_backup",
    severity="blocker",
    why="""A restore replays one file after the other and ends at the first that is missing,
    without an error: the server starts, and everything from then on is gone. The tools' own checks
    have called such an archive sound.""",
    fix="""Make a full backup at once, so that what comes now can be recovered. Then look for the
    file, on the server and on every standby, and for whoever removed it:
      ls PG_WAL/FILE;  pgbackrest --stanza=NAME repo-ls archive/NAME --recurse | grep FILE
    Expire the backups whose WAL is not whole, once the new one was restored.""",
)
def test_wal_continuity(archived_backup: Backup, target: Config, evidence: Evidence) -> None:
    """By the names of the files in the repository, on every timeline."""
    found = continuity_of(archived_backup, target.databases[archived_backup.database])
    source = f"{archived_backup.path}, from {found.first} to {found.last or 'nothing'}"
    evidence.judge(
        "wal-files-there", Measurement("WAL files there", found.there, "count", source), at_least(1)
    )
    evidence.judge(
        "wal-files-missing",
        Measurement("WAL files missing", len(found.missing), "count", source),
        equal_to(0),
        f"{worst(found.missing)}: a restore ends there",
    )
