"""Decodes answers of the Prometheus and Alertmanager APIs, and describes anything else."""

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
    """Base of API answers: unknown keys are ignored, needed ones are required."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


def address(url: str, path: str, parameters: Parameters | None = None) -> str:
    """The address of a request."""
    pairs = parameters.items() if isinstance(parameters, Mapping) else parameters or ()
    return f"{url}{path}?{urlencode(list(pairs))}" if pairs else f"{url}{path}"


def document(answer: Answer, what: str, key: str = "bearer") -> object:
    """The JSON of an answer, whatever its status.

    Args:
        answer: the answer.
        what: the name of the program that should have answered, as `Prometheus`.
        key: the key of readiness.toml that has the token for it.

    Raises:
        NotPermitted: it requires a login.
        NoData: a redirect, HTML, or anything else that is not JSON.
    """
    if answer.status in _LOGIN:
        raise NotPermitted(
            f"answered {answer.status}: credentials are missing or not accepted",
            where=answer.url,
            remedy=f"set `{key}` in the table of {what}, or write user and password into its"
            " address as https://${USER}:${PASSWORD}@host",
        )
    if answer.status in _REDIRECTS:
        raise NoData(
            f"answered {answer.status}, redirects to {answer.location or 'nowhere'}: a login page?",
            where=answer.url,
            remedy=f"use the address of {what} itself, or set `{key}`",
        )
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        raise NoData(
            f"answered {answer.status} with {answer.media_type or 'no content type'} instead of"
            f" JSON: {_beginning(answer)}",
            where=answer.url,
            remedy=f"check the address of {what} and its path prefix:"
            f" curl -si '{answer.url}' | head",
        ) from None


def shaped(kind: TypeAdapter[_T], found: object, answer: Answer, what: str) -> _T:
    """The content of an answer, validated.

    Raises:
        NoData: it does not have the shape that the API documents.
    """
    try:
        return kind.validate_python(found)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise NoData(
            f"unexpected answer of {what}: {clean(place, 120)}: {clean(first['msg'], 120)}",
            where=answer.url,
            remedy=f"look at the answer: curl -s '{answer.url}' | head -c 1000",
        ) from None


def _beginning(answer: Answer) -> str:
    return repr(clean(answer.body[:_EXCERPT].decode(errors="replace"), _EXCERPT))
