"""Whether the server keeps what is needed to find a slow statement: its statistics and its log."""

from dataclasses import dataclass
from typing import Final

from readiness.areas.database.statements import counters
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.model.errors import NotPermitted

_SETTINGS: Final = """
select name, setting from pg_settings where name in (
    'shared_preload_libraries', 'session_preload_libraries', 'pg_stat_statements.track',
    'log_min_duration_statement', 'auto_explain.log_min_duration')"""
_NEVER: Final = -1


@dataclass(frozen=True, slots=True)
class Tracking:
    """How slow statements can be found.

    Attributes:
        loaded: whether pg_stat_statements is loaded.
        created: whether its view is in this database.
        track: its setting `track`: `none`, `top` or `all`; empty where it is not loaded.
        readable: statements of other roles that can be read.
        hidden: those that are there and cannot.
        logged_from_ms: from which duration on statements are logged; None if none is.
        logged_by: what logs them.
    """

    loaded: bool
    created: bool
    track: str
    readable: int
    hidden: int
    logged_from_ms: float | None
    logged_by: str


def read(connection: Connection) -> Tracking:
    """How slow statements can be found here.

    Raises:
        NotPermitted: the role may not see the settings.
        CouldNotMeasure: and its kinds, see `postgres.connect`.
    """
    settings = {str(name): str(value) for name, value in postgres.fetch(connection, _SETTINGS)}
    if "shared_preload_libraries" not in settings:
        raise NotPermitted(
            "the role may not see shared_preload_libraries",
            where="pg_settings",
            remedy=f'grant pg_read_all_settings to "{connection.info.user}", or pg_monitor',
        )
    loaded = "pg_stat_statements" in settings["shared_preload_libraries"]
    schema = counters.schema_of(connection)
    readable = hidden = 0
    if loaded and schema is not None:
        readable, hidden = counters.visible(connection, schema)
    logged_from_ms, logged_by = logged(settings)
    return Tracking(
        loaded=loaded,
        created=schema is not None,
        track=settings.get("pg_stat_statements.track", ""),
        readable=readable,
        hidden=hidden,
        logged_from_ms=logged_from_ms,
        logged_by=logged_by,
    )


def logged(settings: dict[str, str]) -> tuple[float | None, str]:
    """From how many milliseconds on statements are logged, and by what; the lower of the two.

    `log_min_duration_sample` does not count: it logs some of them, and leaves the others out.
    """
    libraries = (
        settings.get("shared_preload_libraries", "")
        + ","
        + settings.get("session_preload_libraries", "")
    )
    found = {
        name: float(settings[name])
        for name in ("log_min_duration_statement", "auto_explain.log_min_duration")
        if name in settings and (not name.startswith("auto_explain") or "auto_explain" in libraries)
    }
    on = {name: value for name, value in found.items() if value != _NEVER}
    if not on:
        return None, "neither log_min_duration_statement nor auto_explain"
    name = min(on, key=on.__getitem__)
    return on[name], name
