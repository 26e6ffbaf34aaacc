"""Subjects: what a check is judged on."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from readiness.config.base import Named

_S = TypeVar("_S", bound=Named)


class Subject(Protocol):
    """Anything with a name that becomes part of a check's id."""

    @property
    def name(self) -> str:
        """The name, as the configuration gives it."""
        ...


class Item:
    """A subject without a table of its own, such as a required sign-off."""

    def __init__(self, name: str) -> None:
        self.name = name


Find = Callable[[Any], Sequence[Subject]]
"""Finds the subjects of one kind in a configuration."""


def of(tables: Mapping[str, _S]) -> list[_S]:
    """The values of a table of tables."""
    return list(tables.values())
