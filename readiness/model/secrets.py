"""Secrets: values that are used and never shown.

Every process that learns a secret registers it, and all text that leaves the process goes
through `redact`. The placeholder has a constant width, so that it does not reveal the length.
"""

import base64
import html
import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Self
from urllib.parse import quote

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from readiness.model import conninfo
from readiness.model.errors import CouldNotMeasure

PLACEHOLDER: Final = "[redacted]"
# Shorter values are common words: redacting "app" would garble the report.
SHORTEST: Final = 4
_HEX: Final = re.compile(r"%[0-9A-F]{2}")

_known: set[str] = set()
_ordered: list[str] = []


def register(value: str) -> None:
    """Redact this value and its common encodings in all later output."""
    if len(value) < SHORTEST or value in _known:
        return
    # The environment may hold bytes that are not UTF-8, which Python reads as lone surrogates.
    encoded = value.encode("utf-8", "surrogatepass")
    quoted = {quote(encoded, safe=""), quote(encoded)}
    forms = {
        value,
        *quoted,
        *(_HEX.sub(lambda found: found[0].lower(), form) for form in quoted),
        html.escape(value),
        repr(value)[1:-1],
        json.dumps(value)[1:-1],
        base64.b64encode(encoded).decode(),
    }
    _known.update(form for form in forms if len(form) >= SHORTEST)
    # Longest first: a secret may contain another one.
    _ordered[:] = sorted(_known, key=lambda form: (-len(form), form))


def redact(text: str) -> str:
    """The text without any registered secret."""
    for secret in _ordered:
        if secret in text:
            text = text.replace(secret, PLACEHOLDER)
    return text


class Interpolated(str):
    """Text that came from `${VAR}`: the only way a secret may enter a configuration."""

    __slots__ = ()


class Secret:
    """A value that is used and never shown.

    In a configuration it must come from the environment; a literal is refused. `reveal` gives
    the value; `str`, `repr` and pickling to a report give the placeholder.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        register(value)

    def reveal(self) -> str:
        """The value itself, for the one place that needs it."""
        return self._value

    def __str__(self) -> str:
        return PLACEHOLDER

    def __repr__(self) -> str:
        return f"{type(self).__name__}({PLACEHOLDER!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    @classmethod
    def from_config(cls, value: object) -> Self:
        """Take a value out of a configuration.

        Raises:
            PydanticCustomError: it is not text, or is a literal.
        """
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise PydanticCustomError("secret_type", "a secret is text from the environment")
        if cls._is_exposed(value):
            raise PydanticCustomError(
                "secret_literal", "a secret must not be written in the file: use ${VARIABLE}"
            )
        return cls(value)

    @classmethod
    def _is_exposed(cls, value: str) -> bool:
        return not isinstance(value, Interpolated)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.from_config,
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, str]:
        return {"type": "string", "description": "A secret, written as ${VARIABLE}."}


class Dsn(Secret):
    """A PostgreSQL connection string.

    A literal is allowed if it holds no secret. Registers its secrets, so that the rest of the
    address can be shown.
    """

    __slots__ = ("_words",)

    _words: dict[str, str] | None

    def __init__(self, value: str) -> None:
        self._value = value
        try:
            self._words = conninfo.parse(value)
        except conninfo.NotConninfo:
            self._words = None
            if conninfo.exposes(value):
                register(value)
            return
        found = conninfo.secrets_of(value, self._words)
        for secret in found:
            register(secret)
        if found:
            register(value)

    @classmethod
    def from_config(cls, value: object) -> Self:
        """Take a connection string out of a configuration.

        Raises:
            PydanticCustomError: it is not text, has a literal secret, or is not valid; the message
                quotes none of it.
        """
        dsn = super().from_config(value)
        try:
            conninfo.parse(dsn.reveal())
        except conninfo.NotConninfo as error:
            if isinstance(value, Interpolated):
                register(value)
            raise PydanticCustomError(
                "dsn",
                "is not a valid PostgreSQL connection string: {reason}",
                {"reason": str(error)},
            ) from None
        return dsn

    @classmethod
    def _is_exposed(cls, value: str) -> bool:
        return not isinstance(value, Interpolated) and conninfo.exposes(value)

    @property
    def words(self) -> Mapping[str, str]:
        """Its keywords, as libpq reads them, with their values; secrets are among them.

        Raises:
            CouldNotMeasure: libpq does not read it.
        """
        if self._words is None:
            raise CouldNotMeasure(
                "the connection string is not valid",
                where=self.address,
                remedy="write it as postgresql://user@host:port/database",
            )
        return MappingProxyType(self._words)

    @property
    def places(self) -> list[tuple[str, str]]:
        """Every host, address or folder of a socket it names, with its port.

        Raises:
            CouldNotMeasure: libpq does not read it.
        """
        return conninfo.places(self.words)

    @property
    def address(self) -> str:
        """Where it connects to, without user and secrets: `host:port/database`."""
        return PLACEHOLDER if self._words is None else conninfo.address(self._words)

    def __str__(self) -> str:
        return self.address


def without_credentials(url: str) -> str:
    """The address without user and password."""
    return re.sub(r"//[^/]*@", "//", url)
