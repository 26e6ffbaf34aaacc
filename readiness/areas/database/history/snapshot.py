"""What a snapshot holds. Times are Unix times by the clock of the database's server."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from readiness.model.errors import CouldNotMeasure

FORMAT: Final = 1
_LARGEST: Final = 1 << 28
_LEVEL: Final = 6
_UNREADABLE: Final = "a snapshot in it cannot be read"


@dataclass(frozen=True, slots=True)
class Mark:
    """When a snapshot was taken, and since when its counters counted then."""

    at: float
    counters_since: float


@dataclass(frozen=True, slots=True)
class Scans:
    """How often each index had been scanned: all that a snapshot of long ago is asked for.

    Attributes:
        mark: when that was.
        by_index: scans, by the number of the index.
    """

    mark: Mark
    by_index: Mapping[int, int]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Server(_Part):
    """Which database a snapshot is of, and since when its counters count.

    Attributes:
        system: the identifier of the cluster; empty where the server hides it.
        database: its name.
        version: as server_version_num.
        started: when the server started.
        counters_since: when the counters of tables and indexes began: at the last reset, or at a
            crash, which empties them silently.
    """

    system: str
    database: str
    version: int
    started: float
    counters_since: float

    def is_other_than(self, server: "Server") -> bool:
        """Whether it is certainly not the same database."""
        systems = self.system and server.system and self.system != server.system
        return bool(systems) or self.database != server.database


class IndexUse(_Part):
    """The counters of one index, with those of all its parts.

    Attributes:
        oid: its number: a rebuilt index has another one.
        name: `schema.index`.
        scans: since the counters began.
        size: in bytes.
        last_scan: when it was used last; None where the server does not record it (before 16).
    """

    oid: int
    name: str
    scans: int
    size: int
    last_scan: float | None = None


class StatementUse(_Part):
    """The counters of one statement: how often it ran, and for how many milliseconds in all."""

    calls: int
    total_ms: float


class _Body(_Part):
    """What is stored as one row of the file."""

    at: float
    server: Server

    def packed(self) -> bytes:
        """As it is stored."""
        return zlib.compress(self.model_dump_json(exclude_none=True).encode(), _LEVEL)

    @classmethod
    def unpacked(cls, stored: bytes) -> Self:
        """From what was stored.

        Raises:
            CouldNotMeasure: it is damaged, or of another format.
        """
        try:
            return cls.model_validate_json(_inflated(stored))
        except ValidationError:
            raise CouldNotMeasure(_UNREADABLE) from None


class Snapshot(_Body):
    """The counters of one database at one moment.

    Attributes:
        at: when it was taken.
        server: of what.
        size: of the database, in bytes.
        tables: the size of each table with its indexes and its TOAST, by `schema.table`.
        indexes: the counters of each index.
        statements: the counters of each statement, by its key; empty without the extension.
        statements_since: when those began; None where the server does not record it (before 14).
        evictions: evictions of pg_stat_statements since then; None likewise.
    """

    size: int
    tables: dict[str, int]
    indexes: tuple[IndexUse, ...]
    statements: dict[str, StatementUse] = {}
    statements_since: float | None = None
    evictions: int | None = None

    @property
    def mark(self) -> Mark:
        """When it was taken, and since when its counters count."""
        return Mark(self.at, self.server.counters_since)

    @property
    def scans(self) -> Scans:
        """How often each index had been scanned."""
        return Scans(self.mark, {index.oid: index.scans for index in self.indexes})


def unpacked_scans(stored: bytes) -> Scans:
    """The scans alone, without a model for each of ten thousand indexes.

    Raises:
        CouldNotMeasure: it is damaged, or of another format.
    """
    try:
        body = json.loads(_inflated(stored))
        mark = Mark(float(body["at"]), float(body["server"]["counters_since"]))
        return Scans(mark, {int(index["oid"]): int(index["scans"]) for index in body["indexes"]})
    except (ValueError, KeyError, TypeError):
        raise CouldNotMeasure(_UNREADABLE) from None


def _inflated(stored: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(stored, _LARGEST)
    except zlib.error:
        raise CouldNotMeasure(_UNREADABLE) from None
    if not unpacker.eof:
        raise CouldNotMeasure("a snapshot in it is cut off, or larger than 256 MiB")
    return text


class Bloated(_Part):
    """How much of one table or index was empty or dead.

    Attributes:
        name: `schema.name`.
        kind: `table` or `index`.
        size: in bytes.
        wasted: bytes that would be free after a rewrite.
        exact: whether it was measured, or estimated from the planner's statistics.
    """

    name: str
    kind: str
    size: int
    wasted: int
    exact: bool

    @property
    def share(self) -> float:
        """The wasted part of the whole."""
        return self.wasted / self.size if self.size else 0.0


class BloatSnapshot(_Body):
    """The bloat of one database at one moment.

    Attributes:
        objects: what was large enough to be judged.
        looked_at: how many tables and indexes there were, small ones too.
        left_out: names of those that could not be measured.
    """

    objects: tuple[Bloated, ...]
    looked_at: int
    left_out: tuple[str, ...] = ()
