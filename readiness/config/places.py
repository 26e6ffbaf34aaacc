"""The tables and keys that `readiness.toml` may have, derived from the models."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from readiness.config.base import Model, Named
from readiness.config.base.mistakes import Path
from readiness.config.models import Config

Shape = Literal["one", "named", "many"]
NAME: Final = "NAME"
_EACH: Final = "[]"
STEPS: Final[Mapping[Shape, tuple[str, ...]]] = {"one": (), "named": (NAME,), "many": (_EACH,)}
"""What a path has after the key of one table, of tables with names, and of a list of tables."""


@dataclass(frozen=True, slots=True)
class Place:
    """One table of the file.

    Attributes:
        path: its keys from the top; `NAME` for any name, `[]` for an entry of an array.
        keys: its fields.
    """

    path: tuple[str, ...]
    keys: Mapping[str, FieldInfo]

    @property
    def label(self) -> str:
        """As it is written: `[services.NAME.drill]`, `[[waiver]]`; empty for the top level."""
        return label(self.path)


def label(path: Path) -> str:
    """The header of the table at a path, as it is written in the file; empty for the top."""
    words = [_quoted(key) for key in path if isinstance(key, str) and key != _EACH]
    if not words:
        return ""
    array = path[-1] == _EACH or isinstance(path[-1], int)
    return f"[[{'.'.join(words)}]]" if array else f"[{'.'.join(words)}]"


@cache
def places() -> tuple[Place, ...]:
    """Every possible table, the top level first."""
    return tuple(_places((), (Config,)))


def place_of(path: Path) -> Place | None:
    """The table at a path, or None if there can be none."""
    return next((place for place in places() if _matches(place.path, path)), None)


def _matches(pattern: tuple[str, ...], path: Path) -> bool:
    return len(pattern) == len(path) and all(
        isinstance(key, int) if expected == _EACH else expected in {NAME, key}
        for expected, key in zip(pattern, path, strict=True)
    )


def _places(path: tuple[str, ...], models: tuple[type[BaseModel], ...]) -> Iterator[Place]:
    keys = {
        name: field
        for model in models
        for name, field in model.model_fields.items()
        if not (issubclass(model, Named) and name == "name")
    }
    yield Place(path, keys)
    for name, field in keys.items():
        shape, inner = tables_in(field.annotation)
        if inner:
            yield from _places((*path, name, *STEPS[shape]), inner)


def tables_in(annotation: Any) -> tuple[Shape, tuple[type[Model], ...]]:
    """The tables a field holds, and whether one, one for each name, or a list of them."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return tables_in(arguments[0])
    if origin in {dict, Mapping}:
        return "named", tables_in(arguments[1])[1]
    if origin is list:
        return "many", tables_in(arguments[0])[1]
    if origin in {Union, UnionType}:
        parts = [tables_in(part) for part in arguments]
        shape: Shape = next((shape for shape, models in parts if models), "one")
        return shape, tuple(model for _, models in parts for model in models)
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return "one", (annotation,)
    return "one", ()


def _quoted(key: str) -> str:
    plain = key and all(c.isascii() and (c.isalnum() or c in "_-") for c in key)
    return key if plain else json.dumps(key, ensure_ascii=not key.isprintable())
