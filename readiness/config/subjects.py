"""The subjects of a check, and what the target would have to declare to have one."""

from collections.abc import Iterable, Mapping
from functools import cache

from readiness.areas.registry import areas
from readiness.config.base import Model
from readiness.config.base.subject import Find, Subject
from readiness.config.base.tables import Config
from readiness.model.errors import UsageError


@cache
def _kinds() -> Mapping[str, tuple[str, Find]]:
    return {kind: found for area in areas() for kind, found in area.kinds.items()}


def declared_in(kind: str, needs: Iterable[str] = ()) -> str:
    """Where subjects of this kind are declared, for a message.

    Raises:
        UsageError: the kind is unknown.
    """
    return " ".join([_kind(kind)[0], *needs])


def subjects(config: Config, kind: str, needs: Iterable[str] = ()) -> list[Subject]:
    """The declared subjects of a kind that meet all needs, sorted by name.

    Args:
        config: the target.
        kind: which subjects.
        needs: keys of the subject's table that must be set, as `physical.dsn`, or properties of
            its model that must be true.

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
    """What the target would have to declare; empty if it has such a subject.

    For example "`retention_days` in [backup.shop]", if that table lacks the key.
    """
    wanted = list(needs)
    if subjects(config, kind, wanted):
        return ""
    there = subjects(config, kind)
    for need in wanted:
        if there and all(lacks(subject, need) for subject in there):
            return _lacking(there[0], need)
    return declared_in(kind, wanted)


def _lacking(subject: Subject, need: str) -> str:
    if not isinstance(subject, Model):
        return need
    if condition := subject.conditions.get(need):
        return f"[{subject.place}] {condition}"
    *tables, key = need.split(".")
    return f"`{key}` in [{'.'.join([subject.place, *tables])}]"


def lacks(subject: object, need: str) -> bool:
    """Whether a key, or a table above it, is not set or not true."""
    found = subject
    for word in need.split("."):
        found = getattr(found, word)
        if not found:
            return True
    return False


def _kind(kind: str) -> tuple[str, Find]:
    try:
        return _kinds()[kind]
    except KeyError:
        raise UsageError(
            f"unknown kind of subject {kind!r}",
            where=f"@check(each={kind!r})",
            remedy=f"use one of: {', '.join(sorted(_kinds()))}",
        ) from None
