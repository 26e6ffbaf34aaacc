"""Whether the items that a release needs are signed."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from readiness.config.base.tables import Signoff

# A target without a release: a sign-off of it would count for every release.
_NO_RELEASE: Final = {"", "unknown"}


@dataclass(frozen=True, slots=True)
class SignoffState:
    """Whether one item is signed for a release; if not, `problems` says why no sign-off counts."""

    item: str
    signed: bool
    problems: tuple[str, ...]


def state(
    item: str, signoffs: Sequence[Signoff], *, release: str, deployer: str, today: date
) -> SignoffState:
    """Whether an item is signed.

    A sign-off counts for one release, through its `expires` day (UTC), and not from the deployer
    (four eyes; case and spacing do not make two people).
    """
    if release.strip().casefold() in _NO_RELEASE:
        return SignoffState(item, False, ("the release is unknown: set `release` in [target]",))
    mine = [s for s in signoffs if s.item == item]
    if not mine:
        return SignoffState(item, False, (f"{item} is not signed for {release}",))
    judged = [_problem(s, release, deployer, today) for s in mine]
    if "" in judged:
        return SignoffState(item, True, ())
    return SignoffState(item, False, tuple(dict.fromkeys(judged)))


def _problem(signoff: Signoff, release: str, deployer: str, today: date) -> str:
    """Why it does not count, or an empty text."""
    if signoff.release.strip() != release.strip():
        return f"{signoff.item} is signed for {signoff.release}, not for {release}"
    if today > signoff.expires:
        return f"the sign-off of {signoff.person} expired on {signoff.expires}"
    if _same_person(signoff.person, deployer):
        return f"{signoff.person} signed and deploys: four eyes are required"
    return ""


def _same_person(first: str, second: str) -> bool:
    return _folded(first) == _folded(second)


def _folded(person: str) -> str:
    return "".join(unicodedata.normalize("NFKC", person).casefold().split())
