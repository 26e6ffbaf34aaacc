"""Asks the HTTP APIs of Prometheus and Alertmanager, and says what else answered instead."""

import json
from collections.abc import Mapping
from typing import Final, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from readiness.lib.http import Answer
from readiness.lib.text import clean
from readiness.model.errors import NoData, NotPermitted

_T = TypeVar("_T")
Parameters = Mapping[str, str] | list[tuple[str, str]]

MAX_BYTES: Final = 64 * 1024 * 1024
FORM: Final = "application/x-www-form-urlencoded"
_LOGIN: Final = {401, 403, 407}
_REDIRECTS: Final = range(300, 400)
_EXCERPT: Final = 160


class Reply(BaseModel):
    """Base of what an API answers: what we do not know is ignored, what we need must be there."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


def address(url: str, path: str, parameters: Parameters | None = None) -> str:
    """The address of one question."""
    pairs = parameters.items() if isinstance(parameters, Mapping) else parameters or ()
    return f"{url}{path}?{urlencode(list(pairs))}" if pairs else f"{url}{path}"


def document(answer: Answer, what: str, key: str = "bearer") -> object:
    """The JSON of an answer, whatever its status.

    Args:
        answer: what came.
        what: the name of the program that should have answered, as `Prometheus`.
        key: the key of readiness.toml that has the token for it.

    Raises:
        NotPermitted: it wants a login.
        NoData: a redirect, HTML, or anything else that is not JSON.
    """
    if answer.status in _LOGIN:
        raise NotPermitted(
            f"answered {answer.status}: it wants credentials, or does not accept these",
            where=answer.url,
            remedy=f"set `{key}` in the table of {what}, or write user and password into its"
            " address as https://${USER}:${PASSWORD}@host",
        )
    if answer.status in _REDIRECTS:
        raise NoData(
            f"answered {answer.status} and leads to {answer.location or 'nowhere'}: mostly a login",
            where=answer.url,
            remedy=f"name the address of {what} itself, or set `{key}`",
        )
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        raise NoData(
            f"answered {answer.status} with {answer.media_type or 'no content type'} instead of"
            f" JSON: {_beginning(answer)}",
            where=answer.url,
            remedy=f"is this the address of {what}, with its path prefix if it has one?"
            f" curl -si '{answer.url}' | head",
        ) from None


def shaped(kind: TypeAdapter[_T], found: object, answer: Answer, what: str) -> _T:
    """What an answer holds, in the shape that its API promises.

    Raises:
        NoData: it has another shape.
    """
    try:
        return kind.validate_python(found)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise NoData(
            f"{what} does not answer like that: {clean(place, 120)}: {clean(first['msg'], 120)}",
            where=answer.url,
            remedy=f"see what it is, and of which version: curl -s '{answer.url}' | head -c 1000",
        ) from None


def _beginning(answer: Answer) -> str:
    return repr(clean(answer.body[:_EXCERPT].decode(errors="replace"), _EXCERPT))
