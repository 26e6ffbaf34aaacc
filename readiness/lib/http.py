"""An HTTP client with limits on time and size; no redirects, cookies or proxies.

Any status is an answer for the check to judge. No answer is an error.
"""

import asyncio
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Self
from urllib.parse import urlsplit

import httpx

from readiness import __version__
from readiness.config.base.tables import Service
from readiness.lib.text import clean
from readiness.model.errors import NoData, TookTooLong, Unreachable
from readiness.model.secrets import Secret

MAX_BYTES: Final = 1024 * 1024
JSON: Final = "application/json"
_CLOSE_TIMEOUT_S: Final = 1.0
_LAST_PORT: Final = 65535
_FIRST_ERROR: Final = 400
_EXCERPT: Final = 300
_LONGEST_HEADER: Final = 8192
# X509_V_ERR_CERT_HAS_EXPIRED and X509_V_ERR_HOSTNAME_MISMATCH of OpenSSL.
_EXPIRED: Final = 10
_OTHER_NAME: Final = 62
_USER_INFO: Final = re.compile(r"(?<=//)[^/?#]*@")
_REDIRECTS: Final = range(300, 400)
_LOGIN: Final = re.compile(
    r"log[-_]?in|log[-_]?on|sign[-_]?in|auth|sso|saml|oidc|openid|session", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer, whatever its status.

    Attributes:
        url: the address, without user and password.
        status: the HTTP status; a redirect is an answer too.
        content_type: this header and the next three are empty if they were not sent.
        location: the target of a redirect.
        retry_after: seconds or a date.
        date: the server's clock.
        body: at most as many bytes as were allowed.
        elapsed_ms: from the first byte sent (connecting included) to the last one received.
        headers: all headers, by their names in lower case.
        lines: the same, one for each line that was sent, in their order.
    """

    url: str
    status: int
    content_type: str
    location: str
    retry_after: str
    date: str
    body: bytes
    elapsed_ms: float
    headers: Mapping[str, str] = field(default_factory=dict)
    lines: Sequence[tuple[str, str]] = ()

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case."""
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def redirects_to_login(self) -> bool:
        """Whether it redirects to what is called like a login."""
        if self.status not in _REDIRECTS or not self.location:
            return False
        there = urlsplit(self.location)
        # The page itself may be called /auth: only another path counts.
        return there.path != urlsplit(self.url).path and bool(
            _LOGIN.search(f"{there.netloc}{there.path}")
        )

    def __str__(self) -> str:
        target = f" to {self.location}" if self.location else ""
        wrong = self.status >= _FIRST_ERROR and self.body
        # An error usually names its reason, and a second request might not.
        says = f": {clean(self.body[:_EXCERPT].decode(errors='replace'))}" if wrong else ""
        return f"{self.url} answered {self.status}{target}{says}"


class Session:
    """Sequential requests, over one connection if the server keeps it open.

    Args:
        timeout_s: the longest each request may take, from connecting to the last byte.
        bearer: token sent as `Authorization: Bearer`.
        verify: whether the server's certificate must be signed by a public authority or by one
            that this machine trusts.
        scheme: the text before the token.
        authority: a file with certificates of further authorities that are trusted.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        bearer: Secret | None = None,
        verify: bool = True,
        scheme: str = "Bearer ",
        authority: str = "",
    ) -> None:
        self._timeout_s = timeout_s
        self._bearer = bearer
        self._scheme = scheme
        self._verify = verify
        self._authority = authority

    def __enter__(self) -> Self:
        trusted = _trust(verify=self._verify, authority=self._authority)
        self._loop = asyncio.new_event_loop()
        # Not httpx.Client: it keeps cookies and rejects invalid redirects.
        self._transport = httpx.AsyncHTTPTransport(
            verify=trusted,
            trust_env=False,  # a proxy of this machine must not answer for the target
        )
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._loop.run_until_complete(self._close())
        finally:
            # Not asyncio.run: it waits for name resolution, which may hang.
            self._loop.close()

    def get(
        self,
        url: str,
        *,
        accept: str = "*/*",
        max_bytes: int = MAX_BYTES,
        cut: bool = False,
        more: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a GET request; see `request`."""
        return self.request("GET", url, accept=accept, max_bytes=max_bytes, cut=cut, more=more)

    def post(
        self,
        url: str,
        content: bytes,
        *,
        content_type: str = JSON,
        accept: str = "*/*",
        max_bytes: int = MAX_BYTES,
        more: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a POST request; see `request`."""
        return self.request(
            "POST",
            url,
            content,
            content_type=content_type,
            accept=accept,
            max_bytes=max_bytes,
            more=more,
        )

    def request(
        self,
        method: str,
        url: str,
        content: bytes | None = None,
        *,
        content_type: str = JSON,
        accept: str = "*/*",
        max_bytes: int = MAX_BYTES,
        cut: bool = False,
        more: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request and read the whole answer.

        Args:
            method: `GET`, `POST`, `PUT`, ...
            url: an absolute http or https address.
            content: the body to send, if any.
            content_type: what the body is; not sent without one.
            accept: the media types asked for.
            max_bytes: the longest body taken.
            cut: take the beginning of a longer body.
            more: further headers, with names in lower case.

        Raises:
            Unreachable: refused, reset, no such name, certificate not accepted, or not HTTP.
            TookTooLong: the last byte did not come in time.
            NoData: the body is longer than `max_bytes` and is not to be cut, or is in an encoding
                that was not requested.
        """
        headers = {
            "accept": accept,
            "accept-encoding": "identity",  # a compressed body could expand to any size
            "user-agent": f"readiness/{__version__}",
            **(more or {}),
        }
        if content is not None:
            headers["content-type"] = content_type
        if self._bearer:
            headers["authorization"] = f"{self._scheme}{self._bearer.reveal()}"
        with _explained(_shown(url), self._timeout_s):
            request = _build(method, url, content, headers)
            return self._loop.run_until_complete(self._exchange(request, max_bytes, cut=cut))

    async def _exchange(self, request: httpx.Request, max_bytes: int, *, cut: bool) -> Answer:
        started = time.perf_counter()
        # httpx limits each read; only a total deadline ends a slowly dripping answer.
        async with asyncio.timeout(self._timeout_s):
            response = await self._transport.handle_async_request(request)
            try:
                body = await _read(response, _shown(str(request.url)), max_bytes, cut=cut)
            finally:
                await response.aclose()
        return Answer(
            url=_shown(str(request.url)),
            status=response.status_code,
            content_type=clean(response.headers.get("content-type", "")),
            location=clean(response.headers.get("location", "")),
            retry_after=clean(response.headers.get("retry-after", "")),
            date=clean(response.headers.get("date", "")),
            body=body,
            elapsed_ms=(time.perf_counter() - started) * 1000,
            headers={
                # A list of links is long, and a piece of it is not valid.
                name.lower(): clean(text, _LONGEST_HEADER)
                for name, text in response.headers.items()
            },
            lines=[(name.lower(), text) for name, text in response.headers.multi_items()],
        )

    async def _close(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._transport.aclose()
                await self._loop.shutdown_asyncgens()


def get(
    url: str,
    *,
    timeout_s: float,
    bearer: Secret | None = None,
    verify: bool = True,
    accept: str = "*/*",
    max_bytes: int = MAX_BYTES,
) -> Answer:
    """Send one GET request over a new connection; see `Session` and `Session.request`."""
    with Session(timeout_s=timeout_s, bearer=bearer, verify=verify) as session:
        return session.get(url, accept=accept, max_bytes=max_bytes)


def session_for(service: Service) -> Session:
    """A session with the settings of [services.NAME]."""
    return Session(timeout_s=service.timeout_s, bearer=service.bearer, verify=service.verify_tls)


def ask(service: Service, path: str, *, accept: str = "*/*", max_bytes: int = MAX_BYTES) -> Answer:
    """Send one GET request to a service; see `Session.request`."""
    with session_for(service) as session:
        return session.get(f"{service.url}{path}", accept=accept, max_bytes=max_bytes)


def _build(method: str, url: str, content: bytes | None, headers: dict[str, str]) -> httpx.Request:
    request = httpx.Request(method, url, content=content, headers=headers)
    if (request.url.port or 0) > _LAST_PORT:
        raise httpx.InvalidURL("port")
    if request.url.userinfo and "authorization" not in headers:
        login = httpx.BasicAuth(request.url.username, request.url.password)
        return next(login.auth_flow(request))
    return request


async def _read(response: httpx.Response, url: str, max_bytes: int, *, cut: bool) -> bytes:
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise NoData(
            f"the body is encoded as {clean(encoding, 40)!r}, which was not requested",
            where=url,
            remedy="make the server respect `Accept-Encoding: identity`",
        )
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_bytes and cut:
            break
        if len(body) > max_bytes:
            raise NoData(
                f"the body is larger than {max_bytes:,} bytes",
                where=url,
                remedy=f"see what it sends: curl -s --max-time 5 '{url}' | head -c 1000",
            )
    return bytes(body[:max_bytes])


def trust(*, verify: bool = True, authority: str = "") -> ssl.SSLContext:
    """Whose certificates are accepted: public authorities, those of this machine, and one more.

    Raises:
        NoData: the file of the authority cannot be read.
    """
    context = httpx.create_ssl_context(verify=verify, trust_env=False)
    if not verify:
        return context
    context.load_default_certs()  # besides the public ones, those of this machine
    if authority:
        try:
            context.load_verify_locations(authority)
        except OSError as problem:  # an SSLError is one, too
            reason = "not PEM" if isinstance(problem, ssl.SSLError) else problem.strerror
            raise NoData(
                f"the certificates cannot be read: {reason}",
                where=authority,
                remedy="name a file with the certificates of the authority, in PEM",
            ) from None
    return context


# Loading certificates takes 20 ms, which must not count as latency.
_trust = lru_cache(maxsize=8)(trust)


@contextmanager
def _explained(url: str, timeout_s: float) -> Iterator[None]:
    """Translate errors of httpx; never quotes the request, which holds secrets."""
    try:
        yield
    except (TimeoutError, httpx.TimeoutException):
        raise TookTooLong(
            f"no complete answer within {timeout_s:g} s",
            where=url,
            remedy=f"see how far it comes: curl -sv --max-time 30 '{url}'; if that is"
            " acceptable, increase `timeout_s`",
        ) from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise Unreachable(
            "is not a valid address", where=url, remedy="correct `url` in readiness.toml"
        ) from None
    except (httpx.LocalProtocolError, UnicodeError):
        raise Unreachable(
            "the request cannot be sent: the host, path or token has a character that HTTP forbids",
            where=url,
            remedy="remove line ends and blanks from the variable of `bearer`",
        ) from None
    except (httpx.RemoteProtocolError, httpx.DecodingError) as error:
        raise Unreachable(
            f"the answer is not HTTP: {clean(str(error))}",
            where=url,
            remedy=f"check host, port and http or https: curl -sv --max-time 5 '{url}'",
        ) from None
    except httpx.HTTPError as error:
        raise _unreachable(error, url) from None


def _unreachable(error: httpx.HTTPError, url: str) -> Unreachable:
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Unreachable(
                f"the certificate is not accepted: {clean(cause.verify_message)}",
                where=url,
                remedy=_trusted(cause.verify_code, url),
            )
    return Unreachable(
        _reason(causes[-1]),
        where=url,
        remedy=f"check that it runs and listens: curl -sv --max-time 5 '{url}'",
    )


def _trusted(code: int, url: str) -> str:
    """What makes a certificate acceptable; `code` is that of OpenSSL's verification."""
    address = httpx.URL(url)
    place = f"{address.host}:{address.port or 443}"
    if code == _EXPIRED:
        look = f"openssl s_client -connect {place} </dev/null | openssl x509 -noout -dates"
        return f"renew the certificate; see its dates: {look}"
    if code == _OTHER_NAME:
        return f"use a name that the certificate has, or issue one for {address.host}"
    return "install the certificate of its CA on this machine, or name its file in SSL_CERT_FILE"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes; the last one is the most specific."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        inner = seen.exceptions[0] if isinstance(seen, BaseExceptionGroup) else None
        seen = inner or seen.__cause__ or seen.__context__


def _reason(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return f"the name cannot be resolved: {clean(str(error.strerror))}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {clean(str(error.reason or error))}"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return f"the connection was lost: {clean(str(error) or type(error).__name__)}"


def _shown(url: str) -> str:
    return clean(_USER_INFO.sub("", url), 500)
