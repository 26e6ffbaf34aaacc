"""What the engine knows of an area: it iterates over these, and names none."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import click

from readiness.config.base import Named
from readiness.config.base.mistakes import Mistake
from readiness.config.base.subject import Find
from readiness.config.base.tables import Config

Configured = Callable[[Path | None], Any]
"""Loads the configuration: of the file that was named, or of the one that is found."""
Look = Callable[[], str]
"""Looks at one thing and says what was found; raises a `ReadinessError` where it is not well."""


def nothing(*_: object) -> Iterator[Any]:
    """What an area says that has nothing to say."""
    return iter(())


@dataclass(frozen=True, slots=True)
class Drills:
    """What an area's drills change on a target.

    Attributes:
        identity: what identifies the target beside its addresses, as JSON types: a stale file
            must not change another one.
        commands: what would be run, for whoever has to confirm it; with a heading first.
        recover: restores the target after a killed drill, from the notes in a folder.
    """

    identity: Callable[[Any], object]
    commands: Callable[[Any], Iterator[str]]
    recover: Callable[["Recovery"], bool]


@dataclass(frozen=True, slots=True)
class Recovery:
    """What `readiness recover` hands to an area.

    Attributes:
        config: the target.
        folder: where the notes of drills are.
        check: raises a `SafetyRefusal` unless notes with this fingerprint, of a target of this
            name and environment, are those of the target.
        say: tells the user what was done.
    """

    config: Any
    folder: Path
    check: Callable[[Path, str, str, str], None]
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Area:
    """One subject of readiness.

    Attributes:
        name: the name of its package and of its suite.
        config: the tables that it adds to the file.
        extends: what it adds to each [services.NAME] and [databases.NAME].
        kinds: the kinds of subject that it declares: where, as a message names it, and how to
            find them.
        mistakes: those that show only when its tables are seen together.
        patterns: for a regular expression of its models, the words for what it matches.
        looks: what `readiness doctor` looks at, by name.
        timed: whether its checks that load or disrupt the target measure time, so that a proof
            runs nothing beside them.
        drills: what its drills change; None where it has none.
        commands: those of the command line that are about it, by name.
    """

    name: str
    config: type[Config] = Config
    extends: tuple[type[Named], ...] = ()
    kinds: Mapping[str, tuple[str, Find]] = field(default_factory=dict)
    mistakes: Callable[[Any, date], Iterator[Mistake]] = nothing
    patterns: Mapping[str, str] = field(default_factory=dict)
    looks: Callable[[Any], Iterator[tuple[str, Look]]] = nothing
    timed: bool = False
    drills: Drills | None = None
    commands: Mapping[str, Callable[[Configured], click.Command]] = field(default_factory=dict)
