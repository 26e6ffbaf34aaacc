"""What proves the checks of deployments: rollouts, rollbacks and files that go wrong."""

import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from readiness.model.fault import Fault, broken_by, fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_FLEET: Final = "fleet"
_BACKUP: Final = "backup"
_COMPOSE: Final = "deploy/docker-compose.yml"
_REPORT: Final = "deploy-report.json"
_HOST: Final = "deployment.host-ready[deployment]"
_FILES: Final = "deployment.configuration-valid[deployment]"
_SAVED: Final = "deployment.backup-before-deploy"
_ORDER: Final = "deployment.start-order[deployment]"
_VERSION: Final = "deployment.version-uniform[deployment]"
_ARTIFACT: Final = "deployment.rollback-artifact[deployment]"
_OLD: Final = "deployment.previous-on-new-schema[deployment]"
_DEPLOY: Final = "deployment.zero-downtime[deployment]"
_ROLLBACK: Final = "deployment.rollback[deployment]"
_DATA: Final = "deployment.rollback-data-intact[deployment]"
_AUTO: Final = "deployment.auto-rollback[deployment]"
_STOP: Final = "deployment.graceful-stop[deployment]"

_NOTHING: Final = frozenset[str]()
_NO_DRILL: Final = dict.fromkeys((_DEPLOY, _ROLLBACK, _DATA, _AUTO, _STOP), _NOTHING)
"""What cannot be judged where the service is not steady before a drill."""

_RENAME: Final = """\
set lock_timeout = '1s';
set statement_timeout = '30s';
-- squawk-ignore renaming-column
alter table shop.orders rename column {} to {};
"""


Misses = Mapping[str, Collection[str]]


def _fleet(name: str, story: str, misses: Misses, **switches: object) -> Fault:
    """A fault of the fleet: see `readiness.servers.fleet.behaviour.Behaviour`."""
    return broken_by(name, story, misses, lambda levers: levers.fleet(**switches), needs=_FLEET)


def _configured(
    name: str, story: str, misses: Misses, texts: tuple[str, str], needs: str = ""
) -> Fault:
    """A fault that replaces a text in the system's readiness.toml by another."""
    return broken_by(
        name, story, misses, lambda levers: levers.replace_in_config(*texts), needs=needs
    )


def _edited(name: str, story: str, misses: Misses, file: str, texts: tuple[str, str]) -> Fault:
    """A fault that replaces a text by another in one of the files around the release."""
    return broken_by(name, story, misses, lambda levers: levers.edit_release_file(file, *texts))


disk_too_small = _configured(
    "disk_too_small",
    "The deployment needs more disk space than is free.",
    {_HOST: {"disk-space"}},
    ("min_disk_bytes = 1_073_741_824", "min_disk_bytes = 1_152_921_504_606_846_976"),
)
disk_not_mounted = _configured(
    "disk_not_mounted",
    "A folder that the deployment writes to does not exist, so that its free space is unknown.",
    {_HOST: ()},
    ('disk_paths = ["', 'disk_paths = ["/no/such/place'),
)
memory_limited = broken_by(
    "memory_limited",
    "The machine has 16 GiB of memory, and the cgroup of the container allows 512 MiB of it.",
    {_HOST: {"memory"}},
    lambda levers: levers.in_cgroup(limit=512 * 1024 * 1024),
)
memory_in_use = _configured(
    "memory_in_use",
    "Other processes use so much memory that too little is available.",
    {_HOST: {"available-memory"}},
    ("min_available_bytes = 134_217_728", "min_available_bytes = 1_152_921_504_606_846_976"),
)
runtime_down = broken_by(
    "runtime_down",
    "The container runtime's daemon is down, and its client says so.",
    {_HOST: {"runtime"}},
    lambda levers: levers.runtime("import sys; sys.exit('Cannot connect to the daemon')"),
)
runtime_silent = broken_by(
    "runtime_silent",
    "The daemon is down, and the client prints nothing and exits with 0.",
    {_HOST: ()},
    lambda levers: levers.runtime("pass"),
)
runtime_too_old = _configured(
    "runtime_too_old",
    "The release needs a newer container runtime than the one that runs.",
    {_HOST: {"runtime-version"}},
    ('min_runtime = "3.11"', 'min_runtime = "99.0"'),
)

