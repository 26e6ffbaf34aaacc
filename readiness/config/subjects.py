"""The subjects of a check, and what to add to readiness.toml so that it has one."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from pydantic import BaseModel

from readiness.areas.registry import areas
from readiness.config.base import Model
from readiness.config.base.area import Absence, Find, Subject
from readiness.config.base.tables import Config
from readiness.config.places import STEPS, Shape, label, tables_in
from readiness.model.errors import UsageError
from readiness.model.secrets import redact

# Not in `$NAME`, `${NAME}`, SCHEMA.TABLE or URL-OF-EACH-PEER.
_WORD: Final = re.compile(r"(?<![\w${.-])[A-Z][A-Z_]+(?![\w-])")
_PLAIN: Final = re.compile(r"[\w./:@%+,=~-]+")
"""What needs no quotes in a shell, in YAML or in SQL: other values are not filled in."""


@cache
def _kinds() -> Mapping[str, tuple[str, Find]]:
    return {kind: found for area in areas() for kind, found in area.kinds.items()}


@cache
def _absences() -> Mapping[str, Absence]:
    return {check: look for area in areas() for check, look in area.absences.items()}


def absence(check: str) -> Absence | None:
    """What looks whether the target has what an undeclared check is about, if anything does."""
    return _absences().get(check)


def declared_in(kind: str, needs: Iterable[str] = ()) -> str:
    """Where subjects of this kind are declared, for a message.

    Raises:
        UsageError: the kind is unknown.
    """
    return " ".join([_kind(kind)[0], *needs])


def subjects(config: Config, kind: str, needs: Iterable[str] = ()) -> list[Subject]:
    """The declared subjects of a kind that meet all needs, sorted by name.

    Needs are keys of the subject's table that must be set, as `physical.dsn`, or properties of its
    model that must be true.

    Raises:
        UsageError: the kind is unknown.
    """
    found = sorted(_kind(kind)[1](config), key=lambda subject: subject.name)
    wanted = list(needs)
    return [subject for subject in found if not any(lacks(subject, need) for need in wanted)]


def declares(config: Config, kinds: Iterable[str]) -> bool:
    """Whether the target declares a subject of one of these kinds; an unknown kind has none."""
    return any(kind in _kinds() and subjects(config, kind) for kind in kinds)


def undeclared(config: Config, kind: str, needs: Iterable[str] = ()) -> str:
    """What to do so that the target declares such a subject; empty if it does.

    For example "set `retention_days` in [backup.shop]", if that table lacks the key.
    """
    wanted = list(needs)
    if subjects(config, kind, wanted):
        return ""
    there = subjects(config, kind)
    for need in wanted:
        if there and all(lacks(subject, need) for subject in there):
            return _lacking(there[0], need)
    table, _, also = _kind(kind)[0].partition("] ")
    more = [*([also] if also else []), *(f"`{need}`" for need in wanted)]
    return f"add {table.removesuffix(']')}]" + (f" with {_enumerated(more)}" if more else "")


def _enumerated(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _lacking(subject: Subject, need: str) -> str:
    if not isinstance(subject, Model):
        return f"set {need}"
    if condition := subject.conditions.get(need):
        return f"in [{subject.place}], set {condition}"
    *tables, key = need.split(".")
    models: tuple[type[BaseModel], ...] = (type(subject),)
    for table in tables:
        models = _inner(models, table)[1]
    shape, inner = _inner(models, key)
    place = ".".join([subject.place, *tables])
    if not inner:
        return f"set `{key}` in [{place}]"
    return f"add {label((*place.split('.'), key, *STEPS[shape]))}"


def _inner(models: Iterable[type[BaseModel]], key: str) -> tuple[Shape, tuple[type[Model], ...]]:
    """The tables that a key of one of these models holds."""
    fields = [model.model_fields[key] for model in models if key in model.model_fields]
    return tables_in(fields[0].annotation) if fields else ("one", ())


def lacks(subject: object, need: str) -> bool:
    """Whether a key, or a table above it, is not set or not true."""
    found = subject
    for word in need.split("."):
        found = getattr(found, word)
        if not found:
            return True
    return False


def filled(fix: str, subject: Subject | None, config: Config) -> str:
    """A fix with what the file says of a subject, and of the target, instead of words in capitals.

    What the file does not say, or what a shell would have to quote, stays a word.
    """
    tables = [getattr(config, key) for key in type(config).model_fields]
    words = {
        word: value
        for known in (*tables, subject)
        for word, value in getattr(known, "fix_words", _none)(config).items()
        if _PLAIN.fullmatch(value) and redact(value) == value
    }
    if isinstance(subject, Model) and subject.place.endswith(f".{subject.name}"):
        table = subject.place.removesuffix(subject.name)
        fix = re.sub(rf"\[{re.escape(table)}NAME\b", f"[{subject.place}", fix)
    return _WORD.sub(lambda found: words.get(found[0], found[0]), fix)


def _none(_: Config) -> Mapping[str, str]:
    return {}


def _kind(kind: str) -> tuple[str, Find]:
    try:
        return _kinds()[kind]
    except KeyError:
        raise UsageError(
            f"unknown kind of subject {kind!r}",
            where=f"@check(each={kind!r})",
            remedy=f"use one of: {', '.join(sorted(_kinds()))}",
        ) from None
