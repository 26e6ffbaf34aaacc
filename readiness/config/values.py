"""All keys of a configuration with their effective values and origins."""

import json
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Final

from readiness.config.base import Model, Named
from readiness.config.base.mistakes import Path
from readiness.config.base.tables import Config
from readiness.model.record import Setting
from readiness.model.secrets import Dsn, Secret, redact

if TYPE_CHECKING:
    from readiness.config.loading import Loaded


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


_LONGEST: Final = 80
"""Characters of a value in the record; a request body or a statement may be long."""


def settings(loaded: "Loaded") -> Iterator[Setting]:
    """What the file and the environment set, for the record; secrets as ‹set›."""
    for path, value in leaves(loaded.config):
        key = dotted(path)
        origin = loaded.origins[key]
        if origin != "default":
            shown = redact(_shown(value))
            text = shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
            yield Setting(key=key, value=text, origin=origin.rpartition("/")[2])


def show(loaded: "Loaded") -> str:
    """Every key with its effective value and its origin, one a line; secrets as ‹set›."""
    rows = [
        (f"{dotted(path)} = {_shown(value)}", loaded.origins[dotted(path)])
        for path, value in leaves(loaded.config)
    ]
    width = min(72, max(len(left) for left, _ in rows))
    lines = [f"# {loaded.path}", f"# sha256 {loaded.sha256}"]
    lines += [f"{left:<{width}}  # {origin}" for left, origin in rows]
    return redact("\n".join(lines)) + "\n"


def _shown(value: object) -> str:
    if isinstance(value, Dsn):
        return f"‹set› ({value.address})"
    if isinstance(value, Secret):
        return "‹set›"
    if value is None:
        return "‹not set›"
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False)
