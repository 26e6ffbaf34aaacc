"""What can be wrong with backups: each as a context manager that restores the very bytes."""

import contextlib
import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from psycopg.conninfo import conninfo_to_dict

from readiness.areas.backup.reference.job import programs_for
from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import kept, write_whole
from readiness.servers.provider import Server

_TIMES: Final = ("started_at", "finished_at")
_TIMEOUT_S: Final = 120


@contextlib.contextmanager
def aged(folder: Path, hours: float) -> Iterator[None]:
    """Make all backups older, in the file system and in their manifests."""
    with kept(folder):
        for manifest in folder.glob("*.manifest.json"):
            _edit(manifest, lambda content: _shift(content, hours))
        for file in folder.iterdir():
            info = file.stat()
            before = info.st_mtime_ns - int(hours * 3600e9)
            os.utime(file, ns=(before, before))
        yield


@contextlib.contextmanager
def truncated(folder: Path) -> Iterator[None]:
    """Cut off the last two fifths of the newest dump."""
    with kept(folder):
        dump = newest(folder)
        content = dump.read_bytes()
        write_whole(dump, content[: len(content) * 3 // 5])
        yield


@contextlib.contextmanager
def removed(folder: Path) -> Iterator[None]:
    """Remove all backups."""
    with kept(folder):
        for file in folder.iterdir():
            file.unlink()
        yield


@contextlib.contextmanager
def replaced(folder: Path, dsn: str, server: Server, options: Sequence[str] = ()) -> Iterator[None]:
    """Put a dump of another database in the place of the newest one.

    The manifest tells the size and the sum of the new file, and the contents of the old one.
    """
    with kept(folder):
        dump = newest(folder)
        other = _dump(dsn, server, options)
        write_whole(dump, other)
        facts = {"sha256": hashlib.sha256(other).hexdigest(), "bytes": len(other)}
        manifest = dump.with_name(dump.name.removesuffix(".dump") + ".manifest.json")
        _edit(manifest, lambda content: {**content, **facts})
        yield


def restore_newest(folder: Path, dsn: str, server: Server) -> None:
    """Restore the newest dump into an empty database of the same server.

    Raises:
        ReferenceSystemError: pg_restore failed.
    """
    database = _connection_environ(dsn)["PGDATABASE"]
    _run(server, dsn, "pg_restore", "--exit-on-error", f"--dbname={database}", str(newest(folder)))


def _dump(dsn: str, server: Server, options: Sequence[str]) -> bytes:
    return _run(server, dsn, "pg_dump", "--format=custom", *options)


def _run(server: Server, dsn: str, program: str, *arguments: str) -> bytes:
    done = subprocess.run(
        [programs_for(server).program(program), *arguments],
        env={**os.environ, **_connection_environ(dsn)},
        capture_output=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise ReferenceSystemError(
            f"{program} failed: {done.stderr[-500:].decode(errors='replace')}"
        )
    return done.stdout


def _connection_environ(dsn: str) -> dict[str, str]:
    """The connection string as variables: a command line would show the password to all."""
    words = conninfo_to_dict(dsn)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
    return {
        **{variable: str(words[word]) for variable, word in names.items()},
        "PGDATABASE": str(words["dbname"]),
    }


def newest(folder: Path) -> Path:
    """The newest dump of a folder, by the file's time.

    Raises:
        ReferenceSystemError: there is none.
    """
    dumps = sorted(folder.glob("*.dump"), key=lambda dump: dump.stat().st_mtime_ns)
    if not dumps:
        raise ReferenceSystemError("there is no dump", where=str(folder))
    return dumps[-1]


def _edit(manifest: Path, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    content = json.loads(manifest.read_bytes())
    write_whole(manifest, json.dumps(edit(content), indent=1).encode())


def _shift(content: dict[str, Any], hours: float) -> dict[str, Any]:
    shift = timedelta(hours=hours)
    earlier: dict[str, Any] = {
        key: (datetime.fromisoformat(content[key]) - shift).isoformat()
        for key in _TIMES
        if key in content
    }
    return {**content, **earlier}
