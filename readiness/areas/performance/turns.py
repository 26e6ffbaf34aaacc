"""Two releases beside each other, requested by turns.

What disturbs one disturbs the other, too: the machine, its clock, the database that both share. So
the ratio of the two is exact where each time alone is not, and tells a slower release on a machine
that is too noisy for a comparison with earlier runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from readiness.areas.performance.config import Before, Endpoint
from readiness.areas.performance.endpoints import Asking
from readiness.areas.performance.judging import plan
from readiness.config.base.tables import Service
from readiness.lib.http import session_for
from readiness.lib.noise import Noise
from readiness.lib.retry import indistinct
from readiness.lib.sampling import Bounds, percentile_bounds, quantile_points
from readiness.model.errors import CouldNotMeasure
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement, at_most

_PILOT: Final = 5
_KEY: Final = "release"


@dataclass(frozen=True, slots=True)
class Turns:
    """The times of both releases, in ms; those with the same index followed each other.

    Attributes:
        settings: the limits, and where the release before runs.
        now: of this release.
        before: of the release before.
        source: what was requested.
    """

    settings: Before
    now: Sequence[float]
    before: Sequence[float]
    source: str

    @property
    def ratios(self) -> list[float]:
        """How many times as long this release took, pair by pair."""
        return [now / before for now, before in zip(self.now, self.before, strict=True)]

    @property
    def bounds(self) -> Bounds:
        """The median of the ratios, with its bounds."""
        return percentile_bounds(self.ratios, 0.5)

    @property
    def most(self) -> float:
        """The largest median that is no regression."""
        return max(self.settings.max_ratio, 1 + self.settings.min_ms / median(self.before))

    def keeps(self) -> bool | None:
        """Whether there is no regression; None if that cannot be told."""
        found = self.bounds
        if found.value <= self.most:
            return True
        return False if found.lower is not None and found.lower > 1 else None

    def judge(self, evidence: Evidence, noise: Noise) -> None:
        """Judge the median of the ratios.

        Raises:
            CouldNotMeasure: slower than agreed, but not beyond chance.
        """
        found = Measurement(
            "ratio to the release before, by turns",
            self.bounds.value,
            "ratio",
            self.source,
            samples=len(self.now),
            quantiles=quantile_points(self.ratios),
        )
        seen = f"the median is {median(self.now):.4g} ms, before {median(self.before):.4g} ms"
        if self.keeps() is None:
            evidence.record(found)
            raise indistinct(f"{seen}, and {self.most:.3g} times as long is the limit", noise)
        limit = at_most(self.most, self.settings.deciding("max_ratio"))
        says = f"It takes {found.value:.3g} times as long as the release before"
        evidence.judge(_KEY, found, limit, seen, says=says)


def by_turns(endpoint: Endpoint, service: Service, before: Before) -> Turns:
    """Request both releases, one right after the other; each comes first in half of the pairs.

    Raises:
        Unreachable: one of them cannot be reached.
        CouldNotMeasure: one of them answered wrongly.
    """
    beside = service.model_copy(update={"url": before.url})
    with session_for(service) as session, session_for(beside) as other:
        now, then = Asking(session, endpoint, service), Asking(other, endpoint, beside)

        def ask(number: int) -> tuple[float, float]:
            return pair(lambda: _asked(now), lambda: _asked(then), number)

        pilot = [ask(number) for number in range(_PILOT)]
        slow_s = median(sum(pair) for pair in pilot) / 1000
        planned = plan(endpoint.samples, endpoint.budget_s, slow_s)
        for number in range(planned.warm_up):
            ask(number)
        pairs = [ask(number) for number in range(planned.rounds)]
    source = f"{endpoint.method} {now.url} and {then.url}"
    return Turns(before, [ms for ms, _ in pairs], [ms for _, ms in pairs], source)


def pair(now: Callable[[], float], before: Callable[[], float], number: int) -> tuple[float, float]:
    """What both return, this release's first; which one is called first takes turns."""
    if number % 2:
        earlier = before()
        return now(), earlier
    return now(), before()


def _asked(asking: Asking) -> float:
    """Milliseconds of one good answer."""
    ms = asking.ask()
    if asking.failures:
        raise CouldNotMeasure(
            f"a request failed, so that nothing can be compared: {asking.failures[0]}",
            where=asking.url,
            remedy="let both releases run with the same data, and answer the same requests",
        )
    return ms
