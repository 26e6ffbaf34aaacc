"""What shared caches keep: pages that they should answer, and pages of one user."""

import re
from dataclasses import dataclass
from typing import Final

from readiness.areas.security.config import Cached, Protected, Site
from readiness.areas.security.probes.access import SUCCESSES, opens
from readiness.areas.security.probes.visits import anonymous, trusting
from readiness.model.errors import NoData
from readiness.model.measurement import Measurement

_BODY_BYTES: Final = 64 * 1024
_PUBLIC: Final = re.compile(r"(?:^|,)\s*(?:public|s-maxage)\b", re.IGNORECASE)
_FORBIDDEN: Final = re.compile(r"(?:^|,)\s*(?:no-store|private)\b", re.IGNORECASE)
# Cache-Status (RFC 9211) says `hit`, others HIT, `Hit from cloudfront` or `TCP_HIT`.
_HIT: Final = re.compile(r"(?<![a-z])hit(?![a-z])", re.IGNORECASE)
_AGE: Final = "age"
HIT: Final = "hit"


def second(site: Site, cached: Cached) -> Measurement:
    """What the cache says of the second of two requests: `hit`, or its words.

    Raises:
        NoData: the page does not open.
        CouldNotMeasure: and its kinds, see `Session.request`.
    """
    url, name = f"{site.url}{cached.path}", cached.header.lower()
    with anonymous(site) as session:
        answers = [session.get(url, max_bytes=_BODY_BYTES, cut=True) for _ in range(2)]
    last = answers[-1]
    if last.status not in SUCCESSES:
        raise NoData(
            f"answers {last.status}, which caches do not keep",
            where=url,
            remedy=f"correct `path` in [{cached.place}]",
        )
    told = last.headers.get(name, "")
    hit = told.isdigit() if name == _AGE else _HIT.search(told.replace("_", " "))
    said = HIT if hit else told or f"no {cached.header}"
    return Measurement(f"second request of {cached.path}", said, "text", f"GET {url}", samples=2)


@dataclass(frozen=True, slots=True)
class Stored:
    """Whether a cache may keep, or has kept, what a user saw.

    Attributes:
        path: the page.
        policy: its Cache-Control for a user; empty without one.
        shareable: whether that lets a shared cache keep it (RFC 9111, 3.5).
        served: whether somebody without credentials then got the page.
    """

    path: str
    policy: str
    shareable: bool
    served: bool


def stored(site: Site, page: Protected) -> Stored:
    """Open a page with its credentials, and then without.

    Raises:
        NoData: its credentials do not open it.
        CouldNotMeasure: and its kinds; the certificate must be valid.
    """
    with trusting(site) as session:
        own = opens(site, page, session)
    with anonymous(site) as session:
        after = session.get(own.url, max_bytes=_BODY_BYTES, cut=True)
    policy = own.headers.get("cache-control", "")
    # A cookie does not keep a cache from storing; `Authorization` does unless it is overruled.
    by_default = page.header.lower() != "authorization"
    shareable = not _FORBIDDEN.search(policy) and (by_default or bool(_PUBLIC.search(policy)))
    return Stored(page.path, policy, shareable, after.status in SUCCESSES)
