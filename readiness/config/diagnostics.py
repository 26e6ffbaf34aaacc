"""Translates pydantic's validation errors into the terms of `readiness.toml`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from readiness.areas.registry import areas
from readiness.config.base import (
    IMAGE_PATTERN,
    NAME_PATTERN,
    PAGE_PATTERN,
    PATH_PATTERN,
    URL_PATTERN,
)
from readiness.config.base.mistakes import Mistake, Path
from readiness.config.interpolation import Interpolation
from readiness.config.places import NAME, place_of, places
from readiness.config.source import Source
from readiness.model.errors import did_you_mean, nearest
from readiness.model.secrets import redact

_LONGEST_SHOWN: Final = 60
_PATTERNS: Final = {
    NAME_PATTERN: "a name of at most 64 letters, digits, '.', '_' and '-'"
    " that begins with a letter or digit",
    PATH_PATTERN: "a path that begins with '/' and has no spaces",
    PAGE_PATTERN: "a path that begins with '/', or a whole address; no spaces",
    IMAGE_PATTERN: "an artifact by its digest, as registry/app@sha256:64 hex digits",
    URL_PATTERN: "an address such as https://host:port/path, without '?' and '#'",
}


@cache
def _patterns() -> Mapping[str, str]:
    """The descriptions of the models' patterns."""
    own = {pattern: words for area in areas() for pattern, words in area.patterns.items()}
    return _PATTERNS | own


_EXPECTED: Final = {
    "string_type": "text",
    "float_type": "a number",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "date_type": "a date such as 2030-12-31",
    "finite_number": "a finite number",
    "greater_than": "a number greater than {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number less than {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "string_too_short": "text that is not empty",
    "string_too_long": "text of at most {max_length} characters",
    "too_short": "{min_length} or more entries",
    "too_long": "at most {max_length} entries",
}
# Error types with an expected value; the others are whole sentences of validators.
_COMPARED: Final = {*_EXPECTED, "enum", "literal_error", "string_pattern_mismatch"}
_WANTED: Final = "Input should be "
_SECRET: Final = {
    "secret_type": "a secret is text, written as ${VARIABLE}",
    "secret_literal": "a secret must not be written in the file: use ${VARIABLE}",
}
_MOVED: Final[Mapping[Path, str]] = {
    (
        "gate",
        "not_applicable",
    ): "decide for each entry: [[not_applicable]] with what, reason, owner, approver and review"
}
_REMEDIES: Final = {"dsn": "write postgresql://user:${PASSWORD}@host:5432/database"}


