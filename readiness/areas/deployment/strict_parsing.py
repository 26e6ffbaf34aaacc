"""Parses configuration strictly: what one parser swallows, another one refuses.

A key that stands twice is a mistake in each of the formats: most parsers take the last one, some
the first, and a few refuse the file when the service starts. No value is ever told: configuration
holds secrets.
"""

import configparser
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from yaml import ScalarNode

from readiness.lib import yaml_reader
from readiness.lib.text import clean

_LONGEST_KEY: Final = 60
_LONG_NUMBER: Final = "has a number of more digits than Python reads"


class _MistakeError(ValueError):
    """One mistake, in words."""


def kinds() -> tuple[str, ...]:
    """The endings of file names that can be parsed, with their dots."""
    return tuple(sorted(_PARSERS))


def mistakes(content: bytes, ending: str) -> list[str]:
    """What is wrong with a file, in words; empty if nothing is.

    Args:
        content: its bytes.
        ending: of its name, one of `kinds()`.
    """
    try:
        text = content.decode("utf-8-sig" if ending in _YAML_ENDINGS else "utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return [f"line {line}: is not UTF-8"]
    if not text.strip():
        return ["is empty"]
    try:
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
        yield "has only comments in it"
    if any(isinstance(document, ScalarNode) for document in documents):
        yield "is one plain value without a key: a space is missing after a colon"
    yield from yaml_reader.flaws(documents)


def _json(text: str) -> Iterator[str]:
    found: list[str] = []

    def pairs(items: list[tuple[str, object]]) -> Mapping[str, object]:
        known: dict[str, object] = {}
        for key, value in items:
            if key in known:
                found.append(f"the key {_shown(key)} stands twice in one object")
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
    raise _MistakeError(f"{word} is no number of JSON")


def _toml(text: str) -> Iterator[str]:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        yield clean(str(error))
    except ValueError:
        yield _LONG_NUMBER


def _ini(text: str, *, bare_keys: bool = False) -> Iterator[str]:
    parser = configparser.RawConfigParser(strict=True, allow_no_value=bare_keys)
    try:
        parser.read_string(text)
    except configparser.DuplicateSectionError as error:
        yield f"line {error.lineno}: the section [{_shown(error.section)}] stands twice"
    except configparser.DuplicateOptionError as error:
        yield f"line {error.lineno}: the key {_shown(error.option)} stands twice in its section"
    except configparser.MissingSectionHeaderError as error:
        yield f"line {error.lineno}: stands before the first section"
    except configparser.ParsingError as error:
        yield from (
            f"line {line}: is neither a section nor KEY = VALUE" for line, _ in error.errors
        )


def _cnf(text: str) -> Iterator[str]:
    """As MySQL writes it: a key may stand alone, but a section's header has its bracket."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("[") and "]" not in line:
            yield f"line {number}: the header of a section is not closed"
    yield from _ini(text, bare_keys=True)


def _shown(key: object) -> str:
    return repr(clean(str(key), _LONGEST_KEY))


_YAML_ENDINGS: Final = frozenset({".yaml", ".yml"})
_PARSERS: Final[Mapping[str, Callable[[str], Iterator[str]]]] = {
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": _json,
    ".toml": _toml,
    ".ini": _ini,
    ".cfg": _ini,
    ".cnf": _cnf,
}
