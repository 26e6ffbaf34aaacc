"""What the service takes from its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

RELEASES: Final[Mapping[str, str]] = {"1.4.0": "9f2d1c7", "1.5.0": "c41e8ab"}
"""The released versions of the service, and the commit each was made from."""
NEEDED: Final = ("DATABASE_URL", "ADMIN_TOKEN", "CRON_SECRET")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one worker.

    Attributes:
        version: the release it is.
        environment: where it runs.
        database_url: the application's role in its database.
        admin_token: the bearer token of `/admin`.
        cron_secret: the header `X-Cron-Secret` of `/cron`.
        behaviour: the file with the faults it is told to have; empty for none.
        memory_limit_bytes: resident memory above which it calls itself unhealthy.
    """

    version: str
    environment: str
    database_url: str
    admin_token: str
    cron_secret: str
    behaviour: str
    memory_limit_bytes: int

    @property
    def commit(self) -> str:
        """The commit this release was made from."""
        return RELEASES.get(self.version, "unknown")

    @property
    def has_filter(self) -> bool:
        """Whether orders can be listed by status and tell their currency: since 1.5.0."""
        return self.version != "1.4.0"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; what is missing is empty, and `/health` tells of it."""
        return cls(
            version=environ.get("SERVICE_VERSION", "1.5.0"),
            environment=environ.get("SERVICE_ENVIRONMENT", "production"),
            database_url=environ.get("DATABASE_URL", ""),
            admin_token=environ.get("ADMIN_TOKEN", ""),
            cron_secret=environ.get("CRON_SECRET", ""),
            behaviour=environ.get("SERVICE_BEHAVIOUR", ""),
            memory_limit_bytes=int(environ.get("MEMORY_LIMIT_BYTES", str(1 << 30))),
        )
