"""What a fault is: a reversible break of the reference system, and what it must turn red."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

Break = Callable[[Any], AbstractContextManager[None]]
"""Breaks the reference system on entering, and restores exactly what was on leaving."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A break, and the exact set of checks that must not pass while it lasts.

    Attributes:
        name: the name of the function.
        story: what is broken, as one sentence.
        turns_red: names of checks, `suite.slug[subject]`.
        apply: breaks the system on entering, and restores exactly what was on leaving.
        needs: the part of the reference system that it breaks, as `ReferenceSystem.absent` calls
            it, where not every machine has it; empty for all others.
    """

    name: str
    story: str
    turns_red: frozenset[str]
    apply: Break
    needs: str = ""

    @property
    def checks(self) -> frozenset[str]:
        """The ids of the checks that it turns red, without their subjects."""
        return frozenset(name.partition("[")[0] for name in self.turns_red)

    @property
    def suites(self) -> frozenset[str]:
        """The suites of the checks that it turns red."""
        return frozenset(name.partition(".")[0] for name in self.turns_red)


def fault(*, turns_red: Iterable[str], story: str, needs: str = "") -> Callable[[Break], Fault]:
    """Declare a context manager to be a fault.

    Args:
        turns_red: the names of exactly those checks that must not pass, `suite.slug[subject]`.
        story: what is broken, as one sentence.
        needs: a part of the reference system that not every machine has: where it is absent the
            fault cannot be tried, which is told, and is no proof.

    Raises:
        ValueError: nothing is turned red.
    """
    names = frozenset(turns_red)
    if not names:
        raise ValueError("a fault that turns nothing red proves nothing")

    def declare(apply: Break) -> Fault:
        return Fault(
            name=apply.__name__,
            story=" ".join(story.split()),
            turns_red=names,
            apply=apply,
            needs=needs,
        )

    return declare


def faults_of(module: ModuleType) -> list[Fault]:
    """The faults that a module declares, in their order there."""
    return [value for value in vars(module).values() if isinstance(value, Fault)]


def one_for_each_check(faults: Iterable[Fault]) -> list[Fault]:
    """Enough of the faults to prove every check that they prove: those that turn least red first.

    Several faults of one check show several ways to break it; each of them is proof enough.
    """
    proven: set[str] = set()
    chosen = []
    for fault in sorted(faults, key=lambda fault: (len(fault.checks), fault.name)):
        if not fault.checks <= proven:
            chosen.append(fault)
            proven |= fault.checks
    return chosen
