"""Locates mistakes in a configuration file: table and line."""

from collections.abc import Iterable
from dataclasses import dataclass

from readiness.config.base.mistakes import Mistake, Path
from readiness.config.lines import Lines
from readiness.config.places import label, place_of
from readiness.model.errors import Problem

Raw = dict[str, object]
"""A table as `tomllib` gives it."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read.

    Attributes:
        name: the file, as the user named it.
        raw: the tables of the configuration, as they were written.
        lines: where the keys of the whole file stand.
        root: the table the configuration lies in: `tool.readiness`, or none.
    """

    name: str
    raw: Raw
    lines: Lines
    root: Path = ()

    def problems(self, mistakes: Iterable[Mistake]) -> list[Problem]:
        """The mistakes as problems, in the order of the file."""
        ordered = sorted(mistakes, key=lambda m: self._line(m.path) or 0)
        return [Problem(self.where(m.path), m.message, m.remedy) for m in ordered]

    def where(self, path: Path) -> str:
        """File, line, table and key: `readiness.toml:12 [backup.orders] path`."""
        table, key = (path, "") if self._is_table(path) else _split(path)
        words = [self.origin(path), label(self.root + table) if table else "", key]
        return " ".join(word for word in words if word)

    def origin(self, path: Path) -> str:
        """File and line of a key: `readiness.toml:12`; only the file if the line is unknown."""
        line = self._line(path)
        return f"{self.name}:{line}" if line else self.name

    def value(self, path: Path) -> object:
        """The value at a path; None if there is none."""
        node: object = self.raw
        for key in path:
            if isinstance(node, dict):
                node = node.get(key)
            elif isinstance(node, list) and isinstance(key, int) and key < len(node):
                node = node[key]
            else:
                return None
        return node

    def _is_table(self, path: Path) -> bool:
        value = self.value(path)
        if isinstance(value, dict) and (not path or isinstance(path[-1], str)):
            return True
        return place_of(path) is not None and (value is None or isinstance(value, dict))

    def _line(self, path: Path) -> int | None:
        return self.lines.of(self.root + path)


def _split(path: Path) -> tuple[Path, str]:
    """The table of a key, and the key; for an entry of a list, the key of the list."""
    end = max((i for i, key in enumerate(path) if isinstance(key, str)), default=0)
    return path[:end], label(path[end : end + 1])[1:-1]
