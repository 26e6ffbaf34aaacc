"""Looks at the configuration that goes out with a release: does every file parse?"""

from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Final

from readiness.areas.deployment.config_before import Files
from readiness.areas.deployment.strict_parsing import kinds, mistakes
from readiness.lib.command import Answer, ask
from readiness.model.errors import CouldNotMeasure, NoData

_LARGEST: Final = 4 * 1024 * 1024
_MOST: Final = 2000


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file, and what is wrong with it, in words."""

    path: str
    mistakes: tuple[str, ...]


def matching(pattern: str) -> list[str]:
    """The files that a pattern means; `**` goes through folders.

    Raises:
        NoData: there is none, or more than can be meant.
        CouldNotMeasure: one is of a kind that nobody here can parse.
    """
    paths = glob(pattern, recursive=True)  # noqa: PTH207 - a pattern may begin at the root
    found = sorted(path for path in paths if Path(path).is_file())
    place = f"{pattern}, in [deployment.files] parse"
    if not found:
        raise NoData(
            "no file fits: nothing was parsed",
            where=place,
            remedy="correct the pattern; it is looked for from the folder the gate runs in",
        )
    if len(found) > _MOST:
        raise NoData(f"{len(found)} files fit, more than can be meant", where=place)
    for path in found:
        if Path(path).suffix.lower() not in kinds():
            raise CouldNotMeasure(
                f"nobody here can parse {Path(path).name}: known are {' '.join(kinds())}",
                where=place,
                remedy="let its own program check it: `commands` in [deployment.files]",
            )
    return found


def parsed(path: str) -> Parsed:
    """What is wrong with a file.

    Raises:
        CouldNotMeasure: it cannot be read, or is larger than 4 MiB.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise CouldNotMeasure(f"cannot be read: {error.strerror}", where=path) from None
    if len(content) > _LARGEST:
        raise CouldNotMeasure(
            "is larger than 4 MiB: that is no configuration",
            where=path,
            remedy="let the pattern in [deployment.files] parse pass it over",
        )
    return Parsed(path, tuple(mistakes(content, Path(path).suffix.lower())))


def checked(files: Files) -> list[tuple[list[str], Answer]]:
    """What each of the commands said.

    Raises:
        CouldNotMeasure: one cannot be started, or hangs.
    """
    remedy = "see `commands` in [deployment.files]"
    return [
        (command, ask(command, "check the configuration", remedy)) for command in files.commands
    ]
