"""What speaks against a dump: the judgements of the checks, in one place for the controls.

The proof of restore and its negative controls have to judge alike, or the controls prove nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from readiness.areas.backup.config import Backup
from readiness.areas.backup.manifest import Manifest
from readiness.lib.postgres.contents import TableContent, differences

_HOUR_S: Final = 3600.0


class Kind(StrEnum):
    """What is wrong with a dump."""

    STALE = "too old"
    SMALL = "too small"
    UNREADABLE = "cannot be read to its end"
    ALTERED = "not the file that was written"
    CONTENTS = "other rows than the database had"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one dump.

    Attributes:
        taken_at: when it was made.
        size: in bytes.
        readable: whether it can be read to its end.
        sha256: of the file as it lies there.
        contents: what it restores to; None where that was not tried.
    """

    taken_at: datetime
    size: int
    readable: bool
    sha256: str
    contents: dict[str, TableContent] | None = None


def objections(facts: Facts, manifest: Manifest, backup: Backup, at: datetime) -> set[Kind]:
    """What speaks against a dump, by the limits of the backup and its manifest.

    Args:
        facts: what is known of it.
        manifest: what it should hold.
        backup: names the limits.
        at: the time now.
    """
    age_h = (at - facts.taken_at).total_seconds() / _HOUR_S
    against = {
        Kind.STALE: age_h > backup.max_age_h,
        Kind.SMALL: facts.size < backup.min_bytes,
        Kind.UNREADABLE: not facts.readable,
        Kind.ALTERED: facts.sha256 != manifest.sha256,
        Kind.CONTENTS: facts.contents is not None
        and bool(differences(manifest.tables, facts.contents)),
    }
    return {kind for kind, holds in against.items() if holds}


@dataclass(frozen=True, slots=True)
class Control:
    """A damaged copy, and what was said against it.

    Attributes:
        name: how it was damaged, in words.
        wanted: one of these must be said against it.
        said: what was.
    """

    name: str
    wanted: frozenset[str]
    said: frozenset[str]

    @property
    def rejected(self) -> bool:
        """Whether it was rejected, and for a reason that fits the damage."""
        return bool(self.wanted & self.said)


def accepted(controls: Iterable[Control]) -> list[str]:
    """Those that would have passed, in words."""
    return [c.name for c in controls if not c.rejected]
