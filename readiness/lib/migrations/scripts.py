"""The SQL of a migration: from its files or printed by its tool, and cut into statements."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from readiness.config.base.migrations import Migrations
from readiness.lib import command
from readiness.lib.migrations.files import text_of
from readiness.lib.migrations.model import Migration
from readiness.model.errors import CouldNotMeasure

# What a semicolon may stand in without ending a statement: `begin atomic` is a function's body.
_PART: Final = re.compile(
    r"--[^\n]*|/\*|(?:\b[eE])?'|\"|\$(?P<tag>[A-Za-z_\x80-\uffff]?[\w\x80-\uffff]*)\$|;"
    r"|\b(?:begin\s+atomic|case|end)\b",
    re.IGNORECASE,
)
_COMMENT: Final = re.compile(r"/\*|\*/")
_TRANSACTION: Final = re.compile(
    r"\s*(begin|start\s+transaction|commit|end|rollback)\b[\w\s]*;?\s*", re.IGNORECASE
)
_ALONE: Final = re.compile(
    r"\bconcurrently\b|^\s*(vacuum|create\s+database|drop\s+database|alter\s+system)\b",
    re.IGNORECASE,
)
_WORDS: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
# The tools print SQL and nothing more: a tool that may change a database could take the wrong one.
_UP: Final = {
    "alembic": ["alembic", "upgrade", "{previous}:{version}", "--sql"],
    "django": ["python", "manage.py", "sqlmigrate", "{app}", "{version}"],
}
_DOWN: Final = {
    "alembic": ["alembic", "downgrade", "{version}:{previous}", "--sql"],
    "django": ["python", "manage.py", "sqlmigrate", "{app}", "{version}", "--backwards"],
}
_NOT_SQL: Final = re.compile(r"CANNOT BE WRITTEN AS SQL", re.IGNORECASE)
_FIELD: Final = re.compile(r"\{(app|version|previous)\}")


@dataclass(frozen=True, slots=True)
class Script:
    """A migration as its statements.

    Attributes:
        statements: in order, without those that begin and end transactions.
        transactional: whether all of them may run in one transaction.
    """

    statements: tuple[str, ...]
    transactional: bool


def script(text: str) -> Script:
    """The statements of a migration."""
    found = [s for s in split(text) if not _TRANSACTION.fullmatch(_bare(s))]
    return Script(tuple(found), not any(_ALONE.search(_bare(s)) for s in found))


def split(text: str) -> Iterator[str]:
    """The statements of a text, without those that are empty or comments alone."""
    start = place = depth = 0
    while found := _PART.search(text, place):
        place = _end_of(text, found)
        word = found[0].lower()
        if word.startswith("begin"):
            depth = 1
        elif depth and word in ("case", "end"):
            depth += 1 if word == "case" else -1
        elif word == ";" and not depth:
            yield from _kept(text[start:place])
            start = place
    yield from _kept(text[start:])


def _kept(statement: str) -> Iterator[str]:
    if _bare(statement).strip(" \t\r\n;"):
        yield statement.strip()


def _end_of(text: str, found: re.Match[str]) -> int:
    """Where a comment, a quoted text or a dollar-quoted one ends; the text's end if it does not."""
    opening = found[0]
    if opening.startswith("--") or opening[-1] not in "*$'\"":
        return found.end()
    if opening == "/*":
        return _end_of_comment(text, found.end())
    if opening.startswith("$"):
        end = text.find(opening, found.end())
        return len(text) if end < 0 else end + len(opening)
    quote = opening[-1]
    escaped = (
        r"(?:\\.|''|[^'\\])*'" if opening[0] in "eE" else f"(?:{quote}{quote}|[^{quote}])*{quote}"
    )
    closed = re.compile(escaped, re.DOTALL).match(text, found.end())
    return closed.end() if closed else len(text)


def _end_of_comment(text: str, place: int) -> int:
    """Comments of this kind nest."""
    depth = 1
    while depth:
        found = _COMMENT.search(text, place)
        if not found:
            return len(text)
        depth += 1 if found[0] == "/*" else -1
        place = found.end()
    return place


def _bare(statement: str) -> str:
    return _WORDS.sub(" ", statement)


def up_of(settings: Migrations, migration: Migration) -> str:
    """The SQL of a migration."""
    if settings.tool in _UP:
        return _printed(settings.up or _UP[settings.tool], settings, migration, "up")
    return text_of(migration.path)


def down_of(settings: Migrations, migration: Migration) -> str | None:
    """The SQL of its rollback; None if it has none."""
    if settings.tool in _DOWN:
        return _printed(settings.down or _DOWN[settings.tool], settings, migration, "down")
    return text_of(migration.down) if migration.down else None


def filled_in(argv: Sequence[str], tool: str, migration: Migration) -> list[str]:
    """The command with `{version}`, `{previous}` and `{app}` filled in."""
    app, _, name = migration.version.partition(".") if tool == "django" else ("", "", "")
    values = {
        "app": app,
        "version": name or migration.version,
        "previous": migration.after[0] if migration.after else "base",
    }
    return [_FIELD.sub(lambda found: values[found[1]], part) for part in argv]


def _printed(argv: Sequence[str], settings: Migrations, migration: Migration, way: str) -> str:
    filled = filled_in(argv, settings.tool, migration)
    said = command.run(
        filled,
        f"print the SQL of {migration.version}",
        f"name a command that prints it in `{way}` of [databases.NAME.migrations]",
        timeout_s=settings.timeout_s,
    )
    if _NOT_SQL.search(said):
        raise CouldNotMeasure(
            f"{migration.version} has a part that its tool cannot write as SQL",
            where=str(migration.path),
            remedy="try it by hand on a copy; to accept that its rollback cannot be tried here,"
            " list it in `irreversible`",
        )
    return said
