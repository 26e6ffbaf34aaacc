"""What a command prints: text for people, or JSON for `--format json`."""

import json
import sys
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any, TypeVar

import click

from readiness.cli.terminal import fitted
from readiness.model.clean import clean

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
