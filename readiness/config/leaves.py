"""The single values of a configuration, with their paths."""

from collections.abc import Iterator

from readiness.config.base import Model, Named
from readiness.config.base.mistakes import Path
from readiness.config.base.tables import Config


def leaves(config: Config) -> Iterator[tuple[Path, object]]:
    """Every key and its effective value. A list of plain values is one value."""
    yield from _leaves(config, ())


def dotted(path: Path) -> str:
    """The path as text: `performance.queries[0].sql`."""
    words = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return words.removeprefix(".")


def _leaves(value: object, path: Path) -> Iterator[tuple[Path, object]]:
    if isinstance(value, Model):
        for name in type(value).model_fields:
            if isinstance(value, Named) and name == "name":
                continue  # part of the path
            yield from _leaves(getattr(value, name), (*path, name))
    elif isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list) and any(isinstance(item, Model) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value
