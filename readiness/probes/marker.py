"""Reads which environment the target itself says it is; silence means production."""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Final

import httpx
import psycopg

from readiness.config.models import (
    NAME_PATTERN,
    Config,
    Database,
    DatabaseMarker,
    HttpMarker,
    Service,
)
from readiness.errors import CouldNotMeasure, NoData, TookTooLong, Unreachable
from readiness.secrets import redact

DEADLINE_S: Final = 5.0
_LARGEST: Final = 64 * 1024
_SILENT: Final = "production"


@dataclass(frozen=True, slots=True)
class Marker:
    """What the target says it is.

    Attributes:
        environment: as the target says it, or `production`.
        source: the address or statement that was asked; empty where no marker is declared.
        note: why it is `production` although the target did not say so; empty where it did.
    """

    environment: str
    source: str
    note: str

    @property
    def said(self) -> bool:
        """Whether the target itself said it."""
        return not self.note


def environment(config: Config) -> Marker:
    """Ask the target which environment it is; takes 5 s at most and never raises.

    Whatever keeps the answer away means production: the environment in which least is allowed.
    """
    marker = config.target.marker
    if marker is None:
        return Marker(_SILENT, "", "no [target.marker] is declared")
    source = _source(marker, config)
    try:
        return Marker(asyncio.run(_ask_in_time(marker, config)), source, "")
    except CouldNotMeasure as error:
        return Marker(_SILENT, source, redact(error.message))


async def _ask_in_time(marker: HttpMarker | DatabaseMarker, config: Config) -> str:
    try:
        async with asyncio.timeout(DEADLINE_S):
            answer = await _ask(marker, config)
    except TimeoutError as error:
        raise TookTooLong(f"no answer within {DEADLINE_S:g} s") from error
    if not isinstance(answer, str) or not re.match(NAME_PATTERN, answer):
        raise NoData("the answer is not the name of an environment")
    return answer


async def _ask(marker: HttpMarker | DatabaseMarker, config: Config) -> object:
    if isinstance(marker, HttpMarker):
        service = config.services.get(marker.service)
        if service is None:
            raise NoData(f"there is no [services.{marker.service}]")
        return await _over_http(marker, service)
    database = config.databases.get(marker.database)
    if database is None:
        raise NoData(f"there is no [databases.{marker.database}]")
    return await _from_database(marker, database)


async def _over_http(marker: HttpMarker, service: Service) -> object:
    try:
        body = await _fetch(service, marker.path)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        raise Unreachable(f"no answer: {type(error).__name__}: {error}") from error
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NoData("the answer is not JSON") from error
    if not isinstance(answer, dict) or marker.field not in answer:
        raise NoData(f"the answer has no key {marker.field!r}")
    return answer[marker.field]


async def _fetch(service: Service, path: str) -> bytes:
    headers = {"accept-encoding": "identity"}
    if service.bearer:
        headers["authorization"] = f"Bearer {service.bearer.reveal()}"
    # A proxy named in the process environment could answer in the target's place.
    transport = httpx.AsyncHTTPTransport(verify=service.verify_tls)
    async with (
        httpx.AsyncClient(transport=transport, trust_env=False, timeout=DEADLINE_S) as client,
        client.stream("GET", service.url + path, headers=headers) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise NoData(f"the answer has status {response.status_code}")
        body = b""
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > _LARGEST:
                raise NoData("the answer is larger than 64 kB")
        return body


async def _from_database(marker: DatabaseMarker, database: Database) -> object:
    try:
        rows = await _select(marker.sql, database)
    except (psycopg.Error, OSError, UnicodeError) as error:
        raise Unreachable(f"no answer: {type(error).__name__}: {error}") from error
    if len(rows) != 1 or len(rows[0]) != 1:
        raise NoData("the answer is not one row with one value")
    return rows[0][0]


async def _select(sql: str, database: Database) -> list[tuple[object, ...]]:
    connection = await psycopg.AsyncConnection.connect(
        database.dsn.reveal(), connect_timeout=int(DEADLINE_S)
    )
    async with connection:
        await connection.set_read_only(True)
        await connection.execute(f"set local statement_timeout = {int(DEADLINE_S * 1000)}")
        # Held on the server, so that a statement with many rows does not send them all.
        async with connection.cursor(name="readiness_marker") as cursor:
            await cursor.execute(sql.encode())
            return await cursor.fetchmany(2)


def _source(marker: HttpMarker | DatabaseMarker, config: Config) -> str:
    if isinstance(marker, HttpMarker):
        service = config.services.get(marker.service)
        return redact(f"GET {service.url if service else marker.service}{marker.path}")
    return redact(f"{marker.sql} (database {marker.database})")
