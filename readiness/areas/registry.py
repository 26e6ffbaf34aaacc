"""The areas there are: the one place that names them."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from readiness.config.base.area import Area

NAMES: Final = (
    "monitoring",
    "alerting",
    "database",
    "schema",
    "backup",
    "deployment",
    "scaling",
    "manifests",
    "performance",
    "configuration",
    "security",
    "platforms",
    "signoff",
)


def areas() -> tuple[Area, ...]:
    """All areas, in the order of the file that `readiness init` writes."""
    return tuple(import_module(f"readiness.areas.{name}").AREA for name in NAMES)


if TYPE_CHECKING:
    # What `readiness.config.models` makes of the tables, for type checkers.
    from collections.abc import Mapping

    from readiness.areas.alerting import config as alerting
    from readiness.areas.backup import config as backup
    from readiness.areas.configuration import config as configuration
    from readiness.areas.database import config as database
    from readiness.areas.deployment import config as deployment
    from readiness.areas.manifests import config as manifests
    from readiness.areas.monitoring import config as monitoring
    from readiness.areas.performance import config as performance
    from readiness.areas.platforms import config as platforms
    from readiness.areas.scaling import config as scaling
    from readiness.areas.schema import config as schema
    from readiness.areas.security import config as security

    class Database(alerting.Database, database.Database, schema.Database):
        """A PostgreSQL database, with what all areas expect of it."""

    class Config(
        alerting.Config,
        backup.Config,
        configuration.Config,
        database.Config,
        deployment.Config,
        manifests.Config,
        monitoring.Config,
        performance.Config,
        platforms.Config,
        scaling.Config,
        schema.Config,
        security.Config,
    ):
        """The whole of `readiness.toml`."""

        databases: Mapping[str, Database] = {}
        services: Mapping[str, monitoring.Service] = {}
