"""Where the replicas keep notes: one table in a database of its own.

Run as `python -m readiness.servers.fleet.store RELEASE ACTION ID`: see `notes`. What 1.5.0
writes 1.4.0 can read: it fills the old column too.
"""

import os
import sys
from typing import Final

import psycopg

from readiness.servers.fleet import releases
from readiness.servers.fleet.notes import NEW_COLUMN_ONLY

TABLE: Final = """
create table notes (id text primary key, release text not null, note text, detail text);
grant select, insert, update, delete on notes to {role}"""
_WRITE: Final = """
insert into notes (id, release, note, detail) values (%(id)s, %(release)s, %(note)s, %(detail)s)
on conflict (id) do update set release = excluded.release, note = excluded.note,
detail = excluded.detail"""
_TIMEOUT_S: Final = 5


def write(dsn: str, release: str, name: str, *, old_column: bool = True) -> None:
    """Store a note, as this release does it."""
    with _connect(dsn) as connection:
        connection.execute(
            _WRITE,
            {
                "id": name,
                "release": release,
                "note": name if old_column else None,
                "detail": None if release == releases.OLD else name,
            },
        )


def read(dsn: str, release: str, name: str) -> str | None:
    """What a note says to this release; None where there is none."""
    column = "note" if release == releases.OLD else "coalesce(detail, note)"
    query = f"select {column} from notes where id = %s"  # noqa: S608 - one of two of our own
    with _connect(dsn) as connection:
        row = connection.execute(query.encode(), [name]).fetchone()
    return None if row is None else row[0]


def remove(dsn: str, name: str) -> None:
    """Remove a note. Harmless where there is none."""
    with _connect(dsn) as connection:
        connection.execute("delete from notes where id = %s", [name])


def remove_newer(dsn: str, release: str) -> None:
    """Remove what later releases wrote, as restoring a backup of before them does."""
    with _connect(dsn) as connection:
        connection.execute("delete from notes where release > %s", [release])


def _connect(dsn: str) -> psycopg.Connection[tuple[str | None]]:
    return psycopg.connect(dsn, connect_timeout=_TIMEOUT_S)


def main(release: str, action: str, name: str, *how: str) -> None:
    """Do it; prints what was read."""
    dsn = os.environ[releases.DSN]
    if action == "write":
        write(dsn, release, name, old_column=NEW_COLUMN_ONLY not in how)
    elif action == "read":
        sys.stdout.write(read(dsn, release, name) or "")
    elif action == "remove":
        remove(dsn, name)
    else:
        remove_newer(dsn, release)


if __name__ == "__main__":
    main(*sys.argv[1:])
