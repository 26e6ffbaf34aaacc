"""Levers on what is deployed: how rollouts go wrong, and the files around a release."""

import contextlib
import os
import sys
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

from readiness.areas.deployment.reference.release_files import ReleaseFiles
from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import kept, quoted, write_whole
from readiness.servers.fleet.behaviour import Behaviour
from readiness.servers.fleet.starting import Fleet


class ReleaseLevers:
    """Breaks the files around a release; a part of `Levers`."""

    _released: ReleaseFiles

    @contextlib.contextmanager
    def release_file(self, name: str) -> Iterator[Path]:
        """One of the files, such as `deploy/shop.toml`, which may be changed in the block."""
        path = self._released.folder / name
        with kept(path):
            yield path

    @contextlib.contextmanager
    def edit_release_file(self, name: str, old: str, new: str) -> Iterator[None]:
        """Replace a text in one of the files.

        Raises:
            ReferenceSystemError: the file does not contain the text.
        """
        with self.release_file(name) as path:
            text = path.read_text(encoding="utf-8")
            if old not in text:
                raise ReferenceSystemError(f"{old!r} is not in the file", where=name)
            write_whole(path, text.replace(old, new).encode())
            yield

    @contextlib.contextmanager
    def age_release_file(self, name: str, by: timedelta) -> Iterator[None]:
        """Make one of the files older, or younger by a negative time."""
        with self.release_file(name) as path:
            moved = path.stat().st_mtime_ns - int(by.total_seconds() * 1e9)
            os.utime(path, ns=(moved, moved))
            yield

    def in_cgroup(self, *, limit: int) -> AbstractContextManager[None]:
        """Let the machine have a cgroup with that memory limit, in bytes."""
        words = [
            sys.executable,
            "-m",
            "readiness.areas.deployment.reference.commands",
            "in-cgroup",
            str(limit),
        ]
        run_on = f"run_on = [{', '.join(map(quoted, words))}]"
        return self.replace_in_config("[deployment.host]", f"[deployment.host]\n{run_on}")

    def runtime(self, script: str) -> AbstractContextManager[None]:
        """Let the container runtime be a Python script."""
        python = quoted(sys.executable)
        return self.replace_in_config(
            f'runtime = [{python}, "--version"]', f'runtime = [{python}, "-c", {quoted(script)}]'
        )

    @abstractmethod
    def replace_in_config(self, old: str, new: str) -> AbstractContextManager[None]:
        """Replace a text in the system's readiness.toml, everywhere."""


class FleetLevers:
    """Breaks the fleet; a part of `Levers`."""

    _fleet: Fleet | None

    @contextlib.contextmanager
    def fleet(self, **switches: Any) -> Iterator[Fleet]:
        """Make the fleet misbehave, see `Behaviour`, and reset it afterwards.

        Yields the fleet, for faults that deploy something.

        Raises:
            pydantic.ValidationError: there is no such switch.
            ReferenceSystemError: this system has no fleet.
        """
        if self._fleet is None:
            raise ReferenceSystemError("this system has no fleet")
        wrong = Behaviour(**switches)
        write_whole(self._fleet.behaviour, wrong.model_dump_json(exclude_unset=True).encode())
        try:
            yield self._fleet
        finally:
            self._fleet.behaviour.unlink(missing_ok=True)
            self._fleet.reset()
