"""Whom a program runs as, where that is not ourselves."""

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
    """A user and group number.

    Attributes:
        uid: the user's number.
        gid: the group's number.
        other: whether it is not our own.
    """

    uid: int
    gid: int
    other: bool

    @property
    def popen(self) -> AsAccount:
        """What to pass to `subprocess.Popen`."""
        if not self.other:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give this file or folder to the account, and to nobody else."""
        path.chmod(0o700 if path.is_dir() else 0o600)
        if self.other:
            os.chown(path, self.uid, self.gid)

    def reaches(self, path: Path) -> bool:
        """Whether the account may pass through all folders down to this one."""
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
