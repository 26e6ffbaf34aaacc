"""What proves the checks of a release that is out, and of the one before it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem

# What cannot be judged where nobody knows from which release it starts.
_DRILLS = (
    "auto-rollback",
    "capacity-during-rollout",
    "graceful-stop",
    "redeploy-after-rollback",
    "rollback-config-restored",
    "rollback-data-intact",
    "rollback-drill",
    "rollback-time",
    "rollout-latency",
    "zero-downtime",
)
_REPORT = "deploy-report.json"
_RENAME = """\
set lock_timeout = '1s';
set statement_timeout = '30s';
-- squawk-ignore renaming-column
alter table shop.orders rename column {} to {};
"""


@fault(
    turns_red={"deployment.version-uniform[deployment]"},
    story="A worker that nobody restarted runs the release before.",
)
@contextmanager
def worker_stays_old(system: ReferenceSystem) -> Iterator[None]:
    """All replicas run the new one."""
    with system.levers.behave(version="1.4.0"):
        yield


@fault(
    turns_red={
        "deployment.version-uniform[deployment]",
        "deployment.deployment-report[deployment]",
        *(f"deployment.{drill}[deployment]" for drill in _DRILLS),
    },
    story="A rollout left one replica as it was, and said that it was done.",
    needs="fleet",
)
@contextmanager
def replica_stays_old(system: ReferenceSystem) -> Iterator[None]:
    """Two of three serve the new one; no drill begins on a mixture."""
    with system.levers.fleet(one_stays_old=True) as fleet:
        subprocess.run(fleet.tool("deploy", "1.4.0"), check=False, timeout=60, capture_output=True)
        yield


@fault(
    turns_red={"deployment.rollback-artifact[deployment]"},
    story="The job that makes room has removed the release that one goes back to.",
)
@contextmanager
def old_release_removed(system: ReferenceSystem) -> Iterator[None]:
    """The one that runs is there."""
    with system.levers.release_file("store/shop-1.4.0.tar.gz") as path:
        path.unlink()
        yield


@fault(
    turns_red={"deployment.rollback-artifact[deployment]"},
    story="Whoever is asked for a release says yes to any name.",
)
@contextmanager
def registry_says_yes(system: ReferenceSystem) -> Iterator[None]:
    """That is no answer."""
    with system.levers.replace_in_config(
        '"-m", "readiness.areas.deployment.reference.asked", "shelf"',
        '"-c", "import os, sys; print(os.path.basename(sys.argv[1]))"',
    ):
        yield


@fault(
    turns_red={"deployment.deployment-report[deployment]"},
    story="The report does not say which backup belongs to the deployment.",
)
@contextmanager
def report_without_backup(system: ReferenceSystem) -> Iterator[None]:
    """All else is in it."""
    with system.levers.edit_release_file(_REPORT, '"backup": "saved/database.dump",', ""):
        yield


@fault(
    turns_red={"deployment.deployment-report[deployment]"},
    story="The report tells of a release that does not serve.",
)
@contextmanager
def report_is_wrong(system: ReferenceSystem) -> Iterator[None]:
    """It is whole."""
    with system.levers.edit_release_file(_REPORT, '"release": "1.5.0"', '"release": "1.5.1"'):
        yield


@fault(
    turns_red={
        "deployment.previous-on-new-schema[deployment]",
        "schema.migrations-drift[shop]",
    },
    story="The release brings a migration that renames a column which the one before still reads.",
)
@contextmanager
def column_renamed(system: ReferenceSystem) -> Iterator[None]:
    """It is not applied yet, and it has its way back; the schema's checks find nothing else."""
    with (
        system.levers.add_migration("0006_cents.up.sql", _RENAME.format("total_cents", "cents")),
        system.levers.add_migration("0006_cents.down.sql", _RENAME.format("cents", "total_cents")),
    ):
        yield
