"""Whether the pages that alerts refer to are there."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from readiness.lib import http
from readiness.model.errors import CouldNotMeasure

_TIMEOUT_S: Final = 10.0
_FIRST_ERROR: Final = 400
# A wiki that wants a login has the page, as far as anybody without one can tell.
_LOGIN: Final = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Pages:
    """What came of asking for pages.

    Attributes:
        asked: how many different ones.
        missing: those that are not there, each with what was answered.
        untold: those that did not answer, each with the reason.
    """

    asked: int
    missing: dict[str, str]
    untold: dict[str, str]


def look_up(urls: Iterable[str]) -> Pages:
    """Ask for each page once, without a login; a redirect counts as a page."""
    missing, untold = {}, {}
    wanted = sorted(set(urls))
    for url in wanted:
        try:
            answer = http.get(url, timeout_s=_TIMEOUT_S)
        except CouldNotMeasure as problem:
            untold[url] = problem.message
            continue
        if answer.status >= _FIRST_ERROR and answer.status not in _LOGIN:
            missing[url] = f"answered {answer.status}"
    return Pages(len(wanted), missing, untold)
