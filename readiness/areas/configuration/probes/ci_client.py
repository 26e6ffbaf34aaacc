"""A client of the APIs of GitHub and GitLab: JSON, pages, and what they answer instead."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, Self, TypeVar
from urllib.parse import urljoin, urlsplit

from pydantic import TypeAdapter

from readiness.areas.configuration.config import Ci
from readiness.lib import api
from readiness.lib.http import Answer, Session
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted

_T = TypeVar("_T")
_NAME: Final = "[configuration.ci]"
_MOST_PAGES: Final = 50
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
_SCOPES: Final = {
    "github": "give the token read access to checks, commit statuses and contents of the repository"
    " (fine-grained), or the scope `repo` (classic)",
    "gitlab": "give the token the scope `read_api`, and its user the role Reporter or higher",
}


class Client:
    """One API, a context manager. Every method raises `CouldNotMeasure` and its kinds."""

    def __init__(self, ci: Ci) -> None:
        self._ci = ci
        self._session = Session(timeout_s=ci.timeout_s, bearer=ci.token, verify=ci.verify_tls)

    def __enter__(self) -> Self:
        self._session.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._session.__exit__(*exception)

    def url(self, path: str) -> str:
        """The address of a path of the API."""
        return f"{self._ci.address}{path}"

    def find(self, path: str, kind: TypeAdapter[_T]) -> _T | None:
        """What the path answers; None if it does not exist, or the token cannot see it."""
        answer = self._get(self.url(path))
        return None if answer.status in _MISSING else self._content(answer, kind)

    def pages(self, path: str, kind: TypeAdapter[_T]) -> Iterator[tuple[_T, bool]]:
        """Each page of a list, and whether its answer says what comes next.

        Raises:
            NoData: the list does not exist, does not end, or goes on at another host.
        """
        url, seen = self.url(path), set[str]()
        while url:
            if url in seen or len(seen) >= _MOST_PAGES:
                raise NoData(
                    f"the list does not end: page {len(seen) + 1} is"
                    f" {'one that was read before' if url in seen else 'one too many'}",
                    where=self.url(path.partition("?")[0]),
                    remedy="correct `url` in [configuration.ci]: a proxy may answer for the API",
                )
            seen.add(url)
            answer = self._get(url)
            if answer.status in _MISSING:
                raise self.missing(path.partition("?")[0])
            following = self._following(answer, url)
            says = "link" in answer.headers or "x-next-page" in answer.headers
            yield self._content(answer, kind), says
            url = following

    def missing(self, path: str) -> NoData:
        """The error for something that does not exist, or that the token cannot see."""
        return NoData(
            f"{self._ci.repository} does not exist there, or the token cannot see it",
            where=self.url(path),
            remedy=f"correct `repository` and `url` in [configuration.ci], or"
            f" {_SCOPES[self._ci.provider]}",
        )

    def _following(self, answer: Answer, url: str) -> str:
        """The address of the next page; empty if there is none."""
        found = _NEXT.search(answer.headers.get("link", ""))
        if not found:
            return ""
        following = str(urljoin(url, found[1]))
        here, there = urlsplit(url), urlsplit(following)
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            # The token must not go to another host.
            raise NoData(
                f"the next page is at another host, {clean(there.netloc, 100)}",
                where=answer.url,
                remedy="set `url` in [configuration.ci] to the address that the API itself uses",
            )
        return following

    def _get(self, url: str) -> Answer:
        answer = self._session.get(url, accept="application/json", max_bytes=_LARGEST)
        if _is_limited(answer):
            raise CouldNotMeasure(
                f"answered {answer.status}: too many requests{_until(answer)}",
                where=answer.url,
                remedy="run again later"
                + (
                    ""
                    if self._ci.token
                    else "; with `token` in [configuration.ci] more are allowed"
                ),
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

    def _refused(self, answer: Answer) -> NotPermitted:
        if answer.status == _UNKNOWN_TOKEN:
            state = "is not valid or has expired" if self._ci.token else "is missing"
            return NotPermitted(
                f"answered {answer.status}: the token {state}",
                where=answer.url,
                remedy="set `token` in [configuration.ci] from the environment, as"
                ' token = "${CI_API_TOKEN}"',
            )
        return NotPermitted(
            f"answered {answer.status}: the token lacks a permission",
            where=answer.url,
            remedy=_SCOPES[self._ci.provider],
        )

    @staticmethod
    def _content(answer: Answer, kind: TypeAdapter[_T]) -> _T:
        found = api.document(answer, _NAME, "token")
        if answer.status != _OK:
            raise NoData(
                f"answered {answer.status}",
                where=answer.url,
                remedy="correct `url` and `repository` in [configuration.ci]",
            )
        return api.shaped(kind, found, answer, _NAME)


def _is_limited(answer: Answer) -> bool:
    """Both answer 429 to too many requests, and GitHub also 403, with one of these headers."""
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
