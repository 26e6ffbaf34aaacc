"""What shared caches keep: pages that they should answer, and pages of one user."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.security.config import Cached, Change, Protected, Site
from readiness.areas.security.probes.access import SUCCESSES, opens
from readiness.areas.security.probes.visits import anonymous, trusting
from readiness.lib import command
from readiness.lib.guardian import Undo
from readiness.model.errors import NoData
from readiness.model.measurement import Measurement

_BODY_BYTES: Final = 64 * 1024
_PUBLIC: Final = re.compile(r"(?:^|,)\s*(?:public|s-maxage)\b", re.IGNORECASE)
_FORBIDDEN: Final = re.compile(r"(?:^|,)\s*(?:no-store|private)\b", re.IGNORECASE)
# Cache-Status (RFC 9211) says `hit`, others HIT, `Hit from cloudfront` or `TCP_HIT`.
_HIT: Final = re.compile(r"(?<![a-z])hit(?![a-z])", re.IGNORECASE)
_AGE: Final = "age"
_POLL_S: Final = 0.1
_COMMAND_S: Final = 60.0
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
class Spread:
    """How a change of a cached page spreads.

    Attributes:
        stale: the replicas that still show the old page.
        replicas: how many were watched.
        took_s: until the last of the others showed the change.
    """

    stale: tuple[str, ...]
    replicas: int
    took_s: float


def spread(site: Site, cached: Cached, change: Change, undo: Undo) -> Spread:
    """Change the page, watch every replica, and change it back whatever happens.

    Args:
        site: the site.
        cached: the page.
        change: the commands, and where the page is seen.
        undo: changes it back if this process is killed meanwhile.

    Raises:
        NoData: the page changes by itself, or not by the command, so that nothing is shown.
        CouldNotMeasure: and its kinds: no answer, or a command failed.
    """
    origin = f"{change.origin}{cached.path}"
    with anonymous(site) as session:

        def body(url: str) -> bytes:
            answer = session.get(url, max_bytes=_BODY_BYTES, cut=True)
            if answer.status not in SUCCESSES:
                raise NoData(
                    f"answers {answer.status}, so that no change of it can be seen",
                    where=url,
                    remedy=f"correct `path` in [{cached.place}], and the addresses in `change`",
                )
            return answer.body

        pages = {replica: f"{replica}{cached.path}" for replica in change.replicas}
        before = body(origin)
        old = {replica: body(url) for replica, url in pages.items()}
        for url, first in {origin: before, **{pages[r]: old[r] for r in pages}}.items():
            if body(url) != first:
                raise NoData(
                    "changes with every request, so that a change of it cannot be seen",
                    where=url,
                    remedy=f"choose another page for [{cached.place}]: no time, token or number"
                    " in it",
                )
        token = undo.run(change.undo)
        try:
            _command(change.command, change, cached)
            began = time.monotonic()
            stale, took_s = dict(pages), 0.0
            while stale:
                took_s = time.monotonic() - began
                stale = {r: url for r, url in stale.items() if body(url) == old[r]}
                if took_s > change.within_s:
                    break
                time.sleep(_POLL_S if stale else 0)
            if body(origin) == before:
                raise NoData(
                    "shows the same after the command, so that nothing had to be invalidated",
                    where=origin,
                    remedy=f"correct `command` in [{cached.place}.change]",
                )
        finally:
            _command(change.undo, change, cached)
            undo.forget(token)
    return Spread(tuple(stale), len(pages), took_s)


def _command(words: Sequence[str], change: Change, cached: Cached) -> None:
    verb = "change back" if words == change.undo else "change"
    remedy = f"run it by hand, and correct [{cached.place}.change]"
    command.run(words, f"{verb} {cached.path}", remedy, timeout_s=_COMMAND_S)


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
