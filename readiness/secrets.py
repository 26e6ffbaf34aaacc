"""Secrets: values that are used and never shown.

Redaction is by value, at the source: every process that learns a secret registers it, and all
text that leaves the process goes through `redact`. The placeholder has a constant width, so
that not even the length is told.
"""

import base64
import html
import json
from typing import Any, Final, Self
from urllib.parse import quote, unquote

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

PLACEHOLDER: Final = "[redacted]"
# Shorter values are words: hiding "app" everywhere would hide the report itself.
SHORTEST: Final = 4

_known: set[str] = set()
_ordered: list[str] = []


def register(value: str) -> None:
    """Hide this value, and the ways it is commonly written, in all output from now on."""
    if len(value) < SHORTEST or value in _known:
        return
    forms = {
        value,
        quote(value, safe=""),
        quote(value),
        html.escape(value),
        repr(value)[1:-1],
        json.dumps(value)[1:-1],
        base64.b64encode(value.encode()).decode(),
    }
    _known.update(form for form in forms if len(form) >= SHORTEST)
    # Longest first: a secret that contains another one must go as a whole.
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
            PydanticCustomError: it is not text, or stands there in the clear.
        """
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise PydanticCustomError("secret_type", "a secret is text from the environment")
        if cls._is_exposed(value):
            raise PydanticCustomError(
                "secret_literal", "a secret must not stand in the file: write it as ${VARIABLE}"
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

    A literal is allowed as long as no password stands in it. Registers the password alone as a
    secret, so that the rest of the address can be shown.
    """

    __slots__ = ()

    def __init__(self, value: str) -> None:
        self._value = value
        password = _password(value)
        if password:
            register(password)
            register(unquote(password))
            register(value)

    @classmethod
    def _is_exposed(cls, value: str) -> bool:
        return not isinstance(value, Interpolated) and bool(_password(value))

    @property
    def address(self) -> str:
        """Where it leads, without user and password: `host:port/database`."""
        if "://" in self._value:
            rest = self._value.partition("://")[2].rpartition("@")[2]
            return rest.partition("?")[0]
        words = dict(part.split("=", 1) for part in self._value.split() if "=" in part)
        place = f"{words.get('host', 'localhost')}:{words.get('port', '5432')}"
        return f"{place}/{words.get('dbname', '')}"

    def __str__(self) -> str:
        return self.address


def _password(dsn: str) -> str:
    if "://" in dsn:
        user_info, at, _ = dsn.partition("://")[2].rpartition("@")
        from_url = user_info.partition(":")[2] if at else ""
        query = dsn.partition("?")[2]
        from_query = [p[9:] for p in query.split("&") if p.startswith("password=")]
        return from_url or "".join(from_query[:1])
    words = [part[9:] for part in dsn.split() if part.startswith("password=")]
    return words[0].strip("'") if words else ""
