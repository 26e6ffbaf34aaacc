"""Which release each platform serves, as one view of all of them."""

import json
import re
from dataclasses import dataclass
from typing import Final

from readiness.areas.platforms.config import Config, Github, Gitlab, Host, Render, Vercel
from readiness.areas.platforms.probes.live import Live, Sent, since
from readiness.areas.platforms.probes.render import streamed_from
from readiness.areas.platforms.probes.repositories import commit_of
from readiness.areas.platforms.probes.vercel import drained_from
from readiness.config.base.tables import Service
from readiness.lib.http import ask
from readiness.lib.text import clean
from readiness.model.errors import NoData

_HASH: Final = re.compile(r"[0-9a-f]{7,64}", re.IGNORECASE)
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Served:
    """What one platform serves, beside what it should.

    Attributes:
        host: the platform.
        live: what it serves.
        commit: the full hash of the release; empty if nothing tells it.
    """

    host: Vercel | Render
    live: Live
    commit: str

    @property
    def is_known(self) -> bool:
        """Whether the release can be compared with what is served."""
        return bool(self.commit or self.live.image or self.live.problems)

    @property
    def is_expected(self) -> bool:
        """Whether it serves the release, at the declared address."""
        return self.live.is_made_of(self.host.commit, self.commit) and not self.live.problems

    @property
    def identity(self) -> str:
        """What to compare with other platforms, which may call the release otherwise."""
        return "" if self.is_expected else self.release

    @property
    def release(self) -> str:
        """The name of the release if it is served, else what is served instead."""
        if self.is_expected:
            return self.host.commit
        return self.live.problems[0] if self.live.problems else self.live.release

    def __str__(self) -> str:
        return f"{self.host.name} serves {self.release}{since(self.live.since)}"

    @property
    def shown(self) -> str:
        """Release, state and since when, for the list of platforms."""
        made_of = f" ({self.live.release})" if self.is_expected else ""
        return f"{self.release}{made_of}, {clean(self.live.state, 80)}{since(self.live.since)}"


def served_by(host: Vercel | Render, live: Live, config: Config) -> Served:
    """What the platform serves, with the commit that its release means.

    Raises:
        CouldNotMeasure: and its kinds: the API of the repository does not answer.
    """
    return Served(host, live, _commit(host.commit, live, config.repositories))


def _commit(name: str, live: Live, repositories: list[Github | Gitlab]) -> str:
    if _HASH.fullmatch(name) and live.commit.startswith(name.lower()):
        return live.commit
    found = (commit_of(repository, name) for repository in repositories)
    # Digits alone may be a date, as the release 20261201.
    alone = name.lower() if _HASH.fullmatch(name) and not name.isdigit() else ""
    return next((commit for commit in found if commit), alone)


def sent_by(host: Vercel | Render) -> Sent:
    """What a platform sends to the monitoring.

    Raises:
        CouldNotMeasure: and its kinds.
    """
    return drained_from(host) if isinstance(host, Vercel) else streamed_from(host)


def unknown(served: Served) -> NoData:
    """The error for a release that cannot be compared with commits."""
    return NoData(
        f"{served.host.commit!r} is not the served commit, and no [platforms.NAME] of GitHub or"
        " GitLab has a commit or tag of that name",
        where=f"[{served.host.place}]",
        remedy='set `commit` to the hash or tag of the release, as commit = "v{release}", and'
        " declare its repository",
    )


def version_of(host: Host, service: Service) -> str:
    """The version that the service behind a platform reports.

    Raises:
        NoData: it reports none.
        CouldNotMeasure: and its kinds: it does not answer.
    """
    answer = ask(service, host.version_path)
    found = _version(answer.body, host.version_field) if answer.status == _OK else None
    if not found:
        raise NoData(
            f"has no text or number at {host.version_field!r}: {clean(str(answer))}",
            where=answer.url,
            remedy=f"correct `version_path` and `version_field` in [{host.place}]",
        )
    return found


def _version(body: bytes, field: str) -> str:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    value = found.get(field) if isinstance(found, dict) else None
    return clean(str(value), 100) if isinstance(value, str | int | float) else ""


def agrees(version: str, served: Served, release: str) -> bool:
    """Whether a version names the release: by its name, or by its commit or the beginning of it."""
    names = {release, served.host.commit, served.host.commit.removeprefix("v")}
    hashed = _HASH.fullmatch(version) is not None
    return version in names or (hashed and served.commit.startswith(version.lower()))
