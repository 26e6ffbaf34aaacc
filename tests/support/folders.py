"""Folders for what runs as another account, which may not pass through those of pytest."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from readiness.lib.command import Account
from readiness.servers.account import reachable_folder


@contextmanager
def reachable(folder: Path, account: Account) -> Iterator[Path]:
    """The folder itself or one that the account can reach, which goes at the end."""
    place = reachable_folder(folder, account)
    try:
        yield place
    finally:
        if place != folder.resolve():
            shutil.rmtree(place)
