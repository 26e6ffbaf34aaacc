"""Can one go back to a very point in time?"""

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.backup.config import Backup
from readiness.areas.backup.probes.point import restore_to_point
from readiness.config.models import Config
from readiness.lib.guardian import Guardian


@check(
    "backup.point-in-time",
    title="A restore to a point in time has what was before it, and nothing from after it",
    each="drilled_restorable_backup",
    severity="blocker",
    effect="write",
    why="""The day after somebody dropped the wrong table, only the moment before it is any good.
    A restore that ends too early, or goes on too far, looks exactly like one that worked.""",
    fix="""Do by hand what the check did, into an empty folder on a machine of its own:
      pgbackrest --stanza=NAME --pg1-path=FOLDER --type=name --target=POINT \\
        --target-action=promote --archive-mode=off restore
    "recovery ended before configured recovery target was reached": WAL is missing, see
      backup.wal-continuity and backup.archive-end-to-end.
    The row from after the point is there: the target was ignored, see recovery_target_* in
      postgresql.auto.conf.""",
)
def test_point_in_time(
    drilled_restorable_backup: Backup, target: Config, guardian: Guardian, evidence: Evidence
) -> None:
    """A row before a named restore point, a row after it, in a schema of our own."""
    backup = drilled_restorable_backup
    found = restore_to_point(backup, target.databases[backup.database], guardian)
    source = f"restore of {backup.name} to the restore point {found.point}"
    if not evidence.judge(
        "restores-failed",
        Measurement("restores that failed", int(bool(found.problem)), "count", source),
        equal_to(0),
        found.problem,
    ):
        return
    evidence.judge(
        "row-before-point",
        Measurement("row from before the point", int(found.before), "count", source),
        equal_to(1),
        "it ended too early: what was committed before the point is gone",
    )
    evidence.judge(
        "row-after-point",
        Measurement("row from after the point", int(found.after), "count", source),
        equal_to(0),
        "it went on too far: what was to be undone is there again",
    )
    if found.time:
        evidence.judge(
            "time", found.time, at_most(backup.rto_s), "longer than agreed to be without service"
        )
