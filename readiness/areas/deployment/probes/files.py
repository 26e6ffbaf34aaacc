"""The files around a deployment: configuration, which must parse, and the backups made before.

A duplicate key is a mistake in each format: most parsers take the last one, some the first, and a
few refuse the file when the service starts. No value is ever shown: configuration holds secrets.
"""

import configparser
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from glob import glob
from pathlib import Path
from typing import Final

from yaml import ScalarNode

from readiness.areas.deployment.config import Files, SavedLayer
from readiness.areas.deployment.probes import dialects
from readiness.lib import yaml_reader
from readiness.lib.command import Answer, ask
from readiness.lib.files import BackupFile, age_of, files_in, sha256_of
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement

_LONGEST_KEY: Final = 60
_LONG_NUMBER: Final = "has a number with more digits than Python reads"
_INI_ENDINGS: Final = frozenset({".ini", ".cfg", ".cnf"})
_YAML_ENDINGS: Final = frozenset({".yaml", ".yml"})
_LARGEST: Final = 4 * 1024 * 1024
_MOST: Final = 2000
_SUM: Final = ".sha256"
_SUMS: Final = ("SHA256SUMS", "sha256sums.txt", "SHA256SUMS.txt", "sha256sum.txt")
# `sha256sum`, `sha256sum --tag`, and a sum alone.
_LINE: Final = re.compile(
    r"\\?(?P<sum>[0-9a-fA-F]{64})(?:\s[\s*](?P<name>.+))?"
    r"|\\?SHA256 ?\((?P<tagged>.+)\) ?= ?(?P<tag>[0-9a-fA-F]{64})"
)
_LONGEST: Final = 1 << 16


class _MistakeError(ValueError):
    """A mistake in a file."""


def kinds() -> tuple[str, ...]:
    """The suffixes of files that can be parsed, with their dots."""
    return tuple(sorted(_PARSERS))