def mistakes_of(error: ValidationError, source: Source, values: Interpolation) -> Iterator[Mistake]:
    """The mistakes of a validation, one for each place; never shows a secret."""
    grouped: dict[Path, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        grouped.setdefault(path_of(detail, source), []).append(detail)
    for path, details in grouped.items():
        yield _mistake(path, details, source, values.variables.get(path, ()))


def misplaced_names(source: Source) -> Iterator[Mistake]:
    """Report `name` in a table whose header is its name: it would be ignored silently."""
    for place in places():
        if place.path[-1:] != (NAME,) or "name" in place.keys:
            continue
        for path, table in _tables(source.raw, place.path):
            if "name" in table:
                yield Mistake(
                    (*path, "name"),
                    "unknown key 'name': the name is part of the table's header",
                    "remove it",
                )


def _tables(raw: object, pattern: Path) -> Iterator[tuple[Path, Mapping[str, object]]]:
    """The tables of a file at the paths that a pattern stands for."""
    if not isinstance(raw, dict):
        return
    if not pattern:
        yield (), raw
        return
    for key in raw if pattern[0] == NAME else {pattern[0]} & raw.keys():
        for path, table in _tables(raw[key], pattern[1:]):
            yield (key, *path), table


def path_of(detail: ErrorDetails, source: Source) -> Path:
    """The path in the file of an error, without the parts that only pydantic uses."""
    path: Path = ()
    for part in detail["loc"]:
        if source.value((*path, part)) is not None:
            path = (*path, part)
    if detail["type"] == "missing":
        path = (*path, detail["loc"][-1])
    return path


def _mistake(
    path: Path, details: Sequence[ErrorDetails], source: Source, variables: Sequence[str]
) -> Mistake:
    first = details[0]
    if first["type"] == "missing":
        return _missing(path)
    if first["type"] == "extra_forbidden":
        return _unknown(path, source.value(path))
    if first["type"] in _SECRET:
        return Mistake(path, _SECRET[first["type"]])
    if first["type"] not in _COMPARED and not first["msg"].startswith(_WANTED):
        told = redact(re.sub(r"^(Value error|Assertion failed), ", "", first["msg"]))
        return Mistake(path, told, _REMEDIES.get(first["type"], ""))
    if first["loc"][-1:] == ("[key]",):
        return Mistake(path, f"expected {_expected(first)}, found {_shown(path[-1])}")
    expected = " or ".join(_alternatives(details))
    found = _found(first["input"], variables)
    hint = "" if variables else _hint(first)
    message = f"expected {expected}, found {found}{hint}"
    return Mistake(path, redact(message), _remedy(path, first["input"]))


def _missing(path: Path) -> Mistake:
    place = place_of(path[:-1])
    field = place.keys.get(str(path[-1])) if place else None
    meaning = field.description if field and field.description else "it has no default"
    word = "table" if place_of(path) else "key"
    return Mistake(path, f"the {word} {str(path[-1])!r} is missing", f"add it: {meaning}")


def _unknown(path: Path, value: object) -> Mistake:
    if path in _MOVED:
        return Mistake(path, f"{str(path[-1])!r} is no longer part of [{path[0]}]", _MOVED[path])
    key = str(path[-1])
    word = "table" if isinstance(value, dict) else "key"
    place = place_of(path[:-1])
    if place and (field := place.keys.get(key)):
        told = f"{word} {key!r} is not of this kind of {place.label}"
        return Mistake(path, f"{told}: {field.description}" if field.description else told)
    valid = sorted(place.keys) if place else []
    elsewhere = [p.label or "the top level" for p in places() if key in p.keys]
    # A near miss of a key of this table was meant for it, even if another table has the word.
    near = nearest(key, valid, cutoff=0.8 if elsewhere else 0.6)
    if near:
        return Mistake(path, f"unknown {word} {key!r}. Did you mean {near!r}?")
    if elsewhere:
        belongs = " or ".join(elsewhere[:3])
        return Mistake(path, f"unknown {word} {key!r} here; it belongs to {belongs}")
    return Mistake(path, f"unknown {word} {_shown(key)}", f"use one of: {', '.join(valid)}")


def _alternatives(details: Sequence[ErrorDetails]) -> list[str]:
    words = list(dict.fromkeys(_expected(detail) for detail in details))
    return [word for word in words if not (word == "a whole number" and "a number" in words)]


def _expected(detail: ErrorDetails) -> str:
    context: Mapping[str, Any] = detail.get("ctx", {})
    kind = detail["type"]
    if kind in {"enum", "literal_error"}:
        return f"one of {', '.join(_options(context))}"
    if kind == "string_pattern_mismatch":
        return _patterns().get(context["pattern"], f"text of the form {context['pattern']}")
    if kind in _EXPECTED:
        return _EXPECTED[kind].format_map(context)
    return detail["msg"].removeprefix(_WANTED)


def _options(context: Mapping[str, Any]) -> list[str]:
    return re.findall(r"'[^']*'", str(context.get("expected", "")))


def _hint(detail: ErrorDetails) -> str:
    options = [option.strip("'") for option in _options(detail.get("ctx", {}))]
    word = detail["input"]
    meant = did_you_mean(word, options) if isinstance(word, str) else ""
    return f". {meant}" if meant else ""


def _remedy(path: Path, value: object) -> str:
    if isinstance(value, dict | list):
        step = "[]" if isinstance(value, dict) else "NAME"
        meant = [place.label for place in places() if place.path == (*path, step)]
        return f"write {meant[0]}" if value and meant else ""
    return ""


def _found(value: object, variables: Sequence[str]) -> str:
    if variables:
        return "the value of " + " and ".join(f"${{{name}}}" for name in variables)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table" if value else "an empty table"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, int | float | date):
        return str(value)[:_LONGEST_SHOWN]
    return _shown(value)


def _shown(value: object) -> str:
    """A text in quotes, short, without credentials."""
    text = re.sub(r"(?<=//)[^/\s]*@", "…@", str(value))
    text = re.sub(r"(?i)(password\s*[=:]\s*)\S+", r"\1…", text)
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")
