"""How every drill watches users: what the prober is told, what is steady, and what is too much."""

from typing import Final

from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import Plan
from readiness.lib.prober.prober import Prober
from readiness.lib.prober.settings import Watched
from readiness.lib.text import listed

_SLACK_S: Final = 10.0


def plan_of(watched: Watched, version_key: str = "") -> Plan:
    """What the prober asks of a service."""
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
    """All requests so far, once those of `steady_s` seconds since then have ended.

    Raises:
        CouldNotMeasure: the prober ended by itself, or does not get so far.
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
    """Why a drill must end now, for the sake of the users; empty as long as it may go on."""
    if len(seen.failed) > watched.abort_failures:
        return f"over {watched.abort_failures} requests failed"
    if seen.longest_gap_s > watched.abort_outage_s:
        return f"nobody was served for over {watched.abort_outage_s:g} s"
    return ""
