"""Reads the env files of applications, in the format of the program that reads them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from readiness.lib.compose_file import assignments
from readiness.lib.env_files import EnvFile, of_docker, of_systemd
from readiness.model.errors import CouldNotMeasure

_LARGEST: Final = 4 * 1024 * 1024
Reader = Callable[[str, Mapping[str, str]], EnvFile]


def read(path: Path, format_: str, outer: Mapping[str, str]) -> EnvFile:
    """A file in the format of one of `FORMATS`.

    Args:
        path: the file.
        format_: its reader.
        outer: the environment of the reader, which references find, too.

    Raises:
        CouldNotMeasure: it cannot be read.
    """
    return FORMATS[format_](text_of(path), outer)


def text_of(path: Path) -> str:
    """The text of a file of up to 4 MiB.

    Raises:
        CouldNotMeasure: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise CouldNotMeasure("the file is larger than 4 MiB", where=str(path))
        return content.decode("utf-8-sig")
    except OSError as error:
        raise CouldNotMeasure(
            f"the file cannot be read: {error.strerror}",
            where=str(path),
            remedy="correct the path, or let the user who runs readiness read it",
        ) from None
    except UnicodeDecodeError:
        raise CouldNotMeasure("the file is not UTF-8 text", where=str(path)) from None


def of_compose(text: str) -> EnvFile:
    """The content of a file as `.env.example`, by itself."""
    return assignments(text, {})


FORMATS: Final[Mapping[str, Reader]] = {
    "compose": assignments,
    "docker": of_docker,
    "systemd": of_systemd,
}
