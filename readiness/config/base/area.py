"""The interface of an area, with its kinds of subject. The engine iterates over `Area` objects."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from readiness.config.base import Named
from readiness.config.base.discovery import Discover
from readiness.config.base.mistakes import Mistake
from readiness.config.base.tables import Config

_S = TypeVar("_S", bound=Named)


class Subject(Protocol):
    """Anything with a name that becomes part of a check's id."""

    @property
    def name(self) -> str:
        """The name, as the configuration gives it."""
        ...


class Item:
    """A subject without a table of its own, such as a required sign-off."""

    def __init__(self, name: str) -> None:
        self.name = name

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """See `Model.fix_words`."""
        return {"ITEM": self.name}


Find = Callable[[Any], Sequence[Subject]]
"""Finds the subjects of one kind in a configuration."""


def of(tables: Mapping[str, _S]) -> list[_S]:
    """The values of a table of tables."""
    return list(tables.values())


Configured = Callable[[Path | None], Any]
"""Loads the configuration from the named file, else from the one that is found."""
Look = Callable[[], str]
"""Examines one thing for `doctor` and describes it; raises a `ReadinessError` if it is unusable."""


Absence = Callable[[Any], str]
"""Looks at the target of a configuration; raises a `ReadinessError` if it does not answer."""


def nothing(*_: object) -> Iterator[Any]:
    """Yields nothing: the default of an area's callbacks."""
    return iter(())


@dataclass(frozen=True, slots=True)
class Drills:
    """The drills of an area, which change a target.

    Attributes:
        identity: what identifies the target besides its addresses, as JSON types; part of the
            fingerprint.
        commands: the commands that would run, shown before they are confirmed; a heading first.
        recover: restores the target after a killed drill, from the notes in a folder.
    """

    identity: Callable[[Any], object]
    commands: Callable[[Any], Iterator[str]]
    recover: Callable[["Recovery"], bool]


@dataclass(frozen=True, slots=True)
class Recovery:
    """What `readiness recover` hands to an area.

    Attributes:
        config: the configuration.
        folder: the folder of the drills' notes.
        check: raises a `SafetyRefusal` unless notes with this fingerprint, of a target of this
            name and environment, are those of the target.
        say: prints what was done.
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
        kinds: its kinds of subject: where each is declared, for messages, and how to find them.
        implied_by: kinds of subject, of any area, that a target cannot have without this area: a
            database needs backups.
        mistakes: finds mistakes that concern several of its tables.
        patterns: for each regular expression of its models, a description of what it matches.
        looks: what `readiness doctor` examines, by name.
        absences: by the id of a check that a profile requires although the file declares nothing
            for it: looks whether the target has what it is about, and gives the sentence and the
            query that show that it has not; empty if it may have.
        discovers: what `readiness init` asks of this area, one for each source.
        timed: whether its `load` and `disrupt` checks measure time, so that a proof runs nothing
            in parallel with them.
        drills: its drills; None if it has none.
        commands: its commands on the command line, by name.
    """

    name: str
    config: type[Config] = Config
    extends: tuple[type[Named], ...] = ()
    kinds: Mapping[str, tuple[str, Find]] = field(default_factory=dict)
    implied_by: tuple[str, ...] = ()
    mistakes: Callable[[Any, date], Iterator[Mistake]] = nothing
    patterns: Mapping[str, str] = field(default_factory=dict)
    looks: Callable[[Any], Iterator[tuple[str, Look]]] = nothing
    absences: Mapping[str, Absence] = field(default_factory=dict)
    discovers: Callable[[], Iterator[Discover]] = nothing
    timed: bool = False
    drills: Drills | None = None
    commands: Mapping[str, Callable[[Configured], click.Command]] = field(default_factory=dict)
