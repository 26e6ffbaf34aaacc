"""`${VAR}` and `${VAR:-default}` in the values of a configuration."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from readiness.config.base.mistakes import Mistake, Path
from readiness.config.source import Raw
from readiness.model.conninfo import HOLE, exposes
from readiness.model.secrets import Interpolated

_MARK: Final = re.compile(
    r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^{}]*))?\}|(?P<wrong>))", re.ASCII
)


@dataclass(slots=True)
class Interpolation:
    """The values after interpolation, and where variables were used.

    Attributes:
        values: the same tables with every reference replaced.
        variables: for each value with references, the variables it named.
        whole: the values that are one reference and nothing else.
        mistakes: invalid references; their values stay as written.
    """

    values: Raw = field(default_factory=dict)
    variables: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    whole: set[Path] = field(default_factory=set)
    mistakes: list[Mistake] = field(default_factory=list)


def interpolate(raw: Raw, environ: Mapping[str, str]) -> Interpolation:
    """Replace every reference in the values (never in the keys).

    Text with a value of the environment becomes `Interpolated`, unless it also holds a literal
    password. An empty variable counts as unset.

    Raises:
        RecursionError: the tables nest too deep.
    """
    result = Interpolation()
    result.values = {key: _value(value, (key,), environ, result) for key, value in raw.items()}
    return result


def scalar(text: str) -> object:
    """A text of the environment as a TOML number, boolean or date; else the text."""
    try:
        parsed = tomllib.loads(f"value = {text.strip()}")
    except (ValueError, RecursionError):
        return text
    value = parsed.pop("value")
    return value if not parsed and isinstance(value, int | float | date) else text


def _value(value: object, path: Path, environ: Mapping[str, str], result: Interpolation) -> object:
    if isinstance(value, dict):
        return {k: _value(v, (*path, k), environ, result) for k, v in value.items()}
    if isinstance(value, list):
        return [_value(v, (*path, i), environ, result) for i, v in enumerate(value)]
    if isinstance(value, str) and "${" in value:
        return _text(value, path, environ, result)
    return value


def _text(text: str, path: Path, environ: Mapping[str, str], result: Interpolation) -> str:
    """One text. `written` collects its literal parts, to find a password in them."""
    filled, written, end = "", "", 0
    names: list[str] = []
    mistakes: list[Mistake] = []
    supplied = False
    for mark in _MARK.finditer(text):
        literal, end = text[end : mark.start()], mark.end()
        name, default = mark["name"], mark["default"]
        value, from_file = "", HOLE
        if name is None:
            value = from_file = "${"  # the escape; a malformed one is reported
            mistakes += [_malformed(path)] if mark["wrong"] is not None else []
        elif environ.get(name):
            value, supplied = environ[name], True
        elif default is not None:
            value = from_file = default
        else:
            mistakes.append(_unset(path, name, environ))
        names += [name] if name else []
        filled += literal + value
        written += literal + from_file
    if mistakes:
        result.mistakes += mistakes
        return text
    if names:
        result.variables[path] = tuple(dict.fromkeys(names))
    if names and _MARK.fullmatch(text):
        result.whole.add(path)
    filled, written = filled + text[end:], written + text[end:]
    return Interpolated(filled) if supplied and not exposes(written) else filled


def _malformed(path: Path) -> Mistake:
    return Mistake(
        path,
        "'${' is not followed by a valid variable name",
        "write ${VARIABLE} or ${VARIABLE:-default}; for a literal '${' write '$${'",
    )


def _unset(path: Path, name: str, environ: Mapping[str, str]) -> Mistake:
    state = "is empty" if name in environ else "is not set"
    return Mistake(
        path,
        f"the environment variable {name} {state}",
        f"set {name}, or give a default: ${{{name}:-default}} (never for a secret)",
        environment=True,
    )
