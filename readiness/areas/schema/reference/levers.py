"""Levers on the schema: what is in the folder of its migrations."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import kept, write_whole


class SchemaLevers:
    """What can be broken about the migrations; a part of `Levers`."""

    _migrations: Path

    @contextlib.contextmanager
    def add_migration(self, name: str, script: str) -> Iterator[None]:
        """Add a file to the migrations, which nobody applies."""
        with kept(self._migrations):
            write_whole(self._migrations / name, script.encode())
            yield

    @contextlib.contextmanager
    def edit_migration(self, name: str, old: str, new: str) -> Iterator[None]:
        """Replace a text in one of the migrations.

        Raises:
            ReferenceSystemError: the text is not there.
        """
        path = self._migrations / name
        text = path.read_text(encoding="utf-8")
        if old not in text:
            raise ReferenceSystemError(f"there is no {old!r} to replace", where=name)
        with kept(self._migrations):
            write_whole(path, text.replace(old, new).encode())
            yield
