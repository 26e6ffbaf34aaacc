"""Finds the tables of a database, and the tool that migrates it."""

import configparser
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Final

from readiness.areas.schema.probes import rights
from readiness.config.base import tables
from readiness.config.base.discovery import GRANTS, GRANTS_ARE, Finding, Gap, Line, Script, Sources
from readiness.lib import postgres
from readiness.lib.postgres.session import OF_THE_APPLICATION, looking
from readiness.model.errors import CouldNotMeasure

_MOST: Final = 40
_TOOLS: Final = {
    "alembic_version": "alembic",
    "django_migrations": "django",
    "flyway_schema_history": "flyway",
}
_TRACES: Final = "select relname from pg_class where relkind = 'r' and relname = any(%s)"
# A name that needs quotes cannot be listed.
_TABLES: Final = f"""
select n.nspname || '.' || c.relname, c.relrowsecurity
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where {OF_THE_APPLICATION} and c.relkind in ('r', 'p') and not c.relispartition
  and c.relpersistence <> 't'
  and n.nspname ~ '^[a-z_][a-z0-9_]*$' and c.relname ~ '^[a-z_][a-z0-9_]*$'
  and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
order by 1"""  # noqa: S608 - a constant of ours


def objects(sources: Sources) -> Iterator[Finding]:
    """The tables of the database, and what hinders the role from reading them."""
    if sources.dsn is None:
        return
    asked = tables.Database(name=sources.database, dsn=sources.dsn, timeout_s=sources.timeout_s)
    with looking(asked) as connection:
        found = postgres.fetch(connection, _TABLES)
    place = ("databases", sources.database, "schema")
    if not found:
        yield Gap("a table in the database", "apply the migrations before the gate runs")
        return
    listed = [f"table {name}" for name, _ in found[:_MOST]]
    some = f"the first {_MOST} of " if len(found) > _MOST else ""
    yield Line(place, "objects", listed, f"pg_class: {some}{len(found)} tables")
    if some:
        what = f"what matters among {len(found) - _MOST} more tables"
        yield Gap(what, f"name them in `objects` of [{'.'.join(place)}]")
    secured = [name for name, is_secured in found if is_secured]
    if secured:
        yield Line(place, "row_security", secured, "pg_class.relrowsecurity")
    if lacking := rights.grants(asked):
        yield Script(GRANTS, "".join(f"{grant};\n" for grant in lacking), GRANTS_ARE)


def migrations(sources: Sources) -> Iterator[Finding]:
    """The tool that migrates the database, by its files."""
    if not sources.database:
        return
    tool, folder, source = _tool(sources)
    if not tool:
        made = _made_by(sources)
        what = f"the folder of the migrations of {made}" if made else "migrations"
        tool = f'tool = "{made}"' if made else "tool"
        yield Gap(what, f"[databases.{sources.database}.migrations] with {tool} and folder")
        return
    table = ("databases", sources.database, "migrations")
    yield Line(table, "tool", tool, source)
    yield Line(table, "folder", folder, source)


def _made_by(sources: Sources) -> str:
    """The tool that the database's own tables show; empty if there is none, or no answer."""
    if sources.dsn is None:
        return ""
    asked = tables.Database(name=sources.database, dsn=sources.dsn, timeout_s=sources.timeout_s)
    try:
        with looking(asked) as connection:
            found = postgres.fetch(connection, _TRACES, (list(_TOOLS),))
    except CouldNotMeasure:
        return ""  # `objects` names it
    return next((_TOOLS[name] for (name,) in found), "")


def _tool(sources: Sources) -> tuple[str, str, str]:
    """The tool, the folder of its files, and where that was seen; empty if none is known."""
    if ini := next(iter(sources.files("alembic.ini", "*/alembic.ini")), ""):
        return "alembic", _alembic(sources, ini), ini
    if manage := next(iter(sources.files("manage.py", "*/manage.py")), ""):
        return "django", PurePosixPath(manage).parent.as_posix(), manage
    for tool, pattern in (("flyway", "**/V[0-9]*__*.sql"), ("sql", "**/*.up.sql")):
        if found := sources.files(pattern):
            return tool, PurePosixPath(found[0]).parent.as_posix(), found[0]
    return "", "", ""


def _alembic(sources: Sources, ini: str) -> str:
    """The folder `versions`, which the script_location of alembic.ini leads to."""
    parser = configparser.RawConfigParser()
    with suppress(configparser.Error, UnicodeDecodeError):
        parser.read(sources.folder / ini, encoding="utf-8")
    beside = PurePosixPath(ini).parent
    location = parser.get("alembic", "script_location", fallback="alembic")
    location = location.replace("%(here)s", ".").replace("%%", "%")
    return (beside / location / "versions").as_posix()
