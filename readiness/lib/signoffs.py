"""Whether the items that a release needs are signed, and what to do before signing."""

import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from readiness.config.base.signoffs import Signoff, SignoffPolicy
from readiness.config.base.tables import Config, Target

# A target without a release: a sign-off of it would count for every release.
_NO_RELEASE: Final = {"", "unknown"}
_UAT: Final = (
    "Take the acceptance criteria of this release from its ticket; add what else changed.",
    "Go through the main user journeys on the system that is judged, with test accounts.",
    "Let one journey fail: a declined payment, an empty list, a lost connection.",
    "Note each deviation with its ticket; one that blocks users ends the sign-off.",
    "File the protocol: release, environment, journeys, deviations, who tested and when.",
)
_DRILL: Final = (
    "Announce the drill to the people on call and to support.",
    "Break one thing that an alert must notice, for longer than its rule waits.",
    "Note when the page arrived, who took it, and by which channel.",
    "Follow the runbook that the alert links to, word by word; correct it where it is wrong.",
    "Restore, and see that the alert ends and the dashboards are as before.",
    "File the times, the corrections and the follow-up tickets.",
)
_DOCUMENTS: Final = (
    "Open the runbook of each alert that pages; each has a first step that a newcomer can do.",
    "Follow each link and run each read-only command once.",
    "Compare diagram, dependencies and limits with what is deployed now.",
    "Check that contacts, escalation and the on-call rota are of this month.",
    "Read how to roll back this release, and who decides it.",
)
_GUIDES: Final = {
    "uat": _UAT,
    "acceptance-test": _UAT,
    "alert-drill": _DRILL,
    "operational-documents": _DOCUMENTS,
    "runbook": _DOCUMENTS,
}


@dataclass(frozen=True, slots=True)
class SignoffState:
    """Whether one item is signed for a release; if not, `problems` says why no sign-off counts."""

    item: str
    signed: bool
    problems: tuple[str, ...]


def state(item: str, config: Config, *, config_sha256: str, today: date) -> SignoffState:
    """Whether an item is signed.

    A sign-off counts for one release, image and configuration, and through its `expires` day
    (UTC). One from somebody else than deployer and authors is needed, and a second person for an
    item that needs four eyes; case and spacing do not make two people.

    Args:
        item: one of the required items.
        config: the target and its sign-offs.
        config_sha256: what its file asks for, without its sign-offs.
        today: the day on which the sign-offs must count.
    """
    target, policy = config.target, config.signoffs
    if target.release.strip().casefold() in _NO_RELEASE:
        return SignoffState(item, False, ("the release is unknown: set `release` in [target]",))
    given = [s for s in config.signoff if s.item == item]
    if not given:
        return SignoffState(item, False, (f"{item} is not signed for {target.release}",))
    stale = {id(s): _stale(s, target, config_sha256, today) for s in given}
    valid = [s for s in given if not stale[id(s)]]
    problems = [problem for s in given if (problem := stale[id(s)])] if not valid else []
    problems += _too_few(item, [s.person for s in valid], target, policy) if valid else []
    return SignoffState(item, not problems, tuple(dict.fromkeys(problems)))


def for_release(item: str, config: Config) -> list[Signoff]:
    """The sign-offs of an item for the release that is judged, valid or not."""
    release = config.target.release.strip()
    return [s for s in config.signoff if s.item == item and s.release.strip() == release]


def guide(item: str, policy: SignoffPolicy) -> tuple[str, ...]:
    """What to do before it is signed: the steps of the file, else ours, else none."""
    return tuple(policy.guides.get(item, ())) or _GUIDES.get(item, ())


def same_person(first: str, second: str) -> bool:
    """Whether two names are of one person."""
    return _folded(first) == _folded(second)


def _stale(signoff: Signoff, target: Target, config_sha256: str, today: date) -> str:
    """Why it no longer says anything about what is judged, or an empty text."""
    item, release = signoff.item, target.release
    if signoff.release.strip() != release.strip():
        return f"{item} is signed for {signoff.release}, not for {release}"
    if _digest(signoff.image) != _digest(target.image):
        return f"{item} is signed for {_short(signoff.image)}, not for {_short(target.image)}"
    if signoff.config_sha256 not in {None, config_sha256}:
        return f"the configuration changed since {signoff.person} signed {item}"
    if today > signoff.expires:
        return f"the sign-off of {signoff.person} expired on {signoff.expires}"
    return ""


def _too_few(
    item: str, people: Sequence[str], target: Target, policy: SignoffPolicy | None
) -> list[str]:
    authors = policy.authors if policy else []
    if all(same_person(person, target.deployer) for person in people):
        return [f"{person} signed and deploys: four eyes are required" for person in people]
    if all(_is_one_of(person, [target.deployer, *authors]) for person in people):
        names = ", ".join(people)
        return [f"only who made or deploys the release signed ({names}): four eyes are required"]
    needed = 2 if policy and item in policy.four_eyes else 1
    if len({_folded(person) for person in people}) < needed:
        return [f"only {people[0]} signed {item}: four eyes are required"]
    return []


def _is_one_of(person: str, people: Collection[str]) -> bool:
    return any(same_person(person, other) for other in people)


def _digest(image: str | None) -> str:
    """The same artifact may be in two registries."""
    return (image or "").rpartition("@")[2]


def _short(image: str | None) -> str:
    """An image as a message names it: its digest in twelve digits."""
    if image is None:
        return "no image"
    algorithm, _, digest = _digest(image).partition(":")
    return f"image {algorithm}:{digest[:12]}"


def _folded(person: str) -> str:
    return "".join(unicodedata.normalize("NFKC", person).casefold().split())
