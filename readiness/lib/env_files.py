"""Reads env files as the program does that reads them: compose, `docker run`, systemd.

compose: the rules of compose-go's package `dotenv`, which dotenv libraries and shells share where
it matters. docker: `kvfile` of docker/cli, which takes quotes and comments as part of a value.
systemd: `systemd.exec(5)`, EnvironmentFile=, which knows quotes and no variables.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from readiness.lib.text import clean

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]-]*")
_START: Final = re.compile(
    r"[ \t]*(?:export[ \t]+)?(?P<name>[^\s=:'\"]+)[ \t]*(?P<sign>[=:]?)[ \t]*"
)
_COMMENT: Final = re.compile(" #")
_ESCAPED: Final = re.compile(r"\\([nrt\"\\])")
_KEPT: Final = re.compile(r"\\([\\$])")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}
_LONGEST_NAME: Final = 60
_QUOTES: Final = "'\""


@dataclass(slots=True)
class EnvFile:
    """The content of an env file.

    Attributes:
        values: the variables; of equal ones the last.
        inherited: names without a value, which come from the environment of the reader.
        mistakes: what its reader refuses, ignores or takes in another way than it is written.
        blank: variables that it refers to, and that are not set.
    """

    values: dict[str, str] = field(default_factory=dict)
    inherited: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    blank: list[str] = field(default_factory=list)

    def add(self, name: str, text: str, line: int) -> None:
        """Add a variable, and report one that is there already."""
        if name in self.values:
            self.mistakes.append(f"line {line}: duplicate variable {_shown(name)}")
        self.values[name] = text


Unset = Callable[[str], str]
"""What a variable becomes that is not set, by its name."""
Fill = Callable[[str, Mapping[str, str], Unset], str]
"""Replaces the variables in a text, or raises a ValueError."""


def of_compose(text: str, outer: Mapping[str, str], fill: Fill) -> EnvFile:
    """As compose and dotenv libraries read it.

    Args:
        text: the content.
        outer: the environment of the reader, which comes before the file's own variables.
        fill: replaces variables as compose does.
    """
    found = EnvFile()
    rest, line = text.replace("\r\n", "\n"), 1
    while rest:
        first, _, after = rest.partition("\n")
        taken = 1
        if first.strip() and not first.lstrip().startswith("#"):
            used = _assignment(rest, line, found, _Filler(found, outer, fill))
            taken = rest.count("\n", 0, used) + 1
            after = rest[used:].partition("\n")[2]
        rest, line = after, line + taken
    return found


def _assignment(rest: str, line: int, found: EnvFile, filler: "_Filler") -> int:
    """Read one assignment at the beginning of a text; returns how much of it was used."""
    end_of_line = _end_of_line(rest)
    start = _START.match(rest[:end_of_line])
    if start is None or not _NAME.fullmatch(start["name"]):
        found.mistakes.append(f"line {line}: is not KEY=value")
        return end_of_line
    name, at = start["name"], start.end()
    if not start["sign"]:
        if not rest[at:end_of_line].strip():
            found.inherited.append(name)
        else:
            found.mistakes.append(f"line {line}: is not KEY=value")
        return end_of_line
    quote = rest[at : at + 1]
    if not quote or quote not in _QUOTES:
        if quote == "#" and rest[at - 1].isspace():
            found.mistakes.append(f"line {line}: the comment becomes the value of {_shown(name)}")
        plain = _COMMENT.split(rest[at:end_of_line])[0].strip()
        found.add(name, filler.filled(plain, line), line)
        return end_of_line
    end = _closing(rest, at + 1, quote)
    if end < 0:
        found.mistakes.append(f"line {line}: the quote of {_shown(name)} is not closed")
        return len(rest) if rest.count("\n") == 0 else end_of_line
    inner = rest[at + 1 : end]
    if quote == '"':
        inner = _KEPT.sub(lambda one: "$$" if one[1] == "$" else one[0], inner)
        inner = filler.filled(inner, line)
        inner = _ESCAPED.sub(lambda one: _ESCAPES.get(one[1], one[1]), inner)
    else:
        inner = inner.replace("\\'", "'")
    found.add(name, inner, line)
    after = end + 1
    left = rest[after : after + _end_of_line(rest[after:])]
    if left.strip() and not left.lstrip().startswith("#"):
        found.mistakes.append(f"line {line}: text after the closing quote of {_shown(name)}")
    return after + len(left)


def _end_of_line(text: str) -> int:
    end = text.find("\n")
    return len(text) if end < 0 else end


def _closing(text: str, start: int, quote: str) -> int:
    """Where a quote is closed; a backslash before it keeps it open; -1 if nowhere."""
    at = text.find(quote, start)
    while at > 0 and text[at - 1] == "\\":
        at = text.find(quote, at + 1)
    return at


@dataclass(frozen=True, slots=True)
class _Filler:
    """Replaces variables, and notes those that are not set."""

    found: EnvFile
    outer: Mapping[str, str]
    fill: Fill

    def filled(self, text: str, line: int) -> str:
        try:
            return self.fill(text, {**self.found.values, **self.outer}, self._unset)
        except ValueError as error:
            self.found.mistakes.append(f"line {line}: {error}")
            return text

    def _unset(self, name: str) -> str:
        self.found.blank.append(name)
        return ""


def of_docker(text: str, _: Mapping[str, str]) -> EnvFile:
    """As `docker run --env-file` reads it."""
    found = EnvFile()
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.lstrip()
        if not line or line.startswith("#"):
            continue
        name, sign, value = line.partition("=")
        if not name or re.search(r"\s", name):
            found.mistakes.append(f"line {number}: `docker run` refuses it: a blank before the =")
        elif not sign:
            found.inherited.append(name)
        else:
            found.mistakes += _taken_whole(name, value, number, "docker run")
            found.add(name, value, number)
    return found


def _taken_whole(name: str, value: str, line: int, reader: str) -> Iterator[str]:
    """What other readers would have removed, and this one does not."""
    if len(value) > 1 and value[0] in _QUOTES and value[0] == value.rstrip()[-1]:
        yield f"line {line}: `{reader}` takes the quotes as part of {_shown(name)}"
    elif _COMMENT.search(value):
        yield f"line {line}: `{reader}` takes the comment as part of {_shown(name)}"
    elif re.fullmatch(r"\$\{\w+\}", value.strip()):
        yield f"line {line}: `{reader}` replaces no variables, as in {_shown(name)}"


def of_systemd(text: str, _: Mapping[str, str]) -> EnvFile:
    """As systemd reads EnvironmentFile=."""
    found = EnvFile()
    joined = re.sub(r"\\\n", "\0", text.replace("\r\n", "\n"))
    number = 1
    for raw in joined.split("\n"):
        line, here = raw.strip().replace("\0", ""), number
        number += 1 + raw.count("\0")
        if not line or line[0] in "#;":
            continue
        name, sign, value = line.partition("=")
        name, value = name.strip(), value.strip()
        if not sign or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            found.mistakes.append(f"line {here}: systemd ignores it: it is not KEY=value")
            continue
        if value[:1] in _QUOTES and value[:1]:
            end = _closing(value, 1, value[0])
            if end < 0:
                found.mistakes.append(f"line {here}: the quote of {_shown(name)} is not closed")
            value = value[1 : end if end > 0 else None]
        else:
            found.mistakes += _taken_whole(name, value, here, "systemd")
        found.add(name, value, here)
    return found


def _shown(name: str) -> str:
    return clean(name, _LONGEST_NAME)
