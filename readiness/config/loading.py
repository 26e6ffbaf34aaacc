"""Loads readiness.toml into a validated configuration, or reports every mistake."""

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from readiness.config.base import FOLDER
from readiness.config.base.mistakes import Mistake
from readiness.config.base.mistakes import Path as KeyPath
from readiness.config.crosschecks import cross_mistakes
from readiness.config.diagnostics import misplaced_names, mistakes_of, path_of
from readiness.config.finding import PROJECT_FILE, locate, read
from readiness.config.interpolation import Interpolation, interpolate, scalar
from readiness.config.models import Config
from readiness.config.source import Raw, Source, scan
from readiness.config.values import dotted, leaves
from readiness.model.errors import ConfigError, Problem
from readiness.model.secrets import SHORTEST

_SCALARS: Final = {"float_type", "int_type", "bool_type", "date_type"}
_SYNTAX: Final = {
    "Invalid value": "put quotes around text; write true and false in lower case",
    "Illegal character '\\n'": "close the quotes on the same line, or use three of them",
    "Invalid hex value": "put text with backslashes in single quotes",
    "Unescaped": "put text with backslashes in single quotes",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration with its file and the SHA-256 of its bytes.

    Attributes:
        config: the validated configuration, names set.
        path: the file.
        sha256: in hex.
        asked_sha256: of what the file asks for: the same for other comments and sign-offs.
        origins: for each dotted key `file:line`, `env VARIABLE` or `default`.
    """

    config: Config
    path: Path
    sha256: str
    asked_sha256: str
    origins: dict[str, str]


@dataclass(frozen=True, slots=True)
class Draft:
    """An examined file; `config` is None if a table is invalid, and usable without mistakes."""

    source: Source
    values: Interpolation
    mistakes: tuple[Mistake, ...]
    config: Config | None


def load(path: Path, environ: Mapping[str, str], *, today: date | None = None) -> Loaded:
    """Load `readiness.toml`, or a `pyproject.toml` with `[tool.readiness]`.

    Args:
        path: the file.
        environ: the values of `${VARIABLE}`.
        today: the day for which waivers must be valid; default: today (UTC).

    Raises:
        ConfigError: with every mistake found.
    """
    data = read(path)
    draft = examine(path, data, environ, today or datetime.now(UTC).date())
    if draft.config is None or draft.mistakes:
        raise ConfigError(draft.source.problems(draft.mistakes))
    return Loaded(
        config=draft.config,
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        asked_sha256=_asked(draft.source.raw),
        origins=_origins(draft, draft.config),
    )


def _asked(raw: Raw) -> str:
    """The digest of the tables as they were written, so that it holds no secret."""
    rest = {name: table for name, table in raw.items() if name != "signoff"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, default=str).encode()).hexdigest()


def examine(path: Path, data: bytes, environ: Mapping[str, str], today: date) -> Draft:
    """Examine the bytes of a configuration file.

    Raises:
        ConfigError: it is not TOML.
    """
    source = _parse(path, data)
    try:
        values = interpolate(source.raw, environ)
        config, mistakes = _validate(source, values, path.parent)
    except RecursionError:
        raise ConfigError(
            [Problem(str(path), "its tables or lists are nested too deeply")]
        ) from None
    mistakes = [*values.mistakes, *mistakes, *misplaced_names(source)]
    if config and not mistakes:
        mistakes = list(cross_mistakes(config, today))
    return Draft(source, values, tuple(_veiled(m, values, environ) for m in mistakes), config)


def _veiled(mistake: Mistake, values: Interpolation, environ: Mapping[str, str]) -> Mistake:
    """The mistake with values of the environment replaced by `${VARIABLE}`: one may be a secret."""
    message, remedy = mistake.message, mistake.remedy
    names = {name for variables in values.variables.values() for name in variables}
    for name in sorted(names, key=lambda name: (-len(environ.get(name, "")), name)):
        text = environ.get(name, "").strip()
        if len(text) >= SHORTEST:
            message = message.replace(text, f"${{{name}}}")
            remedy = remedy.replace(text, f"${{{name}}}")
    return replace(mistake, message=message, remedy=remedy)


def _parse(path: Path, data: bytes) -> Source:
    name = str(path)
    try:
        # Windows editors write a byte order mark.
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = Problem(f"{name}:{line}", "is not UTF-8 text", "save the file as UTF-8")
        raise ConfigError([problem]) from None
    try:
        raw = tomllib.loads(text)
    except ValueError as error:
        raise ConfigError([_syntax_problem(name, text, str(error))]) from None
    except RecursionError:
        raise ConfigError([Problem(name, "tables or lists are nested too deeply")]) from None
    if path.name != PROJECT_FILE:
        return Source(name, raw, scan(text))
    return Source(name, _own_table(name, raw), scan(text), root=("tool", "readiness"))


def _own_table(name: str, raw: Raw) -> Raw:
    tool = raw.get("tool")
    table = tool.get("readiness") if isinstance(tool, dict) else None
    if not isinstance(table, dict):
        raise ConfigError(
            [Problem(name, "has no table [tool.readiness]", "create a file: readiness init")]
        )
    return table


def _syntax_problem(name: str, text: str, message: str) -> Problem:
    twice = scan(text).twice
    if twice and re.search("overwrite|twice|mutate|redefine|[Dd]uplicate", message):
        path, first, second = twice[0]
        return Problem(
            f"{name}:{second}",
            f"duplicate key {dotted(path)!r}, first on line {first}",
            "keep one of them",
        )
    place = re.search(r"\(at line (\d+), column (\d+)\)", message)
    what = re.sub(r"\s*\(at .*\)$", "", message)
    where = f"{name}:{place[1]}" if place else f"{name}:{text.rstrip().count(chr(10)) + 1}"
    column = f" (column {place[2]})" if place else " (the file ends too early)"
    told = f"is not valid TOML: {what[:1].lower()}{what[1:]}{column}"
    return Problem(where, told, _syntax_remedy(what))


def _syntax_remedy(what: str) -> str:
    return next((remedy for start, remedy in _SYNTAX.items() if what.startswith(start)), "")


def _validate(
    source: Source, values: Interpolation, folder: Path
) -> tuple[Config | None, list[Mistake]]:
    """Validate; texts of the environment become numbers where a number is expected."""
    # From the folder itself, paths stay as they were written.
    beside = {} if folder.resolve() == Path.cwd().resolve() else {FOLDER: folder.resolve()}
    converted = False
    while True:
        try:
            return Config.model_validate(values.values, context=beside).named(), []
        except ValidationError as error:
            if converted or not _take_scalars(error, source, values):
                return None, _mistakes(error, source, values)
            converted = True


def _take_scalars(error: ValidationError, source: Source, values: Interpolation) -> bool:
    """Convert texts of the environment to numbers, booleans and dates where these are expected."""
    wanted = {path_of(e, source) for e in error.errors() if e["type"] in _SCALARS}
    taken = wanted & values.whole
    for path in taken:
        _replace(values.values, path)
    return bool(taken)


def _replace(values: Raw, path: KeyPath) -> None:
    node: object = values
    for key in path[:-1]:
        node = node[key]  # type: ignore[index]
    node[path[-1]] = scalar(str(node[path[-1]]))  # type: ignore[index]


def _mistakes(error: ValidationError, source: Source, values: Interpolation) -> list[Mistake]:
    """The mistakes of validation, without those caused by unresolved references."""
    unfilled = {mistake.path for mistake in values.mistakes}
    return [m for m in mistakes_of(error, source, values) if m.path not in unfilled]


def _origins(draft: Draft, config: Config) -> dict[str, str]:
    """Where the value of each key comes from; of a list, from the variables of any of its items."""
    named: dict[KeyPath, list[str]] = {}
    for place, variables in draft.values.variables.items():
        for depth in range(1, len(place) + 1):
            named.setdefault(place[:depth], []).extend(variables)
    return {dotted(key): _origin(key, draft, named.get(key, ())) for key, _ in leaves(config)}


def _origin(path: KeyPath, draft: Draft, names: Iterable[str]) -> str:
    if names:
        return f"env {', '.join(dict.fromkeys(names))}"
    return draft.source.origin(path) if draft.source.value(path) is not None else "default"


def configured(explicit: Path | None) -> Loaded:
    """The loaded configuration.

    Raises:
        UsageError: there is none.
        ConfigError: it has mistakes.
    """
    return load(locate(explicit), os.environ)
