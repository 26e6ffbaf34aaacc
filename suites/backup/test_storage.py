"""Where backups are stored: in a second place, encrypted, locked, and verified by their tool."""

from datetime import timedelta

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.backup.config import Backup, Copy
from readiness.areas.backup.probes import storage
from readiness.areas.backup.probes.stored import backups
from readiness.areas.backup.tools import tool_of
from readiness.areas.backup.tools.tool import no_backup
from readiness.lib.files import BackupFile
from readiness.lib.guardian import Guardian
from readiness.lib.text import worst


@check(
    "backup.off-site",
    title="The newest backup is complete in a second place",
    failure_title="The newest backup is not in a second place, or not complete there",
    each="backup",
    needs="copies",
    severity="major",
    core=True,
    why="""Fire, theft, a closed cloud account or ransomware destroy the backups together with the
    database, unless a copy is elsewhere. The job that makes the copy stops as silently as the one
    that makes the backups.""",
    fix="""Copy it now, then see why the job did not:
      rsync -a --partial FOLDER/ OTHER:FOLDER/;  rclone check FOLDER REMOTE:FOLDER
    Another size: the copy was cut off or is still running; copy under another name and rename it.
    The same file system: name the place that is elsewhere as `folder` or `list_command`.""",
    judgements=("apart", "complete", "behind"),
)
def test_off_site(backup: Backup, evidence: Evidence) -> None:
    """By names and sizes: each copy is compared with the folder of the backups."""
    files = backups(backup)
    if not files:
        raise no_backup(backup)
    for copy in backup.copies.values():
        with evidence.attempt():
            _judge_copy(backup, copy, files, evidence)


def _judge_copy(backup: Backup, copy: Copy, files: list[BackupFile], evidence: Evidence) -> None:
    place = copy.folder or " ".join(copy.list_command or [])
    if copy.folder and copy.other_device:
        apart = storage.is_apart(backup, copy)
        evidence.judge(
            "apart",
            Measurement(f"{copy.name} is on another file system", apart, "text", place),
            equal_to(True),
            f"{place} and {backup.path}",
            says=f"The copy {copy.name} is on the file system of the backups",
        )
    copied = storage.complete(files, storage.sizes(backup, copy))
    if not evidence.judge(
        "complete",
        Measurement(f"complete backups in {copy.name}", len(copied), "count", place),
        at_least(1),
        place,
        says=f"None of {len(files)} backups is complete in the copy {copy.name}",
    ):
        return
    behind_h = (files[0].taken_at - copied[0].taken_at) / timedelta(hours=1)
    evidence.judge(
        "behind",
        Measurement(f"delay of the copy {copy.name}", behind_h, "h", place),
        at_most(copy.behind_max_h, copy.deciding("behind_max_h")),
        f"the newest complete backup there is {copied[0].path.name}",
    )


@check(
    "backup.immutable",
    title="The application's credentials cannot delete a backup",
    failure_title="The application's credentials can delete backups",
    each="backup",
    needs="immutable",
    severity="blocker",
    effect="write",
    why="""Whoever takes over the application has its credentials, and deletes the backups before
    asking for the ransom. Only a deletion that is refused shows that they cannot.""",
    fix="""Remove the right, and lock what is written for as long as it must be kept:
      aws s3api put-object-lock-configuration --bucket NAME --object-lock-configuration \\
        'ObjectLockEnabled=Enabled,Rule={DefaultRetention={Mode=COMPLIANCE,Days=30}}'
      chattr +a FOLDER;  or let a backup server with an account of its own fetch the backups
    Then run the `delete` command of [backup.NAME.immutable] by hand: it must be refused.""",
    judgements=("undeletable",),
)
def test_immutable(backup: Backup, guardian: Guardian, evidence: Evidence) -> None:
    """An object of our own is written and its deletion tried; what counts is what is there."""
    plan = backup.immutable
    assert plan, "the subject declares its commands"
    attempt = storage.try_to_delete(plan, guardian)
    evidence.judge(
        "undeletable",
        Measurement(
            "objects deleted as the application", int(not attempt.survived), "count", attempt.source
        ),
        equal_to(0),
        attempt.source,
        says="The application's credentials deleted an object from the store of the backups",
    )


@check(
    "backup.encrypted",
    title="Backups are stored encrypted",
    failure_title="Stored backups can be read by anybody who finds them",
    each="backup",
    needs="encrypted",
    severity="major",
    why="""A backup is the whole database in one file, without the database's access control. A tool
    that is configured to encrypt does not encrypt what it wrote before, and a job that was copied
    without the option writes in the clear.""",
    fix="""See what the bytes are, then turn encryption on, and remove what is stored in the clear:
      head -c 16 FILE | xxd
      repo1-cipher-type=aes-256-cbc in pgbackrest.conf, on a new repository: it cannot be changed
      pg_dump -Fc ... | age -r KEY > FILE.age
    Keep the key apart from the backups, and test a restore with it.""",
    judgements=("encrypted",),
)
def test_encrypted(backup: Backup, evidence: Evidence) -> None:
    """By the first bytes of the files as they are stored."""
    pieces = storage.pieces_of(backup)
    clear = storage.unencrypted(pieces)
    evidence.judge(
        "encrypted",
        Measurement(
            "files that are not encrypted", len(clear), "count", backup.path, samples=len(pieces)
        ),
        equal_to(0),
        worst(clear),
    )


@check(
    "backup.tool-verified",
    title="The backup tool verifies its repository",
    failure_title="The backup tool reports damage in its repository",
    each="backup",
    needs="physical",
    severity="blocker",
    why="""A flipped bit on a disk or a copy that was cut off is noticed on the day of the restore,
    unless the repository is read before. Several tools end with status 0 whatever they find, so
    what they print is read here.""",
    fix="""Read all of what the tool prints, find out what damaged the file, then make a new backup:
      pgbackrest --stanza=STANZA --output=text --verbose verify   (ends with status 0 in any case)
      barman check SERVER;  barman verify-backup SERVER latest
      wal-g wal-verify integrity timeline;  pg_verifybackup FOLDER
      smartctl -H /dev/DISK
    Keep the backups from before the damage until the new one was restored once.""",
    judgements=("verified",),
)
def test_tool_verified(backup: Backup, evidence: Evidence) -> None:
    """By what the tool prints; its exit status is shown and does not decide."""
    verified = tool_of(backup).verify()
    evidence.record(Measurement("exit status", verified.status, "status", verified.source))
    problems = verified.problems or (() if verified.good else ("it does not report success",))
    evidence.judge(
        "verified",
        Measurement("problems that the tool reports", len(problems), "count", verified.source),
        equal_to(0),
        worst(problems),
    )
