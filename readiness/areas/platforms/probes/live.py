"""What a platform runs now, and where its API is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from readiness.areas.platforms.config import Platform
from readiness.lib import api
from readiness.lib.text import clean
from readiness.lib.vendor import Api

ENABLED: Final = "enabled"
SHOWN: Final = 12
"""Characters of a hash that name a commit in a message."""


class Camel(api.Reply):
    """Base of answers whose keys are in camel case."""

    model_config = ConfigDict(alias_generator=to_camel)


@dataclass(frozen=True, slots=True)
class Live:
    """What a platform serves.

    Attributes:
        state: the platform's own words for its state.
        problems: why users are not served by it, or not as declared.
        commit: the full hash that it was made from; empty if it names none.
        image: the reference of the image that it runs, if it was made from one.
        digest: the digest of that image.
        there: whether anything is at the declared place, whatever it is.
        since: since when users are served by it; None if nothing is served.
        source: the request that shows it.
    """

    state: str
    problems: tuple[str, ...]
    commit: str
    since: datetime | None
    source: str
    image: str = ""
    digest: str = ""
    there: bool = True

    @property
    def release(self) -> str:
        """What is served, short enough for a message."""
        return self.commit[:SHOWN] or clean(self.image, 80) or "nothing that names a commit"

    def is_made_of(self, name: str, commit: str) -> bool:
        """Whether it is this release.

        Args:
            name: the release as readiness.toml names it for this platform.
            commit: the full hash that the name means, as far as it is known.
        """
        if self.image:
            _, _, tag = self.image.rpartition(":")
            return name in {tag, self.image, self.digest}
        return bool(commit) and self.commit == commit


@dataclass(frozen=True, slots=True)
class Sent:
    """What a platform sends to the monitoring.

    Attributes:
        states: by kind of data: `enabled`, or why it is not sent; a kind that nothing takes is
            missing.
        source: the requests that show it.
    """

    states: Mapping[str, str]
    source: str

    def lacking(self, wanted: Iterable[str]) -> list[str]:
        """The kinds of data that are not sent, each with the reason."""
        found = {kind: self.states.get(kind, "not sent") for kind in wanted}
        return [f"{kind}: {clean(state, 40)}" for kind, state in found.items() if state != ENABLED]


def api_of(platform: Platform, subject: str, keys: str, scopes: str) -> Api:
    """The API of a platform; see `Api` for the words."""
    return Api(
        table=f"[{platform.place}]",
        url=platform.address,
        subject=subject,
        keys=keys,
        scopes=scopes,
        token=platform.token,
        timeout_s=platform.timeout_s,
        verify_tls=platform.verify_tls,
        wait_max_s=platform.rate_limit_wait_s,
    )


def since(moment: datetime | None) -> str:
    """The moment for a message; empty without one."""
    return f" since {moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else ""
