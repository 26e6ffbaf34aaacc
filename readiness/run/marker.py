"""Asks the target which environment it is; no answer means production.

The clients are imported late: many targets have no marker.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from readiness.config.base import NAME_PATTERN
from readiness.config.base.tables import Config, Database, DatabaseMarker, HttpMarker, Service
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong, Unreachable
from readiness.model.secrets import redact

DEADLINE_S: Final = 5.0
_LARGEST: Final = 64 * 1024
_SILENT: Final = "production"
_Rows = list[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Marker:
    """The environment of the target.

    Attributes:
        environment: as the target reports it, else `production`.
        source: the address or statement; empty if no marker is declared.
        note: why `production` is assumed; empty if the target reported it.
    """

    environment: str
    source: str
    note: str

    @property
    def said(self) -> bool:
        """Whether the target itself reported it."""
        return not self.note

    @property
    def origin(self) -> str:
        """Who says so, for a person: where it was reported, or why production is assumed."""
        if self.said:
            return f"reported by {self.source}"
        asked = f"{self.source}: " if self.source else ""
        return f"treated as production: {asked}{self.note}"


def environment(config: Config) -> Marker:
    """Ask the target which environment it is; takes at most 5 s and never raises.

    Without an answer it is production, where the least is allowed.
    """
    marker = config.target.marker
    if marker is None:
        return Marker(_SILENT, "", "[target.marker] is not configured")
    source = _source(marker, config)
    try:
        return Marker(_ask(marker, config), source, "")
    except CouldNotMeasure as error:
        return Marker(_SILENT, source, redact(error.message))


def _ask(marker: HttpMarker | DatabaseMarker, config: Config) -> str:
    if isinstance(marker, HttpMarker):
        answer = _over_http(marker, config.services)
    else:
        answer = _from_database(marker, config.databases)
    if not isinstance(answer, str) or not re.fullmatch(NAME_PATTERN, answer):
        raise NoData("the answer is not a valid environment name")
    return answer


def _over_http(marker: HttpMarker, services: Mapping[str, Service]) -> object:
    from readiness.lib import http

    service = services.get(marker.service)
    if service is None:
        raise NoData(f"[services.{marker.service}] is not configured")
    answer = http.get(
        service.url + marker.path,
        timeout_s=DEADLINE_S,
        bearer=service.bearer,
        verify=service.verify_tls,
        accept=http.JSON,
        max_bytes=_LARGEST,
    )
    if answer.status != HTTPStatus.OK:
        raise NoData(f"the answer has status {answer.status}")
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise NoData("the answer is not JSON") from None
    if not isinstance(content, dict) or marker.field not in content:
        raise NoData(f"the answer has no key {marker.field!r}")
    return content[marker.field]


def _from_database(marker: DatabaseMarker, databases: Mapping[str, Database]) -> object:
    import psycopg

    database = databases.get(marker.database)
    if database is None:
        raise NoData(f"[databases.{marker.database}] is not configured")
    try:
        rows = asyncio.run(_in_time(_select(marker.sql, database)))
    except (psycopg.Error, OSError, UnicodeError) as error:
        # Some of its messages quote the connection string.
        raise Unreachable(f"no answer ({type(error).__name__})") from error
    if len(rows) != 1 or len(rows[0]) != 1:
        raise NoData("the answer is not one row with one value")
    return rows[0][0]


async def _in_time(rows: Awaitable[_Rows]) -> _Rows:
    """Apply our deadline to the whole exchange: a hung server keeps none."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await rows
    except TimeoutError:
        raise TookTooLong(f"no answer within {DEADLINE_S:g} s") from None


async def _select(sql: str, database: Database) -> _Rows:
    import psycopg

    connection = await psycopg.AsyncConnection.connect(
        database.dsn.reveal(), connect_timeout=int(DEADLINE_S)
    )
    async with connection:
        await connection.set_read_only(True)
        await connection.execute(f"set local statement_timeout = {int(DEADLINE_S * 1000)}")
        # A server-side cursor: a statement with many rows must not send them all.
        async with connection.cursor(name="readiness_marker") as cursor:
            await cursor.execute(sql.encode())
            return await cursor.fetchmany(2)


def _source(marker: HttpMarker | DatabaseMarker, config: Config) -> str:
    if isinstance(marker, HttpMarker):
        service = config.services.get(marker.service)
        address = re.sub(r"//[^/]*@", "//", service.url) if service else marker.service
        return redact(f"GET {address}{marker.path}")
    return redact(f"{marker.sql} (database {marker.database})")
