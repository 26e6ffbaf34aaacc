"""The nightly backup of the shop: a dump, with a manifest of what is in it."""

import importlib
import importlib.util
from pathlib import Path
from typing import Final

from readiness.model.errors import ReferenceSystemError
from readiness.servers.binaries import Binaries, find_binaries
from readiness.servers.provider import Server

_WRITER: Final = "readiness.areas.backup.manifest"


def is_available() -> bool:
    """Whether this installation can write backups with a manifest."""
    return importlib.util.find_spec(_WRITER) is not None


def programs_for(server: Server) -> Binaries:
    """The programs that fit the server: its own, or this machine's for one in a container."""
    own = getattr(server, "binaries", None)
    return own if isinstance(own, Binaries) else find_binaries()


def run_backup(dsn: str, folder: Path, binaries: Binaries) -> Path:
    """Write one backup; gives the path of the dump.

    Raises:
        ReferenceSystemError: this installation has no writer of manifests.
    """
    if not is_available():
        raise ReferenceSystemError("there is no writer of manifests", where=_WRITER)
    writer = importlib.import_module(_WRITER)
    dump: Path = writer.write_backup(dsn, folder, binaries=binaries)
    return dump
