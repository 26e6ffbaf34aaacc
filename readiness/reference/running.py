"""What the reference system consists of, once everything has started."""

from dataclasses import dataclass
from pathlib import Path

from readiness.areas.backup.reference.backups import Backups
from readiness.areas.database.reference.metrics import Metrics
from readiness.areas.database.reference.pooler import Pooler
from readiness.areas.deployment.reference.release_files import ReleaseFiles
from readiness.reference.stack import Monitoring
from readiness.servers.fleet.starting import Fleet
from readiness.servers.postgres import PrivateStandby
from readiness.servers.processes import Daemon
from readiness.servers.shop import Server, Shop


@dataclass(frozen=True, slots=True)
class Running:
    """What runs once everything has started.

    Attributes:
        release: of the service.
        provider: where its PostgreSQL comes from.
        server: the PostgreSQL server.
        shop: the shop's database, and how to reach it.
        service: the order service.
        monitoring: Prometheus and all that belongs to it.
        standby: follows the server; None where there is none.
        pooler: stands in front of the server; None where there is none.
        metrics: a database with TimescaleDB; None where there is none.
        fleet: what is deployed; None where there is none.
        backups: where the backups are; None where there are none.
        released: what lies around the release.
        migrations: the folder of the migrations, as the repository has them.
        manifest: what the schema is held against.
        cluster: the folder of the manifests of Kubernetes.
        history: the file of the snapshots of the shop's database.
        metrics_history: that of the metrics; None where there are none.
        secrets: of the service, by the variable that holds each.
        absent: the parts that could not be had here, each with the reason.
    """

    release: str
    provider: str
    server: Server
    shop: Shop
    service: Daemon
    monitoring: Monitoring
    standby: PrivateStandby | None
    pooler: Pooler | None
    metrics: Metrics | None
    fleet: Fleet | None
    backups: Backups | None
    released: ReleaseFiles
    migrations: Path
    manifest: Path
    cluster: Path
    history: Path
    metrics_history: Path | None
    secrets: dict[str, str]
    absent: dict[str, str]

    def stop(self) -> None:
        """Stop all of it."""
        for daemon in (self.service, *self.monitoring.running.values()):
            daemon.stop()
        if self.fleet:
            self.fleet.daemon.stop()
        if self.pooler:
            self.pooler.stop()
        if self.standby:
            self.standby.stop("immediate")
        self.server.stop("immediate")
        if self.metrics:
            self.metrics.server.stop("immediate")