def mistakes(content: bytes, ending: str, name: str = "") -> list[str]:
    """The mistakes in a file whose suffix is `ending`, one of `kinds()`; its name may tell more."""
    try:
        text = content.decode("utf-8-sig" if ending in _YAML_ENDINGS else "utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return [f"line {line}: is not UTF-8"]
    if not text.strip():
        return ["is empty"]
    dialect = dialects.of(name.rpartition("/")[2].lower(), text)
    try:
        if dialect and ending in _INI_ENDINGS:
            return list(dialects.mistakes(dialect, text))
        return list(_PARSERS[ending](text))
    except RecursionError:
        return ["is nested too deeply"]


def _yaml(text: str) -> Iterator[str]:
    try:
        documents = yaml_reader.nodes(text)
    except yaml_reader.BrokenYaml as error:
        yield str(error)
        return
    if not documents:
        yield "has only comments"
    if any(isinstance(document, ScalarNode) for document in documents):
        yield "is one plain value without a key: a space is missing after a colon"
    yield from yaml_reader.flaws(documents)


def _json(text: str) -> Iterator[str]:
    found: list[str] = []

    def pairs(items: list[tuple[str, object]]) -> Mapping[str, object]:
        known: dict[str, object] = {}
        for key, value in items:
            if key in known:
                found.append(f"duplicate key {_shown(key)} in one object")
            known[key] = value
        return known

    try:
        json.loads(text, object_pairs_hook=pairs, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        yield f"line {error.lineno}: {error.msg}"
    except _MistakeError as error:
        yield str(error)
    except ValueError:
        yield _LONG_NUMBER
    else:
        yield from found


def _no_number(word: str) -> object:
    raise _MistakeError(f"{word} is not valid in JSON")


def _toml(text: str) -> Iterator[str]:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        yield clean(str(error))
    except ValueError:
        yield _LONG_NUMBER


def _ini(text: str) -> Iterator[str]:
    parser = configparser.RawConfigParser(strict=True)
    try:
        parser.read_string(text)
    except configparser.DuplicateSectionError as error:
        yield f"line {error.lineno}: duplicate section [{_shown(error.section)}]"
    except configparser.DuplicateOptionError as error:
        yield f"line {error.lineno}: duplicate key {_shown(error.option)} in its section"
    except configparser.MissingSectionHeaderError as error:
        yield f"line {error.lineno}: is before the first section"
    except configparser.ParsingError as error:
        yield from (
            f"line {line}: is neither a section nor KEY = VALUE" for line, _ in error.errors
        )


def _shown(key: object) -> str:
    return repr(clean(str(key), _LONGEST_KEY))


_PARSERS: Final[Mapping[str, Callable[[str], Iterator[str]]]] = {
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": _json,
    ".toml": _toml,
    ".ini": _ini,
    ".cfg": _ini,
    ".cnf": partial(dialects.mistakes, dialects.MYSQL),
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file, and the mistakes in it."""

    path: str
    mistakes: tuple[str, ...]


def matching(pattern: str) -> list[str]:
    """The files that match a pattern; `**` matches folders.

    Raises:
        NoData: none matches, or over 2000 do.
        CouldNotMeasure: one is of a kind that cannot be parsed here.
    """
    paths = glob(pattern, recursive=True)  # noqa: PTH207 - a pattern may begin at the root
    found = sorted(path for path in paths if Path(path).is_file())
    place = f"{pattern}, in [deployment.files] parse"
    if not found:
        raise NoData(
            "no file matches, so that nothing was parsed",
            where=place,
            remedy="correct the pattern; it starts in the folder that the gate runs in",
        )
    if len(found) > _MOST:
        raise NoData(f"{len(found)} files match, over the limit of {_MOST}", where=place)
    for path in found:
        if Path(path).suffix.lower() not in kinds():
            raise CouldNotMeasure(
                f"{Path(path).name} cannot be parsed here, only {' '.join(kinds())}",
                where=place,
                remedy="name the program that checks it, `commands` in [deployment.files]",
            )
    return found


def parsed(path: str) -> Parsed:
    """The mistakes in a file.

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
            "is larger than 4 MiB, too large for a configuration file",
            where=path,
            remedy="exclude it from the patterns in [deployment.files] parse",
        )
    return Parsed(path, tuple(mistakes(content, Path(path).suffix.lower(), path)))


def checked(files: Files) -> list[tuple[list[str], Answer]]:
    """Each command that checks files, and its answer.

    Raises:
        CouldNotMeasure: one cannot be started, or hangs.
    """
    remedy = "correct `commands` in [deployment.files]"
    return [
        (command, ask(command, "check the configuration", remedy)) for command in files.commands
    ]


def newest(layer: SavedLayer) -> BackupFile | None:
    """The newest copy; None if there is none.

    Raises:
        CouldNotMeasure: see `readiness.lib.files.files_in`.
    """
    table = f"[deployment.layers.{layer.name}]"
    found = files_in(Path(layer.path), layer.pattern, table)
    return next((file for file in found if not _is_sum(file.path)), None)


def _is_sum(path: Path) -> bool:
    return path.suffix == _SUM or path.name in _SUMS


def place_of(layer: SavedLayer) -> str:
    """The pattern of its copies, with the folder."""
    return f"{layer.path}/{layer.pattern}"


def minutes_old(copy: BackupFile) -> Measurement:
    """How old a copy is, in minutes.

    Raises:
        CouldNotMeasure: it is from the future: a clock is wrong.
    """
    age = age_of(copy)
    minutes = timedelta(hours=float(age.value)) / timedelta(minutes=1)
    return Measurement("age of the newest copy", minutes, "min", age.source)


def sum_fits(copy: BackupFile) -> Measurement:
    """Whether the copy matches its checksum, in a file of its own or in one of the folder.

    Raises:
        NoData: its checksum is missing or not valid.
        CouldNotMeasure: one of the files cannot be read.
    """
    own = copy.path.with_name(f"{copy.path.name}{_SUM}")
    for file in (own, *(copy.path.with_name(name) for name in _SUMS)):
        wanted = _sum_in(file, copy.path.name, alone=file == own)
        if wanted:
            fits = sha256_of(copy.path) == wanted
            what = "copies that do not match their checksum"
            return Measurement(what, int(not fits), "count", str(file))
    raise NoData(
        "the newest copy has no SHA-256 beside it",
        where=str(own),
        remedy=f"write it with the copy: sha256sum {copy.path.name} > {own.name}",
    )


def _sum_in(file: Path, name: str, *, alone: bool) -> str:
    """The sum of a file; `alone`: the first line is about it, whatever name it has."""
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            lines = opened.read(_LONGEST).splitlines()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise CouldNotMeasure(f"cannot be read: {error.strerror}", where=str(file)) from None
    found = [line for line in map(_LINE.fullmatch, map(str.strip, lines)) if line]
    said = {
        Path(one["name"] or one["tagged"] or "").name: one["sum"] or one["tag"] for one in found
    }
    first = next(iter(said.values()), "") if alone else ""
    return str(said.get(name) or first).lower()
