"""Levers on the manifests of the shop, and on what the cluster reports of it."""

import contextlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final

from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import kept, write_whole

FOLDER: Final = "kubernetes"


def copy_manifests(folder: Path) -> Path:
    """Copy the manifests into a folder, as the repository of the shop would have them."""
    target = folder / FOLDER
    target.mkdir()
    source = resources.files("readiness.areas.scaling.reference").joinpath(FOLDER)
    for file in source.iterdir():
        if file.name.endswith((".yaml", ".json")):
            (target / file.name).write_bytes(file.read_bytes())
    return target


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
            raise ReferenceSystemError(f"the text {old!r} to replace was not found", where=name)
        with kept(path):
            write_whole(path, text.replace(old, new, 1).encode())
            yield
