"""Locates mistakes in a configuration file: line, table and key.

`tomllib` gives no line numbers. The scanner here only finds keys; on invalid TOML it finds what it
can and never raises.
"""

import contextlib
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from readiness.config.base.mistakes import Mistake, Path
from readiness.config.places import label, place_of
from readiness.model.errors import Problem

# Deeper keys get no line of their own: hostile text must not take quadratic time.
_DEEPEST: Final = 32

_TOKEN: Final = re.compile(
    r"""
    (?P<string>\"\"\"(?:\\.|[^\\])*?\"\"\"\"{0,2} | '''.*?''''{0,2}
             | "(?:\\.|[^"\\\n])*" | '[^'\n]*')
  | (?P<space>[ \t\r]+ | \#[^\n]*)
  | (?P<line>\n)
  | (?P<mark>[\[\]{}=,.])
  | (?P<bare>[^\s\[\]{}=,."'#]+)
  | (?P<stray>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int
    start: int


@dataclass(slots=True)
class Lines:
    """The result of a scan.

    Attributes:
        at: the line (from 1) of the first occurrence of a key or table.
        twice: duplicate keys: path, first line, second line.
    """

    at: dict[Path, int] = field(default_factory=dict)
    twice: list[tuple[Path, int, int]] = field(default_factory=list)

    def of(self, path: Path) -> int | None:
        """The line of a path, or of the nearest enclosing table."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.at:
                return self.at[path[:end]]
        return None


def scan(text: str) -> Lines:
    """Find the lines of all keys and tables."""
    scanner = _Scanner(text)
    # Truncated or too deep: what was found so far is kept.
    with contextlib.suppress(StopIteration, RecursionError):
        scanner.document()
    return scanner.found


class _Scanner:
    def __init__(self, text: str) -> None:
        self.found = Lines()
        self._tokens = _tokens(text)
        self._arrays: dict[Path, int] = {}
        self._tables: set[Path] = set()
        self._next()

    def _next(self) -> None:
        self._token = next(self._tokens)

    def document(self) -> None:
        table: Path = ()
        while True:
            if self._token.kind == "line":
                self._next()
            elif self._token.text == "[" and self._token.kind == "mark":
                table = self._header()
            elif self._token.kind in {"bare", "string"}:
                self._pair(table)
                self._skip_line()
            else:
                self._skip_line()

    def _header(self) -> Path:
        opening = self._token
        self._next()
        array = self._token.text == "[" and self._token.start == opening.start + 1
        if array:
            self._next()
        path = self._resolve(self._key())
        if array:
            self._arrays[path] = self._arrays.get(path, -1) + 1
            self._define(path, opening.line)
            path = (*path, self._arrays[path])
        elif path in self._tables and path in self.found.at:
            self.found.twice.append((path, self.found.at[path], opening.line))
        self._tables.add(path)
        self._define(path, opening.line)
        self._skip_line()
        return path

    def _resolve(self, keys: Path) -> Path:
        """Resolve a header below an array of tables to the array's last element."""
        path: Path = ()
        for key in keys[:-1]:
            path = (*path, key)
            if path in self._arrays:
                path = (*path, self._arrays[path])
        return path + keys[-1:]

    def _pair(self, table: Path) -> None:
        line = self._token.line
        path = table + self._key()
        if path in self.found.at and path != table:
            self.found.twice.append((path, self.found.at[path], line))
        self._define(path, line)
        if self._token.text == "=":
            self._next()
            self._value(path)

    def _define(self, path: Path, line: int) -> None:
        path = path[:_DEEPEST]
        for end in range(1, len(path) + 1):
            self.found.at.setdefault(path[:end], line)

    def _key(self) -> Path:
        parts: list[str] = []
        while self._token.kind in {"bare", "string"} or self._token.text == ".":
            if self._token.text != ".":
                parts.append(_plain(self._token.text))
            self._next()
        return tuple(parts[:_DEEPEST])

    def _value(self, path: Path) -> None:
        if self._token.text == "[":
            self._next()
            self._list(path)
        elif self._token.text == "{":
            self._next()
            self._inline_table(path)
        else:
            while self._token.kind != "line" and self._token.text not in {",", "]", "}"}:
                self._next()

    def _list(self, path: Path) -> None:
        index = 0
        while self._token.text != "]":
            if self._token.kind == "line":
                self._next()
            elif self._token.text == ",":
                index += 1
                self._next()
            else:
                self._define((*path, index), self._token.line)
                self._value((*path, index))
                self._leave_unexpected()
        self._next()

    def _inline_table(self, path: Path) -> None:
        while self._token.text != "}":
            if self._token.kind in {"bare", "string"}:
                self._pair(path)
            else:
                self._next()
        self._next()

    def _leave_unexpected(self) -> None:
        """Skip what may not follow a value in a list, so that the scan always advances."""
        if self._token.kind != "line" and self._token.text not in {",", "]"}:
            self._next()

    def _skip_line(self) -> None:
        while self._token.kind != "line":
            self._next()


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "stray"
        if kind != "space":
            yield _Token(kind, match.group(), line, match.start())
        line += match.group().count("\n")
    yield _Token("line", "\n", line, len(text))


def _plain(key: str) -> str:
    if key[0] not in "\"'":
        return key
    try:
        return str(tomllib.loads(f"key = {key}")["key"])
    except ValueError:
        return key


Raw = dict[str, object]
"""A table as `tomllib` gives it."""


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration file.

    Attributes:
        name: the file, as the user named it.
        raw: the tables of the configuration, as written.
        lines: the lines of the keys of the whole file.
        root: the table that contains the configuration: `tool.readiness`, or none.
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
