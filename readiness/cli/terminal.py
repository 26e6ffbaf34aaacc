"""The terminal: its width and color, whether there is one, and how an error stands on it."""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import Final, TextIO

from readiness.model.clean import clean
from readiness.model.errors import ReadinessError
from readiness.model.secrets import redact

_REMEDY: Final = "  → "
_COLUMN: Final = re.compile(r"^\s*(?:→|\d+\.)?\s*|\s{2,}")
_NARROWEST: Final = 24
_INDENT: Final = 2


def width() -> int:
    """Columns to write in: those of the terminal, between 60 and 100."""
    return max(60, min(100, shutil.get_terminal_size((80, 24)).columns))


def fitted(row: str) -> list[str]:
    """A row broken between words; what goes on is below its last column that leaves room.

    A path or an address stays whole, even if it is longer than the terminal is wide.
    """
    columns = width()
    if len(row) <= columns:
        return [row]
    return textwrap.wrap(
        row,
        columns,
        subsequent_indent=" " * _hang(row, columns),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _hang(row: str, columns: int) -> int:
    """Where the next lines of a row begin: text below itself, and a command further in."""
    own = len(row) - len(row.lstrip())
    starts = [one.end() for one in _COLUMN.finditer(row) if one.end() > own]
    for start in reversed(starts):
        room = columns - start
        if room >= _NARROWEST and max(map(len, row[start:].split()), default=0) <= room:
            return start
    return own + _INDENT if starts or own > _INDENT else own


def colored(out: TextIO) -> bool:
    """Whether to use color: NO_COLOR, then FORCE_COLOR, then whether it is a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or out.isatty()


def in_ci(out: TextIO) -> bool:
    """Whether a CI system keeps the output as a log: it sets `CI`, and there is no terminal."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"} and not out.isatty()


def told(error: ReadinessError, out: TextIO | None = None) -> Iterator[str]:
    """The lines of an error.

    On a terminal they are broken between words; elsewhere, for a log or a program, they are not.
    A remedy with a command is never broken: somebody will paste it.
    """
    is_terminal = (out or sys.stderr).isatty()
    for number, row in enumerate(redact(str(error)).splitlines()):
        text = clean(row) if number else f"readiness: {clean(row)}"
        if is_terminal and not (text.startswith(_REMEDY) and ": " in text):
            yield from textwrap.wrap(
                text,
                width(),
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
                drop_whitespace=True,
            )
        else:
            yield text