duplicate_key = _edited(
    "duplicate_key",
    "A YAML file has a duplicate key: the parser takes the last one, and says nothing.",
    {_FILES: {"syntax"}},
    "deploy/logging.yaml",
    ("version: 1\n", "version: 1\nroot: { level: DEBUG }\n"),
)
tab_in_yaml = _edited(
    "tab_in_yaml",
    "A line of a YAML file is indented with a tab.",
    {_FILES: {"syntax"}},
    "deploy/logging.yaml",
    ("  console:", "\tconsole:"),
)
program_refuses_file = _edited(
    "program_refuses_file",
    "The program that reads a file refuses it.",
    {_FILES: {"syntax", "own-programs"}},
    "deploy/releases.json",
    ("{", "{,"),
)

backup_days_old = broken_by(
    "backup_days_old",
    "The database was backed up two days ago, and not just before the deployment.",
    {f"{_SAVED}[database]": {"age"}},
    lambda levers: levers.age_release_file("saved/database.dump", timedelta(days=2)),
    needs=_BACKUP,
)
backup_from_tomorrow = broken_by(
    "backup_from_tomorrow",
    "The copy of the configuration is from tomorrow: a clock is wrong, and no age is true.",
    {f"{_SAVED}[configuration]": ()},
    lambda levers: levers.age_release_file("saved/configuration.tar.gz", timedelta(days=-1)),
)
saved_backup_empty = broken_by(
    "saved_backup_empty",
    "The disk was full, and the copy of the uploads is empty.",
    {f"{_SAVED}[uploads]": {"size", "checksum"}},
    lambda levers: levers.change_release_file(
        "saved/uploads.tar.gz", lambda path: path.write_bytes(b"")
    ),
    needs=_BACKUP,
)
backup_missing = broken_by(
    "backup_missing",
    "The configuration was not backed up, and the other layers were.",
    {f"{_SAVED}[configuration]": {"exists"}},
    lambda levers: levers.change_release_file("saved/configuration.tar.gz", Path.unlink),
)
backup_cut_off = broken_by(
    "backup_cut_off",
    "The end of the database's copy is missing.",
    {f"{_SAVED}[database]": {"checksum"}},
    lambda levers: levers.change_release_file(
        "saved/database.dump", lambda path: path.write_bytes(path.read_bytes()[:-100])
    ),
    needs=_BACKUP,
)
order_without_condition = _edited(
    "order_without_condition",
    "The proxy waits until the shop was started, and not until it answers.",
    {_ORDER: {"condition"}},
    _COMPOSE,
    ("\n      shop: { condition: service_healthy }\n", " [shop]\n"),
)
health_check_always_passes = _edited(
    "health_check_always_passes",
    "The health check of the database always passes.",
    {_ORDER: {"health-check"}},
    _COMPOSE,
    ("pg_isready -U shop", "exit 0"),
)
database_given_up_early = _edited(
    "database_given_up_early",
    "Services that wait for the database give it up before it has recovered from a crash.",
    {_ORDER: {"patience"}},
    _COMPOSE,
    ("retries: 30", "retries: 29"),
)
order_names_unknown_service = _edited(
    "order_names_unknown_service",
    "The proxy depends on a service that was renamed.",
    {_ORDER: {"known-service"}},
    _COMPOSE,
    ("shop: { condition: service_healthy }", "web: { condition: service_healthy }"),
)


