"""The part of the reference system's readiness.toml that tells of its backups."""

from pathlib import Path
from typing import Final

from readiness.reference.toml import quoted


def backup(folder: Path) -> str:
    """[backup.NAME], one for each."""
    return _BACKUP.format(folder=quoted(str(folder)))


_BACKUP: Final = """
# The newest of these dumps is restored into a private server and compared with its manifest.
[backup.shop]
database = "shop"
path = {folder}
"""
