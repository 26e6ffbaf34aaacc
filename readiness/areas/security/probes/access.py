"""What opens a protected page: no credentials, empty ones, wrong ones, and foreign origins.

Wrong credentials include `undefined` and `null`: what a template makes of a variable that is not
set, on the side of the server too, which then compares the two and opens.
"""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from readiness.areas.security.config import Protected, ScheduledJob, Site
from readiness.areas.security.probes.visits import anonymous
from readiness.lib.http import Answer, Session
from readiness.lib.text import clean
from readiness.model.errors import NoData

SUCCESSES: Final = range(200, 300)
_REFUSALS: Final = {401, 403, 407}
_BODY_BYTES: Final = 64 * 1024
_UNSET: Final = ("undefined", "null", "None")
FOREIGN: Final = "https://readiness-foreign.example"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request with credentials that must be refused.

    Attributes:
        kind: `none`, `empty`, `wrong` or `unset`.
        shown: the credentials in words; they are invented, so that they may be shown.
        answer: what was answered.
    """

    kind: str
    shown: str
    answer: Answer

    @property
    def opened(self) -> bool:
        """Whether the path answered with success.

        Raises:
            NoData: the answer is neither a success nor a refusal.
        """
        if self.answer.status in SUCCESSES:
            return True
        refusals = _REFUSALS if self.kind == "none" else {400, *_REFUSALS}  # RFC 6750, 3.1
        if self.answer.status in refusals or self.answer.redirects_to_login:
            return False
        raise NoData(
            f"answered {self.answer.status} with {self.shown}: neither opened nor refused",
            where=self.answer.url,
            remedy="a protected path answers 401 or 403, or redirects to a login: correct its path"
            " and method; 429 and 5xx: try again once it is well",
        )


def attempts(site: Site, door: Protected | ScheduledJob) -> Iterator[Attempt]:
    """Try it with no, empty, wrong and unset credentials; none of them is a secret.

    Raises:
        CouldNotMeasure: and its kinds, see `Session.request`.
    """
    method = door.method if isinstance(door, ScheduledJob) else "GET"
    with anonymous(site) as session:
        for kind, value in _credentials(door):
            more = {} if value is None else {door.header.lower(): value}
            words = f"{door.header}: {value}" if value else f"an empty {door.header}"
            yield Attempt(
                kind,
                "no credentials" if value is None else words,
                _sent(session, method, f"{site.url}{door.path}", more),
            )


def _credentials(door: Protected | ScheduledJob) -> Iterator[tuple[str, str | None]]:
    yield "none", None
    yield "empty", door.scheme.strip()
    yield "wrong", f"{door.scheme}readiness-{secrets.token_hex(8)}"
    yield from (("unset", f"{door.scheme}{value}") for value in _UNSET)


def opens(site: Site, page: Protected, session: Session) -> Answer:
    """The answer with the right credentials, at an address that nobody else requests.

    A cache that keeps what it must not then shows the page to nobody.

    Raises:
        NoData: they do not open it, so that a refusal proves nothing.
        CouldNotMeasure: and its kinds; the certificate must be valid.
    """
    secret = page.secret.reveal() if page.secret else ""
    own = f"{page.path}{'&' if '?' in page.path else '?'}readiness={secrets.token_hex(8)}"
    answer = _sent(
        session, "GET", f"{site.url}{own}", {page.header.lower(): f"{page.scheme}{secret}"}
    )
    if answer.status not in SUCCESSES:
        raise NoData(
            f"answers {answer.status} with its secret too, so that a refusal proves nothing",
            where=answer.url,
            remedy=f"set `secret` in [{page.place}] to one that opens the page, or correct `path`,"
            " `header` and `scheme`",
        )
    return answer


@dataclass(frozen=True, slots=True)
class Shared:
    """What a site allows scripts of another origin.

    Attributes:
        origin: that origin.
        url: the page that was requested.
        allowed: its Access-Control-Allow-Origin.
        credentials: whether scripts may send the cookies of the user.
    """

    origin: str
    url: str
    allowed: str
    credentials: bool

    @property
    def is_open(self) -> bool:
        """Whether a page of that origin reads what the user sees; browsers refuse `*` for it."""
        return self.allowed == self.origin and self.credentials


def origins(site: Site) -> Iterator[Shared]:
    """Request pages as scripts of foreign origins do.

    Raises:
        CouldNotMeasure: and its kinds, see `Session.request`.
    """
    # The second one begins with the own origin, and the third one ends with it.
    foreign = (FOREIGN, f"https://{site.host}.readiness-foreign.example",
               f"https://readiness-foreign{site.host}", "null")  # fmt: skip
    paths = dict.fromkeys((*site.paths, *(page.path for page in site.pages.values())))
    with anonymous(site) as session:
        for path in list(paths)[:5]:
            for origin in foreign:
                answer = _sent(session, "GET", f"{site.url}{path}", {"origin": origin})
                told = answer.headers.get("access-control-allow-credentials", "")
                allowed = answer.headers.get("access-control-allow-origin", "")
                yield Shared(origin, answer.url, clean(allowed), told.lower() == "true")


def _sent(session: Session, method: str, url: str, more: Mapping[str, str]) -> Answer:
    if method == "GET":
        return session.get(url, max_bytes=_BODY_BYTES, cut=True, more=more)
    return session.request(method, url, b"", max_bytes=_BODY_BYTES, cut=True, more=more)
