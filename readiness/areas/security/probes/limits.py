"""Measures limits: how many requests are answered before one is refused, and how large a body is.

Nothing is sent after the first refusal, and no more than the agreed limit and ten requests.
"""

import http.client
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from readiness import __version__
from readiness.areas.security.config import BodyLimit, RateLimit, Site
from readiness.areas.security.probes.visits import anonymous
from readiness.lib.http import Answer, trust
from readiness.lib.text import clean
from readiness.model.errors import NoData, TookTooLong, Unreachable

_BEYOND: Final = 10
_TOO_MANY: Final = (429, 503)
_BODY_BYTES: Final = 64 * 1024
_TOO_LARGE: Final = 413
_CONTINUE: Final = 100
# Answers that are given before the body is looked at.
_BEFORE: Final = {301, 302, 307, 308, 401, 403, 404, 405, 407, 415, 417, 429}
_SERVER_ERRORS: Final = range(500, 600)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] (\d{3})")
_PIECE_BYTES: Final = 65536
_CONTINUES_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Burst:
    """What came of sending requests until one was refused.

    Attributes:
        accepted: the requests that were answered before.
        refusal: the status that refused the next one; None if none did.
        retry_after: its Retry-After; empty without one.
        took_s: from the first request to the last answer.
    """

    accepted: int
    refusal: int | None
    retry_after: str
    took_s: float


def burst(site: Site, limit: RateLimit) -> Burst:
    """Send requests one after the other until one is refused, at most ten beyond the limit.

    Raises:
        NoData: the path answers something else than success, so that nothing is limited.
        TookTooLong: the requests took longer than the time for which the limit counts.
        CouldNotMeasure: and its kinds, see `Session.request`.
    """
    url = f"{site.url}{limit.path}"
    began = time.monotonic()
    with anonymous(site) as session:
        for number in range(limit.requests + limit.burst + _BEYOND):
            claimed = f"198.51.100.{number % 254 + 1}"  # TEST-NET-2: the address of nobody
            more = {"x-forwarded-for": claimed} if limit.claims else {}
            answer = session.get(url, max_bytes=_BODY_BYTES, cut=True, more=more)
            took_s = time.monotonic() - began
            if answer.status in _TOO_MANY:
                return Burst(number, answer.status, answer.retry_after, took_s)
            _must_be_served(answer, number, limit)
            _must_be_in_time(took_s, number, limit, url)
    return Burst(number + 1, None, "", took_s)


def _must_be_served(answer: Answer, number: int, limit: RateLimit) -> None:
    if answer.status not in range(200, 400):
        raise NoData(
            f"answered {answer.status} to request {number + 1}, so that nothing can be limited",
            where=answer.url,
            remedy=f"set `path` in [{limit.place}] to one that a GET without credentials opens",
        )


def _must_be_in_time(took_s: float, number: int, limit: RateLimit, url: str) -> None:
    if took_s >= limit.per_s and number < limit.requests + limit.burst:
        raise TookTooLong(
            f"{number + 1} requests took {took_s:.0f} s, longer than the {limit.per_s:g} s for"
            " which the limit counts",
            where=url,
            remedy="choose a faster `path`, or measure from nearer to the site",
        )


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The answer to a request with a body of some size.

    Attributes:
        status: of the answer; 413 also where the connection was closed before the end of the body.
        words: the answer, for a message.
        url: where the body went.
    """

    status: int
    words: str
    url: str

    @property
    def refused(self) -> bool:
        """Whether the body was refused as too large."""
        return self.status == _TOO_LARGE


def announce(site: Site, limit: BodyLimit, size: int) -> Uploaded:
    """Announce a body of `size` bytes (`Expect: 100-continue`), and send none of it.

    Raises:
        Unreachable: no connection, or the answer is not HTTP.
        NoData: the answer does not depend on the size.
    """
    url = f"{site.url}{limit.path}"
    with _connection(site) as connection:
        _begin(connection, site, limit, {"content-length": str(size), "expect": "100-continue"})
        connection.sock.settimeout(min(_CONTINUES_S, site.timeout_s))
        try:
            said = connection.sock.recv(_PIECE_BYTES)
        except TimeoutError:  # many servers stay silent, which lets the body come
            return Uploaded(_CONTINUE, "lets it come", url)
    found = _STATUS_LINE.match(said)
    if found is None:
        raise Unreachable("the answer is not HTTP", where=url)
    status = int(found[1])
    _must_depend_on_size(status, limit, url)
    return Uploaded(status, f"answers {status}", url)


def upload(site: Site, limit: BodyLimit, size: int, *, chunked: bool) -> Uploaded:
    """Send a body of `size` blanks, which no application stores, until it is refused.

    Args:
        site: the site.
        limit: where to.
        size: of the body in bytes.
        chunked: whether its length is not announced.

    Raises:
        NoData: the answer does not depend on the size.
        Unreachable: no connection, or the answer is not HTTP.
        TookTooLong: no answer in time.
    """
    url = f"{site.url}{limit.path}"
    length = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(size)}
    with _connection(site) as connection:
        _begin(connection, site, limit, length)
        cut = not _send_all(connection, size, chunked=chunked)
        try:
            status = connection.getresponse().status
        except (ConnectionError, ssl.SSLError, http.client.BadStatusLine):
            if not cut:
                raise
            return Uploaded(_TOO_LARGE, "closes the connection", url)
    _must_depend_on_size(status, limit, url)
    return Uploaded(status, f"answers {status}", url)


def _must_depend_on_size(status: int, limit: BodyLimit, url: str) -> None:
    if status in _BEFORE or status in _SERVER_ERRORS:
        raise NoData(
            f"answers {status} to {limit.method}, which does not depend on the size of the body",
            where=url,
            remedy=f"set `path` in [{limit.place}] to one that takes a body without credentials",
        )


@contextmanager
def _connection(site: Site) -> Iterator[http.client.HTTPSConnection]:
    """No credentials are sent, so that any certificate will do."""
    connection = http.client.HTTPSConnection(
        site.host, site.port, timeout=site.timeout_s, context=trust(verify=False)
    )
    try:
        yield connection
    except TimeoutError:
        raise TookTooLong(
            f"no answer within {site.timeout_s:g} s",
            where=site.url,
            remedy=f"increase `timeout_s` in [{site.place}]",
        ) from None
    except (OSError, http.client.HTTPException) as problem:  # an SSLError is an OSError
        raise Unreachable(
            f"no answer: {clean(str(problem) or type(problem).__name__)}",
            where=site.url,
            remedy=f"check that it runs and listens: curl -sv --max-time 5 '{site.url}'",
        ) from None
    finally:
        connection.close()


def _begin(
    connection: http.client.HTTPSConnection,
    site: Site,
    limit: BodyLimit,
    headers: Mapping[str, str],
) -> None:
    path = f"{urlsplit(site.url).path}{limit.path}"
    connection.putrequest(limit.method, path, skip_accept_encoding=True)
    sent = {"content-type": "application/json", "user-agent": f"readiness/{__version__}", **headers}
    for name, value in sent.items():
        connection.putheader(name, value)
    connection.endheaders()


def _send_all(connection: http.client.HTTPSConnection, size: int, *, chunked: bool) -> bool:
    """Send the body; False if the server closed the connection before its end."""
    try:
        for sent in range(0, size, _PIECE_BYTES):
            piece = b" " * min(_PIECE_BYTES, size - sent)
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            connection.send(b"0\r\n\r\n")
    except (ConnectionError, ssl.SSLError):
        return False
    return True
