"""What strict decoding refuses: unknown fields, values of another type, missing fields."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from readiness.lib.kubernetes.definitions import Tables, newest
from readiness.lib.kubernetes.parts import is_quantity
from readiness.lib.text import clean

_SCALARS: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "intstr": (int, str),
}
_LONGEST_NAME: Final = 60
_TEMPLATE: Final = "core.v1.PodTemplateSpec"
_CALLED: Final = {"intstr": "an integer or a text", "integer": "an integer", "string": "a text",
                  "boolean": "true or false", "number": "a number"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mistake:
    """A field that the API server refuses.

    Attributes:
        place: its path, as `spec.template`.
        problem: the rest of the sentence.
        unknown: whether no such field exists.
    """

    place: str
    problem: str
    unknown: bool = False

    def __str__(self) -> str:
        return f"{self.place} {self.problem}"


def mistakes(
    api_version: str, kind: str, body: object, tables: Tables | None = None
) -> list[Mistake]:
    """Unknown fields, values of another type and missing fields; none of a kind not in the table.

    `status` is not looked at: an apply ignores it. `null` counts as absent.

    Args:
        api_version: of the object, as `kind`.
        kind: of the object.
        body: the whole object.
        tables: the fields of a release; by default those of the newest one.
    """
    reader = _Reader((tables or newest()).types)
    root = (tables or newest()).kinds.get(f"{api_version} {kind}")
    if root:
        return list(reader.of(root, body, ""))
    spec = body.get("spec") if isinstance(body, Mapping) else None
    if kind == "Rollout" and isinstance(spec, Mapping):
        return list(reader.of(_TEMPLATE, spec.get("template"), "spec.template"))
    return []


@dataclass(frozen=True, slots=True)
class _Reader:
    """Walks through an object; `types` are those of `Tables`."""

    types: Mapping[str, Mapping[str, str]]

    def of(self, kind: str, value: object, place: str) -> Iterator[Mistake]:
        if value is None or kind == "any":
            return
        if kind.startswith(("[]", "{}")):
            yield from self._many(kind, value, place)
        elif kind == "quantity":
            if not is_quantity(value):
                yield Mistake(place, "is not a valid quantity")
        elif kind in _SCALARS:
            if not _fits(kind, value):
                yield Mistake(place, f"must be {_CALLED[kind]}{_unquoted(kind, value)}")
        else:
            yield from self._object(kind, value, place)

    def _many(self, kind: str, value: object, place: str) -> Iterator[Mistake]:
        inner = kind[2:]
        if kind.startswith("[]") and isinstance(value, list):
            for number, item in enumerate(value):
                yield from self.of(inner, item, f"{place}[{number}]")
        elif kind.startswith("{}") and isinstance(value, Mapping):
            for key, item in value.items():
                yield from self.of(inner, item, f"{place}.{_name(key)}")
        else:
            yield Mistake(place, "must be a list" if kind.startswith("[]") else "must be a mapping")

    def _object(self, kind: str, value: object, place: str) -> Iterator[Mistake]:
        if not isinstance(value, Mapping):
            yield Mistake(place, "must be a mapping")
            return
        fields = self.types[kind]
        for key, item in value.items():
            here = f"{place}.{_name(key)}" if place else _name(key)
            if key in fields:
                yield from self.of(fields[key].removesuffix("!"), item, here)
            else:
                close = get_close_matches(str(key), fields, 1)
                meant = f"; did you mean {close[0]}?" if close else ""
                yield Mistake(here, f"is not a known field{meant}", unknown=True)
        for key, field in fields.items():
            if field.endswith("!") and value.get(key) in (None, ""):
                yield Mistake(f"{place}.{key}" if place else key, "is required")


def _fits(kind: str, value: object) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _SCALARS[kind])


def _unquoted(kind: str, value: object) -> str:
    """YAML reads `yes`, `1.0` and `010` as no text."""
    return ": quote it" if kind == "string" and isinstance(value, bool | int | float) else ""


def _name(key: object) -> str:
    """A key in a path; one with dots stands in brackets."""
    if isinstance(key, str) and key.isalnum() and len(key) <= _LONGEST_NAME:
        return key
    text = clean(str(key), _LONGEST_NAME)
    return text if re.fullmatch(r"[\w-]+", text) else f"[{text}]"
