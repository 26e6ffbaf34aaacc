"""Takes statements out of the fix text of a check, so that a test obeys what a user reads."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import takewhile
from textwrap import dedent
from typing import Any, Final

import yaml

from readiness.run import catalogue

_COMMENT: Final = re.compile(r"--[^\n]*")
# What changes something. A look at what is there has no fault to mend.
_CHANGE: Final = re.compile(
    r"(?<![\w'`])(?:alter (?:system|role|database|table|sequence|collation|subscription|function"
    r"|view|policy|extension) |create (?:extension|policy|index)|drop index|grant|revoke|reindex"
    r"|vacuum \(|analyze TABLE|rollback prepared|update pg_collation"
    r"|set default_transaction_read_only"
    r"|select (?:pg_terminate_backend|pg_drop_replication_slot|setval)\()"
    r"[^;\n]*(?:\n[^;\n]+)?;"
)
_PLACEHOLDER: Final = re.compile(r"\b[A-Z][A-Z_]{2,}\b")


@cache
def _fixes() -> dict[str, str]:
    return {entry.spec.id: entry.spec.fix for entry in catalogue.entries()}


def fix(check: str) -> str:
    """The fix text of a check."""
    return _fixes()[check]


def checks(area: str) -> list[str]:
    """The ids of an area's checks."""
    return [check for check in _fixes() if check.startswith(f"{area}.")]


def statements(check: str) -> list[str]:
    """The statements of its fix that change something, each on one line, as they are written."""
    text = _COMMENT.sub("", fix(check))
    return [" ".join(found.split()) for found in _CHANGE.findall(text)]


def neither(
    area: str, obeyed: Iterable[tuple[str, str]], excused: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """The statements of an area's fixes that no test obeys and nothing excuses.

    Args:
        area: its name.
        obeyed: the check, and the beginning of a statement of its fix.
        excused: by check, beginnings of statements with the reason.
    """
    known = {*obeyed, *((check, begin) for check, texts in excused.items() for begin in texts)}
    return [
        f"{check}: {statement}"
        for check in checks(area)
        for statement in statements(check)
        if not any(statement.startswith(begin) for of, begin in known if of == check)
    ]


def advised(check: str, begin: str, **names: str) -> str:
    """The one statement of a fix that begins so, with its names filled in: `TABLE="s.t"`."""
    (found,) = {one for one in statements(check) if one.startswith(begin)}
    filled = _PLACEHOLDER.sub(lambda word: names.get(word[0], word[0]), found)
    left = set(_PLACEHOLDER.findall(filled)) & set(_PLACEHOLDER.findall(found))
    assert not left, f"not filled in: {left}"
    return filled


def shown(check: str, begin: str) -> Any:
    """The YAML of a fix that begins so: up to its last bracket, or its key and those below."""
    before, found, rest = fix(check).partition(begin)
    assert found, f"{check} does not say {begin!r}"
    first, *more = (begin + rest).split("\n")
    if "{" in first or "[" in first:
        text = begin + rest
        return yaml.safe_load(" ".join(text[: _closed(text)].split()))
    indent = before.rpartition("\n")[2]
    below = re.compile(rf"{indent}\s*(?:- )?[A-Za-z_]+:(?: |$)")
    return yaml.safe_load(dedent("\n".join([indent + first, *takewhile(below.match, more)])))


def _closed(text: str) -> int:
    """Where the first brackets of a text are closed again."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter in "{[") - (letter in "}]")
        if letter in "}]" and not depth:
            return at + 1
    raise AssertionError(f"brackets are not closed: {text[:60]}")
