"""Asks PostgreSQL's own tools whether a restored copy is physically sound."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.lib.account import Account
from readiness.lib.postgres import connect, fetch
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NotPermitted
from readiness.model.secrets import Dsn
from readiness.servers.binaries import Binaries
from readiness.servers.client import run_program

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
    """What amcheck found.

    Attributes:
        relations: how many tables and indexes there are.
        corrupt: what it complains of, in its words; none if all is well.
        source: the command.
    """

    relations: int
    corrupt: tuple[str, ...]
    source: str


def amcheck(dsn: Dsn, binaries: Binaries, *, timeout_s: float) -> Soundness:
    """Check every table against itself, and every index against its table.

    Raises:
        NotPermitted: the role may not; amcheck says so with the very status of a corruption.
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
    raise kind(f"pg_amcheck could not look: {clean(told, _SHOWN)}", where=source)


def _complaints(text: str) -> list[str]:
    """One for each table or index, with what is said of it."""
    blocks = re.split(r"\n(?=\S)", text.strip())
    return [" ".join(clean(block, _SHOWN).split()) for block in blocks if block.strip()]


def bad_checksums(
    data: Path, binaries: Binaries, account: Account, *, timeout_s: float
) -> int | None:
    """Pages of a stopped server whose checksum is wrong; None where it keeps no checksums.

    Raises:
        CouldNotMeasure: it could not be told.
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
        raise CouldNotMeasure(f"pg_checksums could not look: {ended}", where=str(data))
    return int(found[1])
