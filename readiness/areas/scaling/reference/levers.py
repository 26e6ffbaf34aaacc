"""Levers on how the shop scales: what its manifests say, and what the cluster says of it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import kept, write_whole


class ScalingLevers:
    """What can be broken about the manifests; a part of `Levers`."""

    _manifests: Path

    @contextlib.contextmanager
    def edit_manifest(self, name: str, old: str, new: str) -> Iterator[None]:
        """Replace a text in one of the manifests, once.

        Raises:
            ReferenceSystemError: the text is not there.
        """
        path = self._manifests / name
        text = path.read_text(encoding="utf-8")
        if old not in text:
            raise ReferenceSystemError(f"there is no {old!r} to replace", where=name)
        with kept(path):
            write_whole(path, text.replace(old, new, 1).encode())
            yield
