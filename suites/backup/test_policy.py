"""Is what lies there kept as was agreed: long enough, elsewhere, unreadable, undeletable?"""

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.backup.config import Backup
from readiness.areas.backup.config_policy import Copy
from readiness.areas.backup.probes import copies, immutable, layers
from readiness.areas.backup.probes.files import backups
from readiness.areas.backup.probes.filtered import sight_of
from readiness.areas.backup.probes.secrecy import pieces_of, readable
from readiness.areas.backup.probes.taken import taken
from readiness.config.models import Config
from readiness.lib.files import BackupFile
from readiness.lib.guardian import Guardian
from readiness.lib.text import listed, worst
from readiness.model.errors import NoData
from readiness.model.measurement import now


@check(
    "backup.encrypted",
    title="Nobody who finds the backups can read them",
    each="encrypted_backup",
    severity="major",
    why="""A backup is the whole database on one disk, without the database's own locks. That a
    tool is told to encrypt says nothing of the files from before, nor of the job that was copied
    without the option: only the bytes do.""",
    fix="""See what the bytes are, then turn encryption on, and remove what lies there in the clear:
      head -c 16 FILE | xxd
      repo1-cipher-type=aes-256-cbc in pgbackrest.conf, on a new repository: it cannot be changed
      pg_dump -Fc ... | age -r KEY > FILE.age
    Keep the key somewhere else than the backups, and try a restore with it.""",
)
def test_encrypted(encrypted_backup: Backup, evidence: Evidence) -> None:
    """By the first bytes of the files, as they lie there."""
    pieces = pieces_of(encrypted_backup)
    clear = readable(pieces)
    evidence.judge(
        "files-anybody-can-read",
        Measurement(
            "files that anybody can read",
            len(clear),
            "count",
            encrypted_backup.path,
            samples=len(pieces),
        ),
        equal_to(0),
        worst(map(str, clear)),
    )


@check(
    "backup.off-site",
    title="The newest backup lies in a second place, whole",
    each="copied_backup",
    severity="major",
    why="""Fire, theft, a cloud account that is closed, and whoever encrypts for ransom take the
    backups together with the database, unless one lies elsewhere. The job that copies them stops
    as silently as the one that makes them.""",
    fix="""Copy it now, then look why the job did not:
      rsync -a --partial FOLDER/ OTHER:FOLDER/;  rclone check FOLDER REMOTE:FOLDER
    Another size: the copy was cut off, or is still running; copy under another name and rename.
    On the same file system: name the place that is really elsewhere.""",
)
def test_off_site(copied_backup: Backup, evidence: Evidence) -> None:
    """Names and sizes of each copy, against the folder of the backups."""
    files = backups(copied_backup)
    if not files:
        raise NoData("there is no backup", where=copied_backup.path)
    for copy in copied_backup.copies.values():
        _judge_copy(copied_backup, copy, files, evidence)


def _judge_copy(backup: Backup, copy: Copy, files: list[BackupFile], evidence: Evidence) -> None:
    place = copy.folder or " ".join(copy.list_command or [])
    if copy.folder and copy.other_device:
        apart = copies.is_apart(backup, copy)
        name = f"file systems between the backups and {copy.name}"
        evidence.judge(
            "name",
            Measurement(name, 2 if apart else 1, "count", place),
            at_least(2),
            "what destroys the one destroys the other",
        )
    there = copies.sizes(backup, copy)
    copied = copies.newest_copied(files, there)
    name = f"whole backups in {copy.name}"
    if not evidence.judge(
        "name",
        Measurement(name, sum(there.get(f.path.name) == f.size for f in files), "count", place),
        at_least(1),
        f"not one of {len(files)} backups is there with its whole size",
    ):
        return
    assert copied, "one was counted"
    evidence.judge(
        "behind",
        Measurement(f"{copy.name} is behind by", copies.hours_behind(files, copied), "h", place),
        at_most(copy.behind_max_h),
        f"the newest that is there whole is {copied.path.name}",
    )