_DATABASE: Final = "image: postgres:18\n"
_PROXY: Final = "image: haproxy:3.0\n"
# With a health check for the proxy, so that only the cycle is wrong.
order_in_a_cycle = broken_by(
    "order_in_a_cycle",
    "The database waits for the proxy, which waits for it through two others.",
    {_ORDER: {"no-cycle"}},
    lambda levers: (
        levers.edit_release_file(
            _COMPOSE,
            _DATABASE,
            f"{_DATABASE}    depends_on: {{ proxy: {{ condition: service_healthy }} }}\n",
        ),
        levers.edit_release_file(
            _COMPOSE, _PROXY, f'{_PROXY}    healthcheck: {{ test: ["CMD", "haproxy-is-well"] }}\n'
        ),
    ),
)


worker_stays_old = broken_by(
    "worker_stays_old",
    "A worker that nobody restarted runs the previous release; all replicas run the new one.",
    {_VERSION: {"workers"}, "platforms.release[all]": {"version"}},
    lambda levers: levers.behave(version="1.4.0"),
)


@fault(
    misses={_VERSION: {"other-release", "report-release"}, **_NO_DRILL},
    story="A rollout left one replica as it was, and said that it was done.",
    needs=_FLEET,
)
@contextmanager
def replica_stays_old(system: "ReferenceSystem") -> Iterator[None]:
    """No drill begins on a mixture of releases."""
    with system.levers.fleet(one_stays_old=True) as fleet:
        subprocess.run(fleet.tool("deploy", "1.4.0"), check=False, timeout=60, capture_output=True)
        yield


answers_without_release = _configured(
    "answers_without_release",
    "The release's answers name the release under another key.",
    {_VERSION: {"release-told", "report-release"}, **_NO_DRILL},
    ('version_key = "version"', 'version_key = "release"'),
    needs=_FLEET,
)
replica_missing = _configured(
    "replica_missing",
    "Four replicas were agreed, and three serve.",
    {_VERSION: {"replicas"}, **_NO_DRILL},
    ('replica_header = "x-replica"\nreplicas = 3', 'replica_header = "x-replica"\nreplicas = 4'),
    needs=_FLEET,
)
report_without_backup = _edited(
    "report_without_backup",
    "The deployment report does not name the backup that belongs to the deployment.",
    {_VERSION: {"report-complete"}},
    _REPORT,
    ('"backup": "saved/database.dump",', ""),
)
report_of_another_release = _edited(
    "report_of_another_release",
    "The deployment report is complete, and names a release that does not serve.",
    {_VERSION: {"report-release"}},
    _REPORT,
    ('"release": "1.5.0"', '"release": "1.5.1"'),
)
old_release_removed = broken_by(
    "old_release_removed",
    "A cleanup job has removed the previous release; the one that runs is there.",
    {_ARTIFACT: {"available"}},
    lambda levers: levers.change_release_file("store/shop-1.4.0.tar.gz", Path.unlink),
)
registry_finds_everything = _configured(
    "registry_finds_everything",
    "The command that looks for a release finds any name, so that its answer means nothing.",
    {_ARTIFACT: ()},
    (
        '"-m", "readiness.areas.deployment.reference.commands", "artifact"',
        '"-c", "import os, sys; print(os.path.basename(sys.argv[1]))"',
    ),
)


# Not applied yet, and with a down migration: the checks of the schema find nothing else.
column_renamed = broken_by(
    "column_renamed",
    "The release brings a migration that renames a column which the previous one reads.",
    {_OLD: {"paths"}, "schema.migrations-drift[shop]": {"pending"}},
    lambda levers: (
        levers.add_migration("0006_cents.up.sql", _RENAME.format("total_cents", "cents")),
        levers.add_migration("0006_cents.down.sql", _RENAME.format("cents", "total_cents")),
    ),
)
previous_refuses_to_start = _configured(
    "previous_refuses_to_start",
    "The previous release refuses to start on a migration that it does not know.",
    {_OLD: {"ready"}},
    (
        '"-m", "readiness.areas.deployment.reference.commands", "previous"',
        '"-c", "import sys; sys.exit(\'unknown migration 0005\')"',
    ),
)

