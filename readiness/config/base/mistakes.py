"""A mistake in `readiness.toml`, and the kinds that several areas check.

Stands alone: the models, the areas and the scanner of lines all use it.
"""

from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass

from readiness.model.errors import did_you_mean

Path = tuple[str | int, ...]
"""The keys from the top of the file to a value; a number is an index of a list."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake at one place of a file.

    Attributes:
        path: the key or table, from the top of the configuration.
        message: what is wrong.
        remedy: what to do.
        environment: whether only the environment lacks something.
    """

    path: Path
    message: str
    remedy: str = ""
    environment: bool = False


def known(path: Path, name: str, table: str, names: Collection[str]) -> Iterator[Mistake]:
    """Report a name for which there is no table."""
    if name not in names:
        hint = did_you_mean(name, names)
        message = f"[{table}.{name}] does not exist"
        yield Mistake(path, f"{message}. {hint}" if hint else message, f"declare [{table}.{name}]")


def twice(path: Path, key: str, identities: Iterable[Hashable]) -> Iterator[Mistake]:
    """Report duplicate entries of a list.

    Args:
        path: the list.
        key: the key of an entry that must be unique; empty for plain values.
        identities: of the entries, in their order.
    """
    seen: set[Hashable] = set()
    for index, identity in enumerate(identities):
        if identity in seen:
            words = identity if isinstance(identity, tuple) else (identity,)
            told = " and ".join(repr(word) for word in words if word)
            yield Mistake(
                (*path, index, key) if key else (*path, index),
                f"duplicate entry {told}",
                "keep one of them",
            )
        seen.add(identity)
