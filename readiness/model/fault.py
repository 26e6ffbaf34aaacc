"""What a fault is: a reversible break of the reference system, and the judgements it makes miss."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

Break = Callable[[Any], AbstractContextManager[None]]
"""A context manager that breaks the reference system, and restores it at the end."""

Misses = Mapping[str, frozenset[str] | None]
"""For each check, `area.slug[subject]`: exactly the keys of the judgements that miss.

No key: the check ends as `error`. None: not declared yet.
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """A break of the reference system and the exact set of judgements that miss while it lasts.

    Attributes:
        name: the name of the function.
        story: what is broken, as one sentence.
        misses: what does not pass.
        apply: breaks the system and restores it.
        needs: the part of the reference system that it breaks, as `ReferenceSystem.absent` calls
            it, if a machine may lack it; else empty.
    """

    name: str
    story: str
    misses: Misses
    apply: Break
    needs: str = ""

    @property
    def checks(self) -> frozenset[str]:
        """The ids of the checks that do not pass, without their subjects."""
        return frozenset(self.judgements)

    @property
    def suites(self) -> frozenset[str]:
        """The suites of the checks that do not pass."""
        return frozenset(check.partition(".")[0] for check in self.checks)

    @property
    def judgements(self) -> dict[str, tuple[str, ...]]:
        """By the id of each check that does not pass: the keys that miss on any subject."""
        found: dict[str, set[str]] = {}
        for name, keys in sorted(self.misses.items()):
            found.setdefault(name.partition("[")[0], set()).update(keys or ())
        return {check: tuple(sorted(keys)) for check, keys in found.items()}


def fault(
    *,
    story: str,
    misses: Mapping[str, Iterable[str]] | None = None,
    turns_red: Iterable[str] = (),
    needs: str = "",
) -> Callable[[Break], Fault]:
    """Declare a context manager to be a fault.

    Args:
        story: what is broken, as one sentence.
        misses: by the name of each check that must not pass, `area.slug[subject]`, the keys of
            exactly those judgements that miss; none where it cannot be judged at all.
        turns_red: the names alone.
        needs: a part of the reference system that a machine may lack; without it the fault is
            reported as not tried.

    Raises:
        ValueError: nothing misses.
    """
    expected: dict[str, frozenset[str] | None] = dict.fromkeys(turns_red)
    expected |= {name: frozenset(keys) for name, keys in (misses or {}).items()}
    if not expected:
        raise ValueError("a fault must name at least one judgement that misses")

    def declare(apply: Break) -> Fault:
        return Fault(apply.__name__, " ".join(story.split()), expected, apply, needs)

    return declare


def broken_by(
    name: str,
    story: str,
    misses: Mapping[str, Iterable[str]],
    levers: Callable[
        [Any], AbstractContextManager[None] | tuple[AbstractContextManager[None], ...]
    ],
    *,
    needs: str = "",
) -> Fault:
    """A fault that is nothing but levers of the reference system, pulled in their order.

    Args:
        name: that of the variable it is kept in.
        story: what is broken, as one sentence.
        misses: see `fault`.
        levers: from the levers of the system to those that are pulled.
        needs: see `fault`.
    """

    @contextmanager
    def pull(system: Any) -> Iterator[None]:
        pulled = levers(system.levers)
        with ExitStack() as stack:
            for lever in pulled if isinstance(pulled, tuple) else (pulled,):
                stack.enter_context(lever)
            yield

    pull.__name__ = name
    return fault(story=story, misses=misses, needs=needs)(pull)


def faults_of(module: ModuleType) -> list[Fault]:
    """The faults that a module declares, in their order there."""
    return [value for value in vars(module).values() if isinstance(value, Fault)]


def one_for_each_judgement(faults: Iterable[Fault]) -> list[Fault]:
    """Enough of the faults to prove every judgement that they prove: the most exact ones first."""
    proven: set[tuple[str, str]] = set()
    chosen = []
    for fault in sorted(faults, key=lambda fault: (len(fault.checks), fault.name)):
        proves = {(check, key) for check, keys in fault.judgements.items() for key in keys or ("",)}
        if not proves <= proven:
            chosen.append(fault)
            proven |= proves
    return chosen
