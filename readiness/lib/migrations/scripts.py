"""The SQL of a migration: from its files or printed by its tool, and cut into statements."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from readiness.config.base.migrations import Migrations
from readiness.lib import command
from readiness.lib.migrations.files import text_of, with_values
from readiness.lib.migrations.model import Migration
from readiness.lib.migrations.reading import version_table
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
# dbmate (`migrate:`), goose and sql-migrate (`+migrate`) keep both ways in one file.
_WAY: Final = re.compile(
    r"^[ \t]*--[ \t]*(?:migrate:|\+goose[ \t]+|\+migrate[ \t]+)(up|down)\b", re.IGNORECASE
)
_NO_TRANSACTION: Final = re.compile(
    r"^[ \t]*--[ \t]*(?:migrate:(?:up|down)\b.*\btransaction:false\b"
    r"|\+goose[ \t]+no[ \t]+transaction\b|\+migrate[ \t]+(?:up|down)\b.*\bnotransaction\b)",
    re.IGNORECASE | re.MULTILINE,
)
_RUNNING: Final = re.compile(
    r"^-- Running (?:upgrade[^\n]*? -> (?P<up>[^\s,]+)|downgrade (?P<down>[^\s,]+) -> )",
    re.MULTILINE,
)
_BOOKKEEPING: Final = r"\s*(?:create\s+table|insert\s+into|update|delete\s+from)\s+(?:\w+\.)?{}\b"
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


# What a rollback raises that was never meant to be run: by hand, and by django.
_ONE_WAY: Final = re.compile(r"\b(NotImplementedError|IrreversibleError)\b")


class OneWayError(CouldNotMeasure):
    """A migration says that it cannot be rolled back."""


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
    found = [s for s in split(text) if not _ends_or_begins(s)]
    if any(map(_WAY.match, text.splitlines())):  # such a tool decides by its marker alone
        return Script(tuple(found), not _NO_TRANSACTION.search(text))
    return Script(tuple(found), not any(_ALONE.search(_bare(s)) for s in found))


def without_transactions(text: str) -> str:
    """The text without what begins and ends transactions; each line stays where it is."""
    return _blanked(text, _ends_or_begins)


def _blanked(text: str, unwanted: Callable[[str], bool]) -> str:
    place, parts = 0, []
    for statement in split(text):
        start = text.index(statement, place)
        blank = "\n" * statement.count("\n") if unwanted(statement) else statement
        parts += [text[place:start], blank]
        place = start + len(statement)
    return "".join([*parts, text[place:]])


def _ends_or_begins(statement: str) -> bool:
    return bool(_TRANSACTION.fullmatch(_bare(statement)))


def one_way(text: str, way: Literal["up", "down"]) -> str | None:
    """A file's part for one way, each line where it was; None where markers leave it out."""
    kept, now, marked = [], "", False
    for line in text.splitlines():
        if found := _WAY.match(line):
            now = found[1].lower()
            marked = marked or now == way
        kept.append(line if now in ("", way) else "")
    return "\n".join(kept) if marked or not now else None


def _step_of(text: str, version: str, way: Literal["up", "down"]) -> str:
    """What alembic printed for one revision: it prints those that it depends on, too."""
    marks = list(_RUNNING.finditer(text))
    for mark, after in zip(marks, [*marks[1:], None], strict=False):
        if mark[way] == version:
            opened = [s for s in split(text[: mark.start()]) if _ends_or_begins(s)]
            begun = bool(opened) and not re.search(
                r"commit|end|rollback", opened[-1], re.IGNORECASE
            )
            step = text[mark.start() : after.start() if after else len(text)]
            return f"{'BEGIN;' if begun else ''}\n{step}"
    return text


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
    text = _of_file(settings, migration.path)
    up = one_way(text, "up")
    if up is None:
        raise CouldNotMeasure(
            "has a marker for its rollback alone",
            where=str(migration.path),
            remedy="begin what is applied with `-- migrate:up` or `-- +goose Up`",
        )
    return up


def down_of(settings: Migrations, migration: Migration) -> str | None:
    """The SQL of its rollback; None if it has none.

    Raises:
        OneWayError: it says itself that it cannot be rolled back.
    """
    if settings.tool in _DOWN:
        try:
            return _printed(settings.down or _DOWN[settings.tool], settings, migration, "down")
        except CouldNotMeasure as error:
            if found := _ONE_WAY.search(error.message):
                raise OneWayError(f"its rollback ends in {found[0]}", where=error.where) from error
            raise
    if migration.down:
        return _of_file(settings, migration.down)
    text = _of_file(settings, migration.path)
    return one_way(text, "down") if any(map(_WAY.match, text.splitlines())) else None


def not_printed(text: str) -> bool:
    """Whether the tool left out a part that it cannot write as SQL, such as Python code."""
    return bool(_NOT_SQL.search(text))


def _of_file(settings: Migrations, path: Path) -> str:
    text = text_of(path)
    return with_values(text, path, settings.placeholders) if settings.tool == "flyway" else text


def filled_in(argv: Sequence[str], tool: str, migration: Migration) -> list[str]:
    """The command with `{version}`, `{previous}` and `{app}` filled in."""
    app, _, name = migration.version.partition(".") if tool == "django" else ("", "", "")
    values = {
        "app": app,
        "version": name or migration.version,
        "previous": migration.after[0] if migration.after else "base",
    }
    return [_FIELD.sub(lambda found: values[found[1]], part) for part in argv]


def _printed(
    argv: Sequence[str], settings: Migrations, migration: Migration, way: Literal["up", "down"]
) -> str:
    filled = filled_in(argv, settings.tool, migration)
    said = command.run(
        filled,
        f"print the SQL of {migration.version}",
        f"put {filled[0]} on PATH, or name a command that prints it in `{way}` of"
        " [databases.NAME.migrations]; a migration that reads the database must not do so when it"
        " is printed: context.is_offline_mode()",
        timeout_s=settings.timeout_s,
    )
    if settings.tool != "alembic":
        return said
    # The line that it keeps of itself needs a table that the first revision alone creates.
    own = re.compile(_BOOKKEEPING.format(re.escape(version_table(settings))), re.IGNORECASE)
    # For drivers that take % for a placeholder, SQLAlchemy doubles each, unless env.py sets another
    # paramstyle: https://alembic.sqlalchemy.org/en/latest/offline.html
    if "%%" not in text_of(migration.path):
        said = said.replace("%%", "%")
    step = _step_of(said, migration.version, way)
    return _blanked(step, lambda statement: bool(own.match(_bare(statement))))
