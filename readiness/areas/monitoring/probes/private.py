"""Asks pages that nobody may see without credentials, without any."""

import re
from typing import Final
from urllib.parse import urlsplit

from readiness.areas.monitoring.config import Service
from readiness.lib import http
from readiness.lib.http import Answer
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement

_OK: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
_REFUSALS: Final = {401, 403, 407}
_LOGIN: Final = re.compile(
    r"log[-_]?in|log[-_]?on|sign[-_]?in|auth|sso|saml|oidc|openid|session", re.IGNORECASE
)


def refusal(service: Service, path: str) -> Measurement:
    """What a page answers to whoever has no credentials: `refused`, or `open`.

    Raises:
        NoData: neither: there is no such page, or it does not answer a GET, or leads elsewhere.
        CouldNotMeasure: and its kinds, see `http.get`.
    """
    answer = http.get(
        f"{service.url}{path}", timeout_s=service.timeout_s, verify=service.verify_tls
    )
    said = f"{answer.status} to {answer.location}" if answer.location else str(answer.status)
    return Measurement(
        f"{path} without credentials", _verdict(answer), "text", f"GET {answer.url}: {said}"
    )


def control(service: Service, path: str) -> Measurement | None:
    """The status of a page with the service's token; None where there is no token.

    Raises:
        NoData: the token does not open it either: whatever refuses may not be what protects.
    """
    if service.bearer is None:
        return None
    answer = http.ask(service, path)
    if answer.status not in _OK:
        raise NoData(
            f"it answers {answer.status} with the token too, so that a refusal without it says"
            " nothing",
            where=answer.url,
            remedy="let `bearer` of the service be a token that may see the page, or name a page"
            " that there is",
        )
    return Measurement(f"{path} with the token", answer.status, "status", f"GET {answer.url}")


def _verdict(answer: Answer) -> str:
    if answer.status in _OK:
        return "open"
    if answer.status in _REFUSALS or _leads_to_login(answer):
        return "refused"
    raise _neither(answer)


def _leads_to_login(answer: Answer) -> bool:
    if answer.status not in _REDIRECTS or not answer.location:
        return False
    there = urlsplit(answer.location)
    # The page itself may be called /auth: what counts is where else it leads.
    return there.path != urlsplit(answer.url).path and bool(
        _LOGIN.search(f"{there.netloc}{there.path}")
    )


def _neither(answer: Answer) -> CouldNotMeasure:
    if answer.status in _REDIRECTS:
        return NoData(
            f"answered {answer.status} and leads to {answer.location or 'nowhere'}, which is no"
            " login that could be recognized",
            where=answer.url,
            remedy="name in `private` the page that it leads to",
        )
    return NoData(
        f"answered {answer.status}: nothing that could be protected is there for a GET",
        where=answer.url,
        remedy="correct `private` in [services.NAME]: pages that a GET with credentials opens",
    )
