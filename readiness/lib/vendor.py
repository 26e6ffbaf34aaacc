"""A client of the APIs of platforms: JSON, pages, rate limits, and what they answer instead.

Only GET requests are sent.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from pydantic import TypeAdapter

from readiness.lib import api
from readiness.lib.http import Answer, Session
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted
from readiness.model.secrets import Secret, redact

_T = TypeVar("_T")
PER_PAGE: Final = 100
_MOST_PAGES: Final = 50
_MOST_TRIES: Final = 5
_LARGEST: Final = 16 * 1024 * 1024
_OK: Final = 200
_FIRST_SERVER_ERROR: Final = 500
# GitHub answers 422 to a name that cannot be a commit.
_MISSING: Final = {404, 422}
_UNKNOWN_TOKEN: Final = 401
_FORBIDDEN: Final = 403
_TOO_MANY: Final = 429
_NEXT: Final = re.compile(r'<([^<>]+)>[^,<]*;\s*rel="?next"?', re.IGNORECASE)
_DIGITS: Final = 11
"""Of seconds since 1970, for the next thousand years."""
_SAID: Final = 120
# The second is GitLab's, of scopes.
_REASONS: Final = ("message", "error_description")


@dataclass(frozen=True, slots=True)
class Api:
    """An API, as a table of readiness.toml declares it.

    Attributes:
        table: the table, as `[configuration.ci]`.
        url: the address, without a slash at its end.
        subject: what is asked about, as `acme/shop`, for messages.
        keys: the keys that decide what is asked about, as "`repository` and `url`".
        scopes: what the token must be allowed to do, as the remedy of a refusal.
        token: sent as `Authorization: Bearer`.
        wait_max_s: seconds that are waited at most, in all, where the API asks to.
    """

    table: str
    url: str
    subject: str
    keys: str
    scopes: str
    token: Secret | None
    timeout_s: float
    verify_tls: bool = True
    wait_max_s: float = 0


class Client:
    """One API, a context manager. Every method raises `CouldNotMeasure` and its kinds."""

    def __init__(self, to: Api) -> None:
        self._api = to
        self._left_s = to.wait_max_s
        self._session = Session(timeout_s=to.timeout_s, bearer=to.token, verify=to.verify_tls)

    def __enter__(self) -> Self:
        self._session.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._session.__exit__(*exception)

    def url(self, path: str) -> str:
        """The address of a path of the API."""
        return f"{self._api.url}{path}"

    def find(self, path: str, kind: TypeAdapter[_T]) -> _T | None:
        """What the path answers; None if it does not exist, or the token cannot see it."""
        answer = self._get(self.url(path))
        return None if answer.status in _MISSING else self._content(answer, kind)

    def read(self, path: str, kind: TypeAdapter[_T]) -> _T:
        """What the path answers.

        Raises:
            NoData: it does not exist, or the token cannot see it.
        """
        found = self.find(path, kind)
        if found is None:
            raise self.missing(path.partition("?")[0])
        return found

    def pages(self, path: str, kind: TypeAdapter[_T]) -> Iterator[tuple[_T, bool]]:
        """Each page of a list with links, and whether its answer says what comes next.

        Raises:
            NoData: the list does not exist, does not end, or goes on at another host.
        """

        def following(answer: Answer, _: _T) -> str:
            return self._following(answer)

        for answer, page in self._walk(path, kind, following):
            yield page, "link" in answer.headers or "x-next-page" in answer.headers

    def entries(self, path: str, kind: TypeAdapter[tuple[_T, ...]]) -> list[_T]:
        """The entries of all pages of a list with links.

        Raises:
            NoData: see `pages`; or a page is full, and nothing says whether there is another.
        """
        found: list[_T] = []
        for page, says_more in self.pages(path, kind):
            if len(page) >= PER_PAGE and not says_more:
                raise self.incomplete(path.partition("?")[0])
            found += page
        return found

    def by_cursor(
        self, path: str, kind: TypeAdapter[_T], cursor: Callable[[_T], str]
    ) -> Iterator[_T]:
        """Each page of a list that goes on at a cursor, until one has none.

        Raises:
            NoData: the list does not exist, or does not end.
        """
        joint = "&" if "?" in path else "?"

        def following(_: Answer, page: _T) -> str:
            found = cursor(page)
            return self.url(f"{path}{joint}cursor={quote(found, safe='')}") if found else ""

        return (page for _, page in self._walk(path, kind, following))

    def missing(self, path: str) -> NoData:
        """The error for something that does not exist, or that the token cannot see."""
        return NoData(
            f"{self._api.subject} does not exist there, or the token cannot see it",
            where=self.url(path),
            remedy=f"correct {self._api.keys} in {self._api.table}, or {self._api.scopes}",
        )

    def incomplete(self, path: str, how: str = "") -> NoData:
        """The error for a list that ends too early."""
        return NoData(
            f"the list is not complete{how}, and there is no next page",
            where=self.url(path),
            remedy="let the proxy in front of the API pass its header Link",
        )

    def _walk(
        self, path: str, kind: TypeAdapter[_T], following: Callable[[Answer, _T], str]
    ) -> Iterator[tuple[Answer, _T]]:
        url, seen = self.url(path), set[str]()
        while url:
            if url in seen or len(seen) >= _MOST_PAGES:
                raise NoData(
                    f"the list does not end: page {len(seen) + 1} is"
                    f" {'one that was read before' if url in seen else 'one too many'}",
                    where=self.url(path.partition("?")[0]),
                    remedy=f"correct `url` in {self._api.table}: a proxy may answer for the API",
                )
            seen.add(url)
            answer = self._get(url)
            if answer.status in _MISSING:
                raise self.missing(path.partition("?")[0])
            page = self._content(answer, kind)
            yield answer, page
            url = following(answer, page)

    def _following(self, answer: Answer) -> str:
        """The address of the next page; empty if there is none."""
        found = _NEXT.search(answer.headers.get("link", ""))
        if not found:
            return ""
        following = str(urljoin(answer.url, found[1]))
        here, there = urlsplit(answer.url), urlsplit(following)
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            # The token must not go to another host.
            raise NoData(
                f"the next page is at another host, {clean(there.netloc, 100)}",
                where=answer.url,
                remedy=f"set `url` in {self._api.table} to the address that the API itself uses",
            )
        return following

    def _get(self, url: str) -> Answer:
        answer = self._patiently(url)
        if _is_limited(answer):
            more = f"; with `token` in {self._api.table} more are allowed"
            raise CouldNotMeasure(
                f"answered {answer.status}: too many requests{_until(answer)}",
                where=answer.url,
                remedy="run again later" + ("" if self._api.token else more),
            )
        if answer.status in {_UNKNOWN_TOKEN, _FORBIDDEN}:
            raise self._refused(answer)
        if answer.status >= _FIRST_SERVER_ERROR:
            raise CouldNotMeasure(
                f"answered {answer.status}: the API is down or overloaded",
                where=answer.url,
                remedy="see its status page, and run again",
            )
        return answer

    def _patiently(self, url: str) -> Answer:
        """The answer, asked for again after each wait that the API names and we can afford."""
        answer = self._ask(url)
        for _ in range(_MOST_TRIES):
            wait = answer.retry_after
            if not (_is_limited(answer) and wait.isdigit() and len(wait) <= _DIGITS):
                break
            if int(wait) > self._left_s:
                break
            self._left_s -= int(wait)
            time.sleep(int(wait))
            answer = self._ask(url)
        return answer

    def _ask(self, url: str) -> Answer:
        return self._session.get(url, accept="application/json", max_bytes=_LARGEST)

    def _refused(self, answer: Answer) -> NotPermitted:
        # Vercel answers 403 to a token that it does not know, too, and says so.
        unknown = any(place.get("invalidToken") is True for place in _places(answer))
        if answer.status == _UNKNOWN_TOKEN or unknown:
            state = "is not valid or has expired" if self._api.token else "is missing"
            return NotPermitted(
                f"answered {answer.status}: the token {state}",
                where=answer.url,
                remedy=f"set `token` in {self._api.table} from the environment, as"
                ' token = "${API_TOKEN}"',
            )
        return NotPermitted(
            f"answered {answer.status}: the token is not accepted or lacks a permission"
            f"{_said(answer)}",
            where=answer.url,
            remedy=self._api.scopes,
        )

    def _content(self, answer: Answer, kind: TypeAdapter[_T]) -> _T:
        found = api.document(answer, self._api.table, "token")
        if answer.status != _OK:
            raise NoData(
                f"answered {answer.status}",
                where=answer.url,
                remedy=f"correct {self._api.keys} in {self._api.table}",
            )
        return api.shaped(kind, found, answer, self._api.table)


def _is_limited(answer: Answer) -> bool:
    """All answer 429 to too many requests, and GitHub also 403, with one of these headers."""
    if answer.status == _FORBIDDEN:
        return bool(answer.retry_after) or answer.headers.get("x-ratelimit-remaining") == "0"
    return answer.status == _TOO_MANY


def _until(answer: Answer) -> str:
    """When requests are allowed again, as far as the answer says so."""
    if answer.retry_after:
        wait = f"{answer.retry_after} s" if answer.retry_after.isdigit() else answer.retry_after
        return f", again allowed after {clean(wait, 40)}"
    reset = answer.headers.get("x-ratelimit-reset") or answer.headers.get("ratelimit-reset", "")
    if not (reset.isdigit() and len(reset) <= _DIGITS):
        return ""
    return f", again allowed from {datetime.fromtimestamp(int(reset), UTC):%Y-%m-%d %H:%M:%S} UTC"


def _said(answer: Answer) -> str:
    """The reason that the API gives, in its own words."""
    for place in _places(answer):
        for key in _REASONS:
            told = place.get(key)
            if isinstance(told, str) and told.strip():
                return f": {redact(clean(told, _SAID))}"
    return ""


def _places(answer: Answer) -> list[dict[str, object]]:
    """Where an answer may say why: within `error`, as Vercel does, or by itself."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return []
    inner = found.get("error") if isinstance(found, dict) else None
    return [place for place in (inner, found) if isinstance(place, dict)]
