"""What `readiness init` is told to look at, and what an area finds there."""

import fnmatch
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from readiness.model.secrets import Dsn

Value: TypeAlias = str | int | float | bool | Sequence["Value"] | Mapping[str, "Value"]
"""A value of TOML."""

GRANTS: Final = "readiness-grants.sql"
"""The script of missing privileges, to which several areas add statements."""
GRANTS_ARE: Final = "privileges that the monitoring role lacks; a superuser runs it"
# Folders of what others wrote, which may hold a hundred thousand files.
_FOREIGN: Final = frozenset({"node_modules", "venv", "site-packages", "vendor", "reports"})
_MOST_FILES: Final = 200


@dataclass(frozen=True, slots=True)
class Sources:
    """Where to look; empty where there is none.

    Attributes:
        name: of the target, and of the service.
        folder: of the target's files.
        url: of the service.
        dsn: of the database.
        dsn_text: the same as it is written in the file, without secrets.
        database: name of the database, as in [databases.NAME].
        prometheus: its address.
        alertmanager: its address.
        backups: the folder of the dumps.
        context: of kubectl; the cluster that is read.
        namespace: of the workloads in that cluster.
        timeout_s: seconds that each request and statement may take.
    """

    name: str
    folder: Path
    url: str = ""
    dsn: Dsn | None = None
    dsn_text: str = ""
    database: str = ""
    prometheus: str = ""
    alertmanager: str = ""
    backups: str = ""
    context: str = ""
    namespace: str = ""
    timeout_s: float = 5

    def files(self, *patterns: str) -> list[str]:
        """The files that match any of the patterns, relative to the folder; at most 200.

        A pattern that begins with `**/` is one of names, in all folders of the target's own.
        """
        found = {name: None for pattern in patterns for name in sorted(self._matching(pattern))}
        return [name for name in found if _FOREIGN.isdisjoint(name.split("/"))][:_MOST_FILES]

    def _matching(self, pattern: str) -> Iterator[str]:
        _, anywhere, name = pattern.rpartition("**/")
        found = self._below(name) if anywhere else self.folder.glob(pattern)
        return (path.relative_to(self.folder).as_posix() for path in found if path.is_file())

    def _below(self, pattern: str) -> Iterator[Path]:
        for place, folders, files in os.walk(self.folder):
            # In place: os.walk enters what is left.
            folders[:] = [one for one in folders if one not in _FOREIGN and one[0] != "."]
            yield from (Path(place, name) for name in fnmatch.filter(files, pattern))

    def first(self, *names: str) -> str:
        """The first of these files that exists; empty if none does."""
        return next((name for name in names if (self.folder / name).is_file()), "")


@dataclass(frozen=True, slots=True)
class Line:
    """A line for readiness.toml.

    Attributes:
        table: the keys of its table, from the top; a number for an entry of a list of tables.
        key: its key in the table.
        value: its value; text may hold `${VARIABLE}`.
        source: where it was found, for the comment.
    """

    table: tuple[str | int, ...]
    key: str
    value: Value
    source: str


@dataclass(frozen=True, slots=True)
class Gap:
    """What was not found, and what to do."""

    what: str
    todo: str

    def __str__(self) -> str:
        return f"{self.what}\n  → {self.todo}" if self.todo else self.what


@dataclass(frozen=True, slots=True)
class Script:
    """A file to review and apply; `readiness` never applies it.

    Attributes:
        name: of the file.
        text: its content.
        why: what it is for, and how it is applied.
    """

    name: str
    text: str
    why: str


Finding: TypeAlias = Line | Gap | Script
Discover: TypeAlias = Callable[[Sources], Iterator[Finding]]
"""Looks at one source, by a few requests that change nothing.

It may raise a `ReadinessError`, which is named in the file; what it found before is kept.
"""
