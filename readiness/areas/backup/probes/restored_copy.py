"""Looks at a restored copy: is it physically sound, and does the application work in it?"""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from readiness.areas.backup.config import Application
from readiness.lib.command import Account
from readiness.lib.postgres import Connection, connect, fetch, source_of
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NotPermitted
from readiness.model.measurement import Measurement
from readiness.model.secrets import Dsn
from readiness.servers.binaries import Binaries
from readiness.servers.client import run_program

_TIMEOUT_S: Final = 60.0
_CORRUPT: Final = 2
_LARGEST: Final = 1024 * 1024
_SHOWN: Final = 400
_PLACE: Final = re.compile(r"^(?:heap table|btree index|[a-z ]+) \"([^\"]+)\":", re.MULTILINE)
_VERSION: Final = re.compile(r"^Data page checksum version: +(\d+)", re.MULTILINE)
_BAD_BLOCKS: Final = re.compile(r"Bad checksums: +(\d+)")
_INSTALLED: Final = "select 1 from pg_extension where extname = 'amcheck'"
_RELATIONS: Final = """
    select count(*) from pg_class c where c.relkind in ('r', 'm', 'i', 't')"""


@dataclass(frozen=True, slots=True)
class Soundness:
    """What amcheck reported.

    Attributes:
        relations: how many tables and indexes there are.
        corrupt: its reports of corruption; none if there is none.
        source: the command.
    """

    relations: int
    corrupt: tuple[str, ...]
    source: str


def amcheck(dsn: Dsn, binaries: Binaries, *, timeout_s: float) -> Soundness:
    """Check every table against itself, and every index against its table.

    Raises:
        NotPermitted: the role may not; amcheck then ends with the status of a corruption.
        CouldNotMeasure: it could not check anything; and its kinds.
    """
    words = dsn.words
    environ = {f"PG{n.upper()}": str(v) for n, v in words.items() if n in {"host", "port", "user"}}
    password = {"PGPASSWORD": str(words["password"])} if words.get("password") else {}
    with connect(dsn, timeout_s=timeout_s) as connection:
        relations = int(fetch(connection, _RELATIONS)[0][0])
        own = fetch(connection, _INSTALLED)
    with tempfile.TemporaryFile() as output:
        ended = run_program(
            binaries,
            "pg_amcheck",
            ["--heapallindexed", "--install-missing", "--no-password", str(words["dbname"])],
            timeout_s=timeout_s,
            output=output,
            environ=environ | password,
        )
        output.seek(0)
        text = output.read(_LARGEST).decode("utf-8", "replace")
    if not own:
        with connect(dsn, timeout_s=timeout_s) as connection:
            fetch(connection, "drop extension if exists amcheck")
    source = f"pg_amcheck --heapallindexed, {dsn.address}"
    told = f"{text} {ended}"
    if ended.status == 0 and not text.strip():
        return Soundness(relations, (), source)
    if ended.status == _CORRUPT and "permission denied" not in told:
        return Soundness(relations, tuple(_complaints(text)) or (clean(told, _SHOWN),), source)
    kind = NotPermitted if "permission denied" in told else CouldNotMeasure
    raise kind(f"pg_amcheck failed: {clean(told, _SHOWN)}", where=source)


def _complaints(text: str) -> list[str]:
    """One for each table or index that is reported."""
    blocks = re.split(r"\n(?=\S)", text.strip())
    return [" ".join(clean(block, _SHOWN).split()) for block in blocks if block.strip()]


def bad_checksums(
    data: Path, binaries: Binaries, account: Account, *, timeout_s: float
) -> int | None:
    """Pages of a stopped server whose checksum is wrong; None where it keeps no checksums.

    Raises:
        CouldNotMeasure: pg_checksums failed.
    """
    with tempfile.TemporaryFile() as output:
        arguments = ["--pgdata", str(data)]
        run_program(binaries, "pg_controldata", arguments, timeout_s=timeout_s, output=output,
                    account=account)  # fmt: skip
        output.seek(0)
        version = _VERSION.search(output.read(_LARGEST).decode())
    if version is None or version[1] == "0":
        return None
    with tempfile.TemporaryFile() as output:
        arguments = ["--check", "--pgdata", str(data)]
        ended = run_program(binaries, "pg_checksums", arguments, timeout_s=timeout_s,
                            output=output, account=account)  # fmt: skip
        output.seek(0)
        found = _BAD_BLOCKS.search(output.read(_LARGEST).decode())
    if found is None:
        raise CouldNotMeasure(f"pg_checksums failed: {ended}", where=str(data))
    return int(found[1])


@dataclass(frozen=True, slots=True)
class Tried:
    """One statement of the application.

    Attributes:
        rows: how many rows it returned, or changed.
        problem: why it failed; empty if it did not.
        writes: whether it changes rows.
    """

    rows: Measurement
    problem: str
    writes: bool


def try_application(dsn: Dsn, application: Application) -> list[Tried]:
    """Run every statement as the application's role, and roll it back.

    Raises:
        CouldNotMeasure: the copy does not answer, or has no such role.
    """
    with connect(dsn, timeout_s=_TIMEOUT_S) as connection:
        fetch(
            connection,
            sql.SQL("set session authorization {}").format(sql.Identifier(application.role)),
        )
        return [
            *(_tried(connection, text, writes=False) for text in application.reads),
            *(_tried(connection, text, writes=True) for text in application.writes),
        ]


def _tried(connection: Connection, statement: str, *, writes: bool) -> Tried:
    rows, problem = 0, ""
    try:
        with connection.transaction(force_rollback=True):
            rows = connection.execute(statement.encode()).rowcount
    except psycopg.OperationalError as error:
        raise CouldNotMeasure(
            f"the connection to the restored copy was lost: {error}", where=source_of(statement)
        ) from error
    except psycopg.Error as error:
        problem = " ".join((error.diag.message_primary or str(error)).split())
    name = f"rows that the application {'wrote' if writes else 'read'}"
    return Tried(Measurement(name, rows, "count", source_of(statement)), problem, writes)
