"""What the reference system consists of, once everything has started."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from readiness.areas.alerting.reference import canary
from readiness.areas.backup.reference import vault
from readiness.areas.backup.reference.backups import Backups, programs_for
from readiness.areas.configuration.reference.target import Configured
from readiness.areas.database.reference.parts import DatabaseParts
from readiness.areas.database.reference.target import Around
from readiness.areas.database.reference.timescale import Metrics
from readiness.areas.deployment.reference.target import ReleaseFiles
from readiness.areas.manifests.reference import LINTER
from readiness.areas.monitoring.reference import error_tracker
from readiness.areas.monitoring.reference import target as target_monitoring
from readiness.areas.performance.reference import DECLARED_BY_FAULTS
from readiness.areas.schema import reference as target_schema
from readiness.areas.security.reference.cache import Catalog
from readiness.areas.security.reference.edge import Edge
from readiness.areas.security.reference.target import Audited
from readiness.areas.signoff.reference import Signed
from readiness.config.loading import load
from readiness.reference import drill, target
from readiness.reference.parts import coverage, not_applicable
from readiness.reference.stack import Monitoring
from readiness.run import catalogue
from readiness.servers import shop as shops
from readiness.servers.binaries import OVERRIDE
from readiness.servers.fleet.starting import Fleet
from readiness.servers.processes import Daemon


@dataclass(frozen=True, slots=True)
class Running(DatabaseParts):
    """What runs once everything has started; None for a part that it does not have.

    Attributes:
        release: the release of the service.
        provider: where its PostgreSQL comes from: `docker`, `local` or `wheel`.
        behaviour: the file with the faults of the service.
        monitoring: Prometheus and the programs around it.
        metrics: the TimescaleDB server.
        released: the files around the release.
        configuration: the folder of the files that configure the applications.
        edge: nginx in front of the service.
        catalog: a service with Redis.
        audited: the report about its dependencies.
        migrations: the folder of the migrations, as in the shop's repository.
        manifest: the file with the expected schema.
        cluster: the folder of the Kubernetes manifests.
        metrics_history: the file with the snapshots of the TimescaleDB server.
        signed: what people have signed.
        secrets: secrets of the service, by variable.
        absent: the parts that this machine cannot have, each with the reason.
    """

    release: str
    provider: str
    service: Daemon
    behaviour: Path
    monitoring: Monitoring
    metrics: Metrics | None
    fleet: Fleet | None
    backups: Backups | None
    released: ReleaseFiles
    configuration: Path
    edge: Edge | None
    catalog: Catalog | None
    audited: Audited
    migrations: Path
    manifest: Path
    cluster: Path
    metrics_history: Path | None
    signed: Signed
    secrets: dict[str, str]
    absent: dict[str, str]

    def stop(self) -> None:
        """Stop everything."""
        self.signed.stop()
        for daemon in (self.service, *self.monitoring.running.values()):
            daemon.stop()
        if self.edge:
            self.edge.daemon.stop()
        if self.catalog:
            self.catalog.daemon.stop()
        if self.fleet:
            self.fleet.daemon.stop()
        if self.pooler:
            self.pooler.stop()
        if self.standby:
            self.standby.stop("immediate")
        self.server.stop("immediate")
        if self.metrics:
            self.metrics.server.stop("immediate")

    def environ(self, folder: Path) -> dict[str, str]:
        """The variables that its readiness.toml refers to, including secrets."""
        shop, stack = self.shop, self.monitoring
        found = {
            **self.secrets,
            "REFERENCE_MONITOR_DSN": shop.monitor,
            "REFERENCE_APP_DSN": shop.app,
            "REFERENCE_OWNER_DSN": shop.owner,
            "REFERENCE_BACKUP_DSN": shop.backup,
            "REFERENCE_DRILL_DSN": shop.drill,
            vault.FOLDER: str(folder / "vault"),
            drill.ADMIN_DSN: shop.admin,
            canary.FOLDER: str(folder),
            drill.FOLDER: str(folder),
            # What its server wrote is read by programs of the same release.
            OVERRIDE: str(programs_for(self.server).folder),
            **stack.secrets,
        }
        if self.standby:
            # The same role and password as on the primary, whose copy it is.
            user = urlsplit(shop.monitor)
            found["REFERENCE_STANDBY_DSN"] = self.standby.dsn(
                shops.NAME, user.username, user.password
            )
        if self.pooler:
            found["REFERENCE_POOLER_DSN"] = self.pooler.console
        if self.metrics:
            found["REFERENCE_METRICS_DSN"] = self.metrics.monitor
        if tracker := stack.url("error_tracker"):
            key = stack.secrets[error_tracker.KEY]
            found["REFERENCE_TRACKER_DSN"] = target_monitoring.dsn(tracker, key)
        return found

    def write_config(self, variables: Mapping[str, str]) -> None:
        """Write its readiness.toml; checks that need an absent part are marked not applicable.

        Args:
            variables: those that the file refers to.
        """
        facts = self._facts()
        self.config.write_text(target.readiness_toml(facts), encoding="utf-8")
        config = load(self.config, os.environ | variables).config
        specs = [entry.spec for entry in catalogue.entries()]
        absent = not_applicable(config, self.absent, specs)
        facts = replace(facts, lacking=DECLARED_BY_FAULTS | absent)
        self.config.write_text(target.readiness_toml(facts), encoding="utf-8")

    def _facts(self) -> target.Facts:
        """What its readiness.toml is written from."""
        stack = self.monitoring
        return target.Facts(
            service=self.service.url,
            release=self.release,
            watch=target_monitoring.Watch(
                prometheus=stack.url("prometheus"),
                running=stack.running,
                service=self.service.url,
                site=stack.site_url,
                grafana=stack.url("grafana"),
                dashboard=stack.dashboard,
                tracker=stack.url("error_tracker"),
            ),
            around=Around(
                standby=self.standby is not None,
                pooler=self.pooler is not None,
            ),
            schema=target_schema.Facts(
                self.manifest, self.migrations, has_squawk="squawk" not in self.absent
            ),
            cluster=self.cluster,
            history=self.history,
            metrics_history=self.metrics_history,
            fleet=self.fleet,
            released=self.released,
            front=self.edge.front if self.edge else None,
            catalog=self.catalog,
            has_linter=LINTER not in self.absent,
            audited=self.audited,
            alertmanagers=stack.peers,
            inbox=stack.url("inbox"),
            pager=stack.url("pager"),
            configured=Configured(
                folder=self.configuration,
                orders_pid=None if "meminfo" in self.absent else self.service.pid_file,
                ci=stack.url("ci_server"),
            ),
            platforms=stack.url("platform_server"),
            listener=stack.listener,
            backups=self.backups,
            signed=self.signed,
            coverage=f"Reference system: {coverage(self.absent)}",
        )
