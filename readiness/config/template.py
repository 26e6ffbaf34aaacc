"""The commented `readiness.toml` of `readiness init`, and the reference of all keys.

Both are made of the models: what a key means and its default stand there, once. Values that no
default can give, such as addresses, are in `example.toml`.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from pathlib import Path
from textwrap import wrap
from typing import Any, Final, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from readiness.config.base import Model, Named
from readiness.config.models import Config
from readiness.config.places import NAME, label, places, tables_in
from readiness.model.errors import UsageError

_WIDTH: Final = 100
_HEAD: Final = """\
#:schema ./readiness.schema.json
# The target of `readiness`, and the limits that it must keep.
#
# Lines that begin with `# ` are explanations; lines that begin with `#` alone are examples: remove
# the `#` to use them. A table that is left out is "not verified", and the verdict is INCOMPLETE
# until it is filled in or excused in [[not_applicable]].
#
# ${VARIABLE} and ${VARIABLE:-default} come from the environment; `$${` is a plain `${`.
# A secret must come from there: it is never written in this file.
# `readiness config check` finds mistakes, `readiness config show` tells where each value comes
# from, and `readiness config schema > readiness.schema.json` helps your editor.
"""
# What must be there: all else is an example.
_NEEDED: Final = frozenset({("target",), ("target", "name")})


@dataclass(frozen=True, slots=True)
class _Table:
    """One table of the template.

    Attributes:
        path: its keys from the top.
        keys: the fields that may stand in it.
        means: what it is.
        values: its examples; None where the file has no example of it, and it is only explained.
        many: whether it is an entry of a list.
        only_explained: keys that would make it another kind of table than the example is.
    """

    path: tuple[str, ...]
    keys: Mapping[str, FieldInfo]
    means: str
    values: Mapping[str, Any] | None
    many: bool = False
    only_explained: frozenset[str] = frozenset()

    def lines(self) -> Iterator[str]:
        """The table, and those that stand in it."""
        if self.path:
            yield from ("", *_comment(self.means), self._marked(self.path) + self._header())
        inner = []
        for key, field in self.keys.items():
            if tables_in(field.annotation)[1]:
                inner.append((key, field))
            else:
                yield from self._key(key, field)
        for key, field in inner:
            for table in self._inside(key, field):
                yield from table.lines()

    def _header(self) -> str:
        return label((*self.path, "[]")) if self.many else label(self.path)

    def _marked(self, path: tuple[str, ...]) -> str:
        if self.values is None:
            return "# "
        return "" if path in _NEEDED else "#"

    def _key(self, key: str, field: FieldInfo) -> Iterator[str]:
        value = (self.values or {}).get(key, _default(field))
        if value is None or key in self.only_explained:
            yield from _comment(f"{key}: {field.description}")
            return
        line = f"{self._marked((*self.path, key))}{key} = {toml_of(value)}"
        if len(line) + len(field.description or "") + 4 <= _WIDTH:
            yield f"{line}  # {field.description}"
        else:
            yield from (*_comment(field.description or ""), line)

    def _inside(self, key: str, field: FieldInfo) -> Iterator["_Table"]:
        shape, models = tables_in(field.annotation)
        keys, means, path = _fields(models), field.description or "", (*self.path, key)
        found = (self.values or {}).get(key)
        if shape == "one" and found is not None:
            kind = _kind(models, found)
            others = frozenset(keys) - frozenset(kind.model_fields)
            yield _Table(path, keys, means, found, only_explained=others)
            return
        match shape:
            case "named":
                for name, values in (found or {NAME: None}).items():
                    # Each kind has an example of its own.
                    own = keys if values is None else _fields((_kind(models, values),))
                    yield _Table((*path, name), own, means, values)
            case "many":
                for values in found or [None]:
                    yield _Table(path, keys, means, values, many=True)
            case "one":
                yield _Table(path, keys, means, found)


@cache
def template() -> str:
    """The whole file: it can be loaded as it is, and with all its examples."""
    text = resources.files("readiness.config").joinpath("example.toml").read_text("utf-8")
    root = _Table((), _fields((Config,)), "", tomllib.loads(text))
    return _HEAD + "\n".join(root.lines()) + "\n"


def reference() -> str:
    """The page of all tables and keys, as Markdown."""
    lines = ["<!-- Made by `make docs`; do not edit. -->", "# Keys of readiness.toml", ""]
    for place in places():
        keys = [(k, f) for k, f in place.keys.items() if not tables_in(f.annotation)[1]]
        if not place.label or not keys:
            continue
        lines += [f"## `{place.label}`", "", "| key | default | meaning |", "|---|---|---|"]
        lines += [
            f"| `{key}` | {_shown(field)} | {_cell(field.description)} |" for key, field in keys
        ]
        lines.append("")
    return "\n".join(lines)


def write_template(path: Path) -> None:
    """Write the template; see `write_new`."""
    write_new(path, template())


def write_new(path: Path, text: str) -> None:
    """Write a file that does not exist yet; an existing one is never touched.

    Raises:
        UsageError: it exists, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(
            "exists already, and is left as it is",
            where=str(path),
            remedy="edit it, or name another folder",
        ) from None
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from error


def _fields(models: tuple[type[Model], ...]) -> dict[str, FieldInfo]:
    return {
        name: field
        for model in models
        for name, field in model.model_fields.items()
        if not (issubclass(model, Named) and name == "name")
    }


def _kind(models: tuple[type[Model], ...], values: Mapping[str, Any]) -> type[Model]:
    """The kind of table that an example is: all its keys and its fixed words are of that kind."""
    return next(
        model
        for model in models
        if values.keys() <= model.model_fields.keys()
        and all(_allows(model.model_fields[key].annotation, word) for key, word in values.items())
    )


def _allows(annotation: Any, value: Any) -> bool:
    return get_origin(annotation) is not Literal or value in get_args(annotation)


def _default(field: FieldInfo) -> Any:
    return None if field.default is PydanticUndefined else field.default


def _comment(text: str) -> list[str]:
    sentence = f"{text[:1].upper()}{text[1:]}." if not re.match(r"\w+: ", text) else f"{text}."
    return [f"# {line}" for line in wrap(sentence, _WIDTH - 2)]


def toml_of(value: Any) -> str:
    """A value as TOML, on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case date():
            return value.isoformat()
        case int() | float():
            return repr(value)
        case Mapping():
            pairs = (f"{label((key,))[1:-1]} = {toml_of(inner)}" for key, inner in value.items())
            return f"{{ {', '.join(pairs)} }}" if value else "{}"
        case list() | tuple():
            return f"[{', '.join(map(toml_of, value))}]"
        case _:
            return json.dumps(str(value), ensure_ascii=False)


def _shown(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "" if field.default is None else f"`{_cell(toml_of(field.default))}`"


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")
