"""The service of the reference system with a shared cache, Redis, and its levers."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from readiness.areas.security.reference import catalog
from readiness.lib.guardian import Guardian
from readiness.model.errors import ReferenceSystemError
from readiness.servers import programs
from readiness.servers.files import kept, write_whole
from readiness.servers.processes import Daemon

PART: Final = "redis"


class Catalog:
    """The service and its Redis, one process group.

    Args:
        redis: the path of redis-server.
        folder: for its files; made here.
        guardian: stops it when this process dies.
    """

    def __init__(self, redis: str, folder: Path, guardian: Guardian) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.behaviour = folder / catalog.BEHAVIOUR
        self.behaviour.write_text("{}", encoding="ascii")
        self.daemon = Daemon(
            "catalog",
            lambda port: self.command("serve", redis, str(folder), str(port)),
            folder,
            guardian,
        )

    def command(self, *words: str) -> list[str]:
        """A command of it, without the time that importing our package takes."""
        return [sys.executable, "-I", "-S", catalog.__file__, *words]


def start_catalog(folder: Path, guardian: Guardian) -> Catalog | str:
    """Start it; else the reason why there is no Redis.

    Raises:
        ReferenceSystemError: Redis is there, and the service does not start.
    """
    try:
        redis = programs.get(programs.REDIS)
    except programs.AbsentError as problem:
        return problem.sentence
    made = Catalog(redis, folder, guardian)
    made.daemon.start()
    return made


class CacheLevers:
    """Breaks the service with the shared cache; a part of `Levers`."""

    _catalog: Catalog | None

    @contextlib.contextmanager
    def catalog_behaves(self, **switches: Any) -> Iterator[None]:
        """Change how the service treats its cache.

        Raises:
            ReferenceSystemError: this system has no Redis.
        """
        if self._catalog is None:
            raise ReferenceSystemError("this system has no Redis")
        with kept(self._catalog.behaviour):
            write_whole(self._catalog.behaviour, json.dumps(switches).encode())
            yield