@check(
    "backup.immutable",
    title="The application's credentials cannot delete a backup",
    each="immutable_backup",
    severity="blocker",
    effect="write",
    why="""Whoever takes over the application has its credentials, and deletes the backups before
    asking for the ransom. What a policy says is one thing; that a deletion is refused, another.""",
    fix="""Take the right away, and lock what is written for as long as it must be kept:
      aws s3api put-object-lock-configuration --bucket NAME --object-lock-configuration ...
      chattr +a FOLDER;  another account for the backup server, which fetches rather than is sent
    Then try again as the application does: the `delete` of [backup.NAME.immutable] has to fail.""",
)
def test_immutable(immutable_backup: Backup, guardian: Guardian, evidence: Evidence) -> None:
    """An object of our own is written, and its deletion tried; what counts is what is there."""
    plan = immutable_backup.immutable
    assert plan, "the subject declares its commands"
    attempt = immutable.try_to_delete(plan, guardian)
    evidence.judge(
        "objects-deleted-application",
        Measurement(
            "objects deleted as the application", int(not attempt.survived), "count", attempt.source
        ),
        equal_to(0),
        "whoever has its credentials can delete every backup",
    )


@check(
    "backup.retention",
    title="One can go back as far as was agreed",
    each="kept_backup",
    severity="major",
    why="""A mistake is often found weeks after it was made. Backups that were removed to make
    room are missed on the day somebody needs the state of before.""",
    fix="""See what is there, and what removes it:
      ls -l --time-style=full-iso FOLDER | head -3;  pgbackrest --stanza=NAME info
      repo1-retention-full, repo1-retention-full-type=time;  barman: RECOVERY WINDOW OF 30 DAYS
    A system that is younger than its retention: waive this until the day it is not.""",
)
def test_retention(kept_backup: Backup, evidence: Evidence) -> None:
    """By the oldest backup that did not fail and has a size."""
    found = [one for one in taken(kept_backup) if one.size >= kept_backup.min_bytes]
    if not found:
        raise NoData("there is no backup", where=kept_backup.path)
    oldest = min(found, key=lambda one: one.taken_at)
    days = (now() - oldest.taken_at).total_seconds() / 86_400
    evidence.judge(
        "age-oldest-backup",
        Measurement(
            "age of the oldest backup",
            days,
            "d",
            f"{oldest.where}, {oldest.dated_by}",
            samples=len(found),
        ),
        at_least(kept_backup.retention_days or 0),
        "what was before that is gone",
    )


@check(
    "backup.not-filtered",
    title="The role that makes the dumps sees every row, whatever the policies say",
    each="owned_backup",
    severity="major",
    why="""With row security, a dump by an ordinary role fails; with --enable-row-security it
    succeeds, and holds the rows that the role may see: ten of a hundred, and status 0.""",
    fix="""Let the role see everything, and take --enable-row-security out of the job:
      alter role BACKUP_ROLE bypassrls;
      grep -rn 'enable-row-security\\|row_security' /etc/cron* /etc/systemd/system
    Then make a backup at once.""",
)
def test_not_filtered(owned_backup: Backup, target: Config, evidence: Evidence) -> None:
    """Asked of the database: is the role a superuser, or may it pass by policies?"""
    role = owned_backup.role or ""
    sight = sight_of(role, target.databases[owned_backup.database])
    tables = len(sight.tables)
    evidence.record(Measurement("tables whose rows would be hidden", tables, "count", sight.source))
    hidden = listed(sight.tables) or "no table yet, and the first policy will"
    evidence.judge(
        "passes-policies",
        Measurement(f"{role} passes by policies", sight.bypasses, "text", sight.source),
        equal_to(True),
        f"row security hides rows from it: {hidden}",
    )
    for file, dump in layers.plain_dumps(owned_backup):
        evidence.judge(
            "sets-row-security",
            Measurement(
                f"{file.path.name} sets row_security = on", dump.filtered, "text", str(file.path)
            ),
            equal_to(False),
            "it was made with --enable-row-security, and holds what the policies let through",
        )
