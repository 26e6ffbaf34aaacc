"""A drill that watches users: its settings, when they are served steadily, and when it must end."""

import time
from collections.abc import Callable
from typing import Annotated, Final, Protocol, TypeVar

from pydantic import Field

from readiness.config.base import Count, Model, Positive, Text, Url
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import Plan
from readiness.lib.prober.prober import Prober
from readiness.lib.text import listed
from readiness.model.secrets import Secret

_SLACK_S: Final = 10.0
# A drill of minutes is run twice; one of seconds until it is seen, for about four minutes.
_PATIENCE_S: Final = 240.0
_LEAST: Final = 2
_MOST: Final = 6


class Watched(Model):
    """A service that a prober sends requests to while something is done to it."""

    url: Url = Field(..., description="the public URL; answers GET")
    replica_header: Text | None = Field(None, description="response header that names the replica")
    bearer: Secret | None = Field(None, description="token sent as `Authorization: Bearer`")
    verify_tls: bool = Field(True, description="whether its certificate must be valid")
    rate_per_s: Annotated[float, Field(ge=10, le=1000)] = Field(
        50, description="requests a second during a drill, half of them over new connections"
    )
    timeout_s: Positive = Field(2, description="seconds until a request counts as unanswered")
    steady_s: Annotated[float, Field(ge=1)] = Field(
        10, description="seconds without a failure that a drill needs before and after a change"
    )
    abort_failures: Count = Field(
        20, description="failed requests; with more of them a drill is aborted and reverted at once"
    )
    abort_outage_s: Positive = Field(
        5, description="seconds without an answer; after more of them it is, too"
    )


def plan_of(watched: Watched, version_key: str = "") -> Plan:
    """What the prober sends to a service."""
    bearer = watched.bearer
    return Plan(
        url=watched.url,
        rate_per_s=watched.rate_per_s,
        timeout_s=watched.timeout_s,
        headers={"Authorization": f"Bearer {bearer.reveal()}"} if bearer else {},
        version_key=version_key,
        replica_header=watched.replica_header or "",
        verify_tls=watched.verify_tls,
    )


def steadily(prober: Prober, watched: Watched, began: float) -> Observation:
    """All requests so far, once those of the first `steady_s` seconds after `began` have ended.

    Raises:
        CouldNotMeasure: the prober ended by itself, or is too slow.
    """
    return prober.wait(
        lambda seen: seen.samples[-1].due > began + watched.steady_s,
        watched.steady_s + watched.timeout_s + _SLACK_S,
    )


def failures_of(seen: Observation) -> str:
    """How many requests failed, and how."""
    problems = listed(dict.fromkeys(sample.problem for sample in seen.failed))
    return f"{len(seen.failed)} of {len(seen.samples)} requests failed ({problems})"


def suffering(seen: Observation, watched: Watched) -> str:
    """Why a drill must end now to protect users; empty while it may go on."""
    if len(seen.failed) > watched.abort_failures:
        return f"over {watched.abort_failures} requests failed"
    if seen.longest_gap_s > watched.abort_outage_s:
        return f"no request was answered for over {watched.abort_outage_s:g} s"
    return ""


class Probed(Protocol):
    """The outcome of a drill with a prober."""

    @property
    def is_starved(self) -> bool:
        """Whether all that is known is that this machine was too busy to probe."""
        ...


_W = TypeVar("_W", bound=Probed)


def fairly(drill: Callable[[], _W]) -> _W:
    """The first drill whose prober was not starved; the last one if all were."""
    began, tries = time.monotonic(), 1
    while (done := drill()).is_starved and tries < _MOST:
        if tries >= _LEAST and time.monotonic() - began > _PATIENCE_S:
            break
        tries += 1
    return done
