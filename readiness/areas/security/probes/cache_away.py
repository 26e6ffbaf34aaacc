"""The cache that all replicas share is taken away: what a page answers meanwhile."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.security.config import CacheDrill, Site
from readiness.areas.security.probes.access import SUCCESSES
from readiness.areas.security.probes.visits import anonymous
from readiness.lib import command
from readiness.lib.guardian import Undo
from readiness.lib.http import Answer, Session
from readiness.lib.noise import Noise, watching
from readiness.model.errors import CouldNotMeasure, NoData

REQUESTS: Final = 10
"""How many requests are sent while the cache is away."""
_BODY_BYTES: Final = 64 * 1024
_COMMAND_S: Final = 60.0
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class WithoutCache:
    """What a page answered without the cache.

    Attributes:
        failed: the statuses that are errors, and why there was no answer.
        took_ms: of each answer, from the first byte sent to the last one received.
        noise: of this machine meanwhile.
    """

    failed: tuple[str, ...]
    took_ms: tuple[float, ...]
    noise: Noise


def run(site: Site, drill: CacheDrill, undo: Undo) -> WithoutCache:
    """Take the cache away, request the page, and restore the cache whatever happens.

    Args:
        site: how long a request may take.
        drill: the commands, and the page.
        undo: restores the cache if this process is killed meanwhile.

    Raises:
        NoData: the cache does not answer before, or still answers after it was taken away.
        CouldNotMeasure: and its kinds: the page does not open before, or a command failed.
    """
    url = f"{drill.origin}{drill.path}"
    with anonymous(site) as session:
        _require_healthy(session, url, drill)
        token = undo.run(drill.back)
        try:
            _command(drill.away, "take away", drill)
            if _answers(drill):
                raise NoData(
                    f"{drill.cache} still answers after it was taken away: nothing is shown",
                    where=f"[{drill.place}]",
                    remedy="correct `away`, or `answers`, which must fail without the cache",
                )
            with watching() as watch:
                found = list(_requests(session, url))
                noise = watch.seen()
        finally:
            _command(drill.back, "restore", drill)
            undo.forget(token)
    _await(drill)
    answers = [one for one in found if isinstance(one, Answer)]
    refused = [one.message for one in found if isinstance(one, CouldNotMeasure)]
    wrong = [str(one.status) for one in answers if one.status not in SUCCESSES]
    return WithoutCache((*wrong, *refused), tuple(one.elapsed_ms for one in answers), noise)


def _require_healthy(session: Session, url: str, drill: CacheDrill) -> None:
    if not _answers(drill):
        raise NoData(
            f"{drill.cache} does not answer before it is taken away",
            where=f"[{drill.place}]",
            remedy="start it, or correct `answers`, which must succeed while it runs",
        )
    # The first one may be what fills the cache.
    for _ in range(2):
        status = session.get(url, max_bytes=_BODY_BYTES, cut=True).status
        if status not in SUCCESSES:
            raise NoData(
                f"answers {status} before anything was taken away",
                where=f"GET {url}",
                remedy=f"correct `origin` and `path` in [{drill.place}]",
            )


def _requests(session: Session, url: str) -> Iterator[Answer | CouldNotMeasure]:
    for _ in range(REQUESTS):
        try:
            yield session.get(url, max_bytes=_BODY_BYTES, cut=True)
        except CouldNotMeasure as error:  # no answer is a result of the drill
            yield error


def _await(drill: CacheDrill) -> None:
    end = time.monotonic() + drill.within_s
    while not _answers(drill):
        if time.monotonic() > end:
            raise CouldNotMeasure(
                f"{drill.cache} does not answer {drill.within_s:g} s after it was restored",
                where=f"[{drill.place}]",
                remedy="restore it by hand, and correct `back`",
            )
        time.sleep(_POLL_S)


def _answers(drill: CacheDrill) -> bool:
    remedy = f"correct `answers` in [{drill.place}]"
    return command.ask(drill.answers, f"ask {drill.cache}", remedy).status == 0


def _command(words: Sequence[str], verb: str, drill: CacheDrill) -> None:
    remedy = f"run it by hand, make sure that {drill.cache} is back, and correct [{drill.place}]"
    command.run(words, f"{verb} {drill.cache}", remedy, timeout_s=_COMMAND_S)
