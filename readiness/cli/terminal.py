"""What commands print: text fit for the terminal or a log, JSON, and how an error stands there."""

import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any, Final, TextIO, TypeVar

import click

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


_F = TypeVar("_F", bound=Callable[..., Any])

format_option: Callable[[_F], _F] = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people or for programs.",
)


def emit(form: str, data: object, text: Iterable[str]) -> None:
    """Print `data` as JSON, or the lines of `text`; on a terminal they fit its columns."""
    if form == "json":
        click.echo(json.dumps(data, indent=1, ensure_ascii=False, default=_plain))
        return
    is_terminal = sys.stdout.isatty()
    for row in text:
        plain = clean(row).replace("\n", " ")
        for part in fitted(plain) if is_terminal else (plain,):
            click.echo(part)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
