"""The account that a program runs as, if it is not ours."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict


class AsAccount(TypedDict, total=False):
    """The arguments of `subprocess.Popen` that change the account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group id.

    Attributes:
        uid: the user id.
        gid: the group id.
        other: whether it differs from ours.
    """

    uid: int
    gid: int
    other: bool

    @property
    def popen(self) -> AsAccount:
        """The arguments for `subprocess.Popen`."""
        if not self.other:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Make the account the owner of this file or folder, without access for others."""
        path.chmod(0o700 if path.is_dir() else 0o600)
        if self.other:
            os.chown(path, self.uid, self.gid)

    def reaches(self, path: Path) -> bool:
        """Whether the account may enter this folder and all above it."""
        if not self.other:
            return True
        return all(self._passes(folder) for folder in (path, *path.parents) if folder.exists())

    def _passes(self, folder: Path) -> bool:
        info = folder.stat()
        if info.st_uid == self.uid:
            return bool(info.st_mode & stat.S_IXUSR)
        if info.st_gid == self.gid:
            return bool(info.st_mode & stat.S_IXGRP)
        return bool(info.st_mode & stat.S_IXOTH)