balancer_learns_late = _fleet(
    "balancer_learns_late",
    "An old replica is gone before the balancer knows: half a second of lost requests.",
    {key: {"failed-requests", "longest-gap"} for key in (_DEPLOY, _ROLLBACK)},
    rollout="late",
)
replicas_start_without_release = _fleet(
    "replicas_start_without_release",
    "The first answers of each new replica name no release.",
    {key: {"wrong-release"} for key in (_DEPLOY, _ROLLBACK)},
    release_untold_at_first=True,
)
replicas_start_cold = _fleet(
    "replicas_start_cold",
    "The first answers of each new replica are slow; no request is lost.",
    {_DEPLOY: {"latency"}},
    cold_ms=1400,
)
rollout_on_two_of_three = _fleet(
    "rollout_on_two_of_three",
    "A rollout stops an old replica before the new one serves; few users lose nothing by it.",
    {_DEPLOY: {"capacity"}},
    unavailable=1,
)
rollback_changes_nothing = _fleet(
    "rollback_changes_nothing",
    "The rollback exits with 0, and changes nothing.",
    {_ROLLBACK: {"arrival", "configuration"}, _DATA: ()},
    rollback_changes_nothing=True,
)
rollback_fails = _fleet(
    "rollback_fails",
    "The rollback exits with 1, and changes nothing.",
    {_ROLLBACK: {"exit-status", "arrival", "configuration"}, _DATA: ()},
    rollback_fails=True,
)
rollback_leaves_replica_out = _fleet(
    "rollback_leaves_replica_out",
    "After the rollback three replicas run, and the balancer sends requests to two of them.",
    {_ROLLBACK: {"replicas"}},
    rollback_leaves_one_out=True,
)
rollback_is_slow = _fleet(
    "rollback_is_slow",
    "The rollback takes longer than was agreed.",
    {_ROLLBACK: {"time"}},
    rollback_wait_s=16,
)
rollback_keeps_configuration = _fleet(
    "rollback_keeps_configuration",
    "After the rollback the old release runs with the new one's configuration.",
    {_ROLLBACK: {"configuration"}},
    rollback_keeps_configuration=True,
)
rollback_drops_data = _fleet(
    "rollback_drops_data",
    "The rollback removes what the new release wrote, as a down migration that drops a column.",
    {_DATA: {"readable"}},
    rollback_drops_data=True,
)
old_release_cannot_read = _fleet(
    "old_release_cannot_read",
    "The old release cannot read what the new one wrote.",
    {_DATA: {"readable"}},
    new_column_only=True,
)
rollback_leaves_a_lock = _fleet(
    "rollback_leaves_a_lock",
    "A release that was rolled back cannot be deployed again, as a pending release of Helm.",
    {_ROLLBACK: {"redeployment"}},
    redeploy_fails=True,
)
redeployment_keeps_configuration = _fleet(
    "redeployment_keeps_configuration",
    "A release that is deployed again runs with the old one's configuration.",
    {_ROLLBACK: {"redeployed-configuration"}},
    redeploy_keeps_configuration=True,
)
bad_release_stays = _fleet(
    "bad_release_stays",
    "A release that answers with errors gets requests, and is not rolled back.",
    {_AUTO: {"rolled-back", "failed-requests", "bad-release-served"}},
    no_automatic_rollback=True,
)
replicas_are_killed = _fleet(
    "replicas_are_killed",
    "A replica is killed with its requests under way.",
    {_STOP: {"lost-requests"}},
    abrupt_stop=True,
)


# Waiting 90 s for the replacement would take too long here.
stopped_replica_not_replaced = broken_by(
    "stopped_replica_not_replaced",
    "No other replica is started for one that was stopped.",
    {_STOP: {"replacement"}},
    lambda levers: (
        levers.replace_in_config("change_within_s = 90", "change_within_s = 20"),
        levers.fleet(stop_leaves_fewer=True, scaler="none"),
    ),
    needs=_FLEET,
)
