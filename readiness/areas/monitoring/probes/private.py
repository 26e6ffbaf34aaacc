"""Requests pages that need credentials, without any."""

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
    """What a page answers without credentials: `refused`, or `open`.

    Raises:
        NoData: neither: it does not exist, does not answer a GET, or redirects elsewhere.
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
        NoData: the token does not open it either, so that the refusal proves nothing.
    """
    if service.bearer is None:
        return None
    answer = http.ask(service, path)
    if answer.status not in _OK:
        raise NoData(
            f"answers {answer.status} with the token too, so that a refusal proves nothing",
            where=answer.url,
            remedy="set `bearer` to a token that opens the page, or correct the path",
        )
    return Measurement(f"{path} with the token", answer.status, "status", f"GET {answer.url}")


def _verdict(answer: Answer) -> str:
    if answer.status in _OK:
        return "open"
    if answer.status in _REFUSALS or _redirects_to_login(answer):
        return "refused"
    raise _neither(answer)


def _redirects_to_login(answer: Answer) -> bool:
    if answer.status not in _REDIRECTS or not answer.location:
        return False
    there = urlsplit(answer.location)
    # The page itself may be called /auth: only another path counts.
    return there.path != urlsplit(answer.url).path and bool(
        _LOGIN.search(f"{there.netloc}{there.path}")
    )


def _neither(answer: Answer) -> CouldNotMeasure:
    if answer.status in _REDIRECTS:
        return NoData(
            f"answered {answer.status} and redirects to {answer.location or 'nowhere'}, which is"
            " not recognized as a login",
            where=answer.url,
            remedy="set `private` to the page that it redirects to",
        )
    return NoData(
        f"answered {answer.status}: a GET finds no page there that could be protected",
        where=answer.url,
        remedy="correct `private` in [services.NAME]: pages that a GET with credentials opens",
    )
