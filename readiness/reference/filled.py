"""The shop's server with all its rows, made once and copied for each system that starts.

What lies in the cache is a data folder of a server that was stopped cleanly, and the password of
its superuser. Its name is a hash of all that it is made of, so that it is never out of date; one
that cannot be used is made anew.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

import psycopg

from readiness.areas.backup.reference import backups
from readiness.lib.guardian import Guardian
from readiness.model.errors import ReadinessError, ReferenceSystemError
from readiness.reference import database, migrate
from readiness.servers import cache, postgres
from readiness.servers.binaries import Binaries, server_account
from readiness.servers.postgres import PrivatePostgres, Template

_DATA: Final = "data"
_PASSWORD: Final = "password"  # noqa: S105 - the name of a file
_LOCK_S: Final = 120.0
_UNUSED_S: Final = 7 * 86400.0
# The counters of the server that filled it: a system counts from its own start.
_COUNTERS: Final = ("pg_stat", "pg_stat_tmp")
_SOURCES: Final = (backups, database, migrate, postgres)


def start(
    folder: Path,
    binaries: Binaries,
    made_with: Mapping[str, str],
    settings: Mapping[str, str],
    guardian: Guardian,
) -> PrivatePostgres:
    """Start a server that has the shop, if one can be had from the cache; else an empty one.

    Args:
        folder: where its data goes.
        binaries: the programs to run.
        made_with: settings that what lies in the cache was made with; it belongs to its name.
        settings: those of this server.
        guardian: stops it when this process dies.

    Raises:
        Unreachable: the server does not start.
    """
    with contextlib.suppress(ReadinessError, psycopg.Error, OSError, subprocess.SubprocessError):
        place = _place(binaries, made_with)
        template = _template(place, binaries, made_with)
        try:
            return _copied(template, folder, binaries, settings, guardian)
        except (ReadinessError, psycopg.Error, OSError, subprocess.SubprocessError):
            # It may be damaged: the next system makes it anew, and this one starts without.
            shutil.rmtree(place, ignore_errors=True)
            shutil.rmtree(folder / _DATA, ignore_errors=True)
    return PrivatePostgres.start(folder, binaries=binaries, settings=settings, guardian=guardian)


def _copied(
    template: Template,
    folder: Path,
    binaries: Binaries,
    settings: Mapping[str, str],
    guardian: Guardian,
) -> PrivatePostgres:
    server = PrivatePostgres.start(
        folder, binaries=binaries, settings=settings, guardian=guardian, template=template
    )
    try:
        database.must_be_whole(server)
    except BaseException:  # an interrupt too must leave nothing
        server.stop("immediate")
        raise
    return server


def _cache() -> Path:
    filled = cache.folder() / "filled"
    filled.mkdir(parents=True, exist_ok=True, mode=0o700)  # there are passwords in it
    return filled


def _place(binaries: Binaries, settings: Mapping[str, str]) -> Path:
    """Where it lies: by what its rows, its roles and its files come from."""
    program = binaries.program("postgres").stat()
    facts = [
        binaries.version, str(binaries.folder), program.st_size, program.st_mtime_ns,
        sorted(settings.items()), server_account().uid,
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(facts).encode())
    package = resources.files("readiness.reference")
    migrations = sorted(package.joinpath("migrations").iterdir(), key=lambda file: file.name)
    for file in (package.joinpath("rows.sql"), *migrations):
        digest.update(file.read_bytes())
    for module in (*_SOURCES, __file__):
        path = module if isinstance(module, str) else str(module.__file__)
        digest.update(Path(path).read_bytes())
    return _cache() / digest.hexdigest()[:32]


def _template(place: Path, binaries: Binaries, settings: Mapping[str, str]) -> Template:
    """What lies there; made now where nothing does.

    Raises:
        OSError: another process makes it for longer than two minutes, or it cannot be written.
        ReadinessError: the server does not start.
    """
    with cache.locked(place.with_suffix(".lock"), _LOCK_S):
        if not (place / _PASSWORD).is_file():
            _forget_old(place.parent)
            _make(place, binaries, settings)
    os.utime(place)
    return Template(place / _DATA, (place / _PASSWORD).read_text(encoding="ascii"))


def _make(place: Path, binaries: Binaries, settings: Mapping[str, str]) -> None:
    shutil.rmtree(place, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as made, tempfile.TemporaryDirectory() as at:
        Path(at).chmod(0o711)  # the account that PostgreSQL runs as passes through
        with Guardian() as guardian:
            server = PrivatePostgres.start(
                Path(at) / "server", binaries=binaries, settings=settings, guardian=guardian
            )
            try:
                shop = database.create_shop(server)
                database.fill_shop(shop)
                backups.file_receipts(shop)
                server.halt("fast")  # with all that is written out
                postgres.copy_data(server.home / _DATA, Path(made) / _DATA)
            finally:
                server.stop("immediate")
        _slim(Path(made) / _DATA, binaries)
        password = Path(made) / _PASSWORD
        password.touch(mode=0o600)
        password.write_text(server.password, encoding="ascii")
        # Whole, or not at all.
        Path(made, "whole").mkdir()
        for name in (_DATA, _PASSWORD):
            Path(made, name).rename(Path(made, "whole", name))
        Path(made, "whole").rename(place)


def _slim(data: Path, binaries: Binaries) -> None:
    """Leave out what a server that was stopped cleanly does not need."""
    for counters in _COUNTERS:
        for file in (data / counters).iterdir():
            file.unlink()
    told = subprocess.run(
        [binaries.program("pg_controldata"), data],
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
        timeout=_LOCK_S,
    ).stdout
    needed = re.search(r"REDO WAL file: +([0-9A-F]{24})$", told, re.MULTILINE)
    if needed is None:
        raise ReferenceSystemError("pg_controldata does not tell which WAL is needed")
    for file in (data / "pg_wal").iterdir():
        if file.is_file() and file.name != needed[1]:
            file.unlink()


def _forget_old(filled: Path) -> None:
    """Remove what no system was started from for a week."""
    for old in filled.iterdir():
        with contextlib.suppress(OSError):
            if old.is_dir() and time.time() - old.stat().st_mtime > _UNUSED_S:
                shutil.rmtree(old, ignore_errors=True)
