"""The releases that the fleet can run: their configurations, and how each stores notes.

`python -m readiness.servers.fleet.releases RELEASE ACTION ID` is the process that accesses the
notes, a table in a database of its own. Replicas start it with `run`: importing the driver would
delay their own start.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import psycopg

OLD: Final = "1.4.0"
NEW: Final = "1.5.0"
BAD: Final = "1.6.0-bad"
"""It starts, reports that it is ready, and answers every request with 500."""

DSN: Final = "FLEET_DSN"
"""The variable with the connection string of the notes."""
BEHAVIOUR: Final = "FLEET_BEHAVIOUR"
"""The variable with the path of the `Behaviour` file."""
PREFIX: Final = "FLEET_CONFIG_"
"""The prefix of the variables with the configuration of a replica."""

CONFIGURATIONS: Final[Mapping[str, Mapping[str, str]]] = {
    OLD: {"CURRENCY": "EUR", "PAGE_SIZE": "20", "ACCOUNTS": "off"},
    NEW: {"CURRENCY": "EUR", "PAGE_SIZE": "50", "ACCOUNTS": "on"},
    BAD: {"CURRENCY": "EUR", "PAGE_SIZE": "50", "ACCOUNTS": "on", "BASKETS": "on"},
}
NEW_COLUMN_ONLY: Final = "new-column-only"

TABLE: Final = """
create table notes (id text primary key, release text not null, note text, detail text);
grant select, insert, update, delete on notes to {role}"""
# 1.4.0 uses the column note. 1.5.0 uses detail, and fills note too, so that 1.4.0 can read it.
_WRITE: Final = """
insert into notes (id, release, note, detail) values (%(id)s, %(release)s, %(note)s, %(detail)s)
on conflict (id) do update set release = excluded.release, note = excluded.note,
detail = excluded.detail"""
_READ_OLD: Final = "select note from notes where id = %s"
_READ_NEW: Final = "select coalesce(detail, note) from notes where id = %s"
_CONNECT_TIMEOUT_S: Final = 5
_RUN_TIMEOUT_S: Final = 15.0


def environ(release: str) -> dict[str, str]:
    """The variables with the configuration of a release."""
    return {f"{PREFIX}{name}": value for name, value in CONFIGURATIONS[release].items()}


async def run(release: str, action: str, name: str = "", *options: str) -> str | None:
    """Access a note as a release does, in a process of its own.

    Args:
        release: one of `CONFIGURATIONS`.
        action: `write`, `read`, `remove`, or `remove-newer` for all that later releases wrote.
        name: the id of the note.
        options: NEW_COLUMN_ONLY, for `write`.

    Returns:
        The note that was read, else an empty text; None if the database does not answer.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, release, action, name, *options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_RUN_TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
    return output.decode() if process.returncode == 0 else None


def main(release: str, action: str, name: str, *options: str) -> None:
    """Access a note in this process; prints what was read."""
    import psycopg

    with psycopg.connect(os.environ[DSN], connect_timeout=_CONNECT_TIMEOUT_S) as connection:
        if action == "write":
            _write(connection, release, name, old_column=NEW_COLUMN_ONLY not in options)
        elif action == "read":
            query = _READ_OLD if release == OLD else _READ_NEW
            row = connection.execute(query.encode(), [name]).fetchone()
            sys.stdout.write((row and row[0]) or "")
        elif action == "remove":
            connection.execute("delete from notes where id = %s", [name])
        else:  # as restoring a backup from before those releases would
            connection.execute("delete from notes where release > %s", [release])


def _write(
    connection: "psycopg.Connection[tuple[str | None, ...]]",
    release: str,
    name: str,
    *,
    old_column: bool,
) -> None:
    connection.execute(
        _WRITE.encode(),
        {
            "id": name,
            "release": release,
            "note": name if old_column else None,
            "detail": None if release == OLD else name,
        },
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
