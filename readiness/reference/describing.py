"""Tells of a running reference system: its readiness.toml, and the variables that it refers to."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from readiness.areas.alerting.reference import canary
from readiness.areas.backup.reference import vault
from readiness.areas.backup.reference.backups import programs_for
from readiness.areas.database.reference.target import Around
from readiness.areas.monitoring.reference import error_tracker
from readiness.areas.monitoring.reference import target as target_monitoring
from readiness.areas.schema.reference import target as target_schema
from readiness.config.loading import load
from readiness.reference import pause, target
from readiness.reference.drill import ADMIN_DSN
from readiness.reference.parts import coverage, not_applicable
from readiness.reference.running import Running
from readiness.run import catalogue
from readiness.servers import shop as shops
from readiness.servers.binaries import OVERRIDE


def environ(running: Running, folder: Path) -> dict[str, str]:
    """The variables, secrets among them."""
    shop, stack = running.shop, running.monitoring
    found = {
        **running.secrets,
        "REFERENCE_MONITOR_DSN": shop.monitor,
        "REFERENCE_APP_DSN": shop.app,
        "REFERENCE_OWNER_DSN": shop.owner,
        "REFERENCE_BACKUP_DSN": shop.backup,
        "REFERENCE_DRILL_DSN": shop.drill,
        vault.FOLDER: str(folder / "vault"),
        ADMIN_DSN: shop.admin,
        canary.FOLDER: str(folder),
        pause.FOLDER: str(folder),
        # What its server wrote is read by programs of the same release.
        OVERRIDE: str(programs_for(running.server).folder),
        **stack.secrets,
    }
    if running.standby:
        # The same role and password as on the primary, whose copy it is.
        user = urlsplit(shop.monitor)
        found["REFERENCE_STANDBY_DSN"] = running.standby.dsn(
            shops.NAME, user.username, user.password
        )
    if running.pooler:
        found["REFERENCE_POOLER_DSN"] = running.pooler.console
    if running.metrics:
        found["REFERENCE_METRICS_DSN"] = running.metrics.monitor
    if tracker := stack.url("error_tracker"):
        key = stack.secrets[error_tracker.KEY]
        found["REFERENCE_TRACKER_DSN"] = target_monitoring.dsn(tracker, key)
    return found


def write(running: Running, path: Path, variables: Mapping[str, str]) -> None:
    """Write its readiness.toml; what cannot be judged without an absent part does not apply.

    Args:
        running: the system.
        path: the file.
        variables: that it refers to.
    """
    told = facts(running)
    path.write_text(target.readiness_toml(told), encoding="utf-8")
    config = load(path, os.environ | variables).config
    specs = [entry.spec for entry in catalogue.entries()]
    lacking = not_applicable(config, running.absent, specs)
    path.write_text(target.readiness_toml(replace(told, lacking=lacking)), encoding="utf-8")


def facts(running: Running) -> target.Facts:
    """What its readiness.toml tells."""
    stack = running.monitoring
    return target.Facts(
        service=running.service.url,
        release=running.release,
        watch=target_monitoring.Watch(
            prometheus=stack.url("prometheus"),
            running=stack.running,
            service=running.service.url,
            site=stack.site_url,
            grafana=stack.url("grafana"),
            dashboard=stack.dashboard,
            tracker=stack.url("error_tracker"),
        ),
        around=Around(
            standby=running.standby is not None,
            pooler=running.pooler is not None,
        ),
        schema=target_schema.Facts(
            running.manifest, running.migrations, has_squawk="squawk" not in running.absent
        ),
        cluster=running.cluster,
        history=running.history,
        metrics_history=running.metrics_history,
        fleet=running.fleet,
        released=running.released,
        alertmanagers=stack.peers,
        inbox=stack.url("inbox"),
        pager=stack.url("pager"),
        listener=stack.listener,
        backups=running.backups,
        coverage=f"Reference system: {coverage(running.absent)}",
    )
