"""The SQL of a migration and of its rollback: from its files, or printed by its tool."""

import re
from collections.abc import Sequence
from typing import Final

from readiness.config.base.migrations import Migrations
from readiness.lib import command
from readiness.lib.migrations.files import text_of
from readiness.lib.migrations.model import Migration
from readiness.model.errors import CouldNotMeasure

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


def up_of(settings: Migrations, migration: Migration) -> str:
    """The SQL of a migration.

    Raises:
        CouldNotMeasure: its file cannot be read, or its tool cannot write it as SQL.
    """
    if settings.tool in _UP:
        return _printed(settings.up or _UP[settings.tool], settings, migration, "up")
    return text_of(migration.path)


def down_of(settings: Migrations, migration: Migration) -> str | None:
    """The SQL of its rollback; None if it has none.

    Raises:
        CouldNotMeasure: its file cannot be read, or its tool cannot write it as SQL.
    """
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
