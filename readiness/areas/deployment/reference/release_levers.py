"""Levers on what lies around a release: its files, and what was saved before it."""

import contextlib
import os
import sys
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

from readiness.areas.deployment.reference.release_files import ReleaseFiles
from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import kept, write_whole
from readiness.servers.toml import quoted


class ReleaseLevers:
    """What can be broken around a release; a part of `Levers`."""

    _released: ReleaseFiles

    @contextlib.contextmanager
    def release_file(self, name: str) -> Iterator[Path]:
        """One of the files, such as `deploy/shop.toml`, to do with as one likes."""
        path = self._released.folder / name
        with kept(path):
            yield path

    @contextlib.contextmanager
    def edit_release_file(self, name: str, old: str, new: str) -> Iterator[None]:
        """Replace a text in one of the files.

        Raises:
            ReferenceSystemError: the text is not there.
        """
        with self.release_file(name) as path:
            text = path.read_text(encoding="utf-8")
            if old not in text:
                raise ReferenceSystemError(f"there is no {old!r} to replace", where=name)
            write_whole(path, text.replace(old, new).encode())
            yield

    @contextlib.contextmanager
    def age_release_file(self, name: str, by: timedelta) -> Iterator[None]:
        """Make one of the files that much older; younger, where it is less than nothing."""
        with self.release_file(name) as path:
            moved = path.stat().st_mtime_ns - int(by.total_seconds() * 1e9)
            os.utime(path, ns=(moved, moved))
            yield

    def in_cgroup(self, *, limit: int) -> AbstractContextManager[None]:
        """Let the machine be one whose cgroup has that limit of memory, in bytes."""
        words = [
            sys.executable,
            "-m",
            "readiness.areas.deployment.reference.asked",
            "in-cgroup",
            str(limit),
        ]
        run_on = f"run_on = [{', '.join(map(quoted, words))}]"
        return self.replace_in_config("[deployment.host]", f"[deployment.host]\n{run_on}")

    def runtime(self, script: str) -> AbstractContextManager[None]:
        """Let the runtime be a script of Python."""
        python = quoted(sys.executable)
        return self.replace_in_config(
            f'runtime = [{python}, "--version"]', f'runtime = [{python}, "-c", {quoted(script)}]'
        )

    @abstractmethod
    def replace_in_config(self, old: str, new: str) -> AbstractContextManager[None]:
        """Replace a text in the system's readiness.toml, everywhere."""
