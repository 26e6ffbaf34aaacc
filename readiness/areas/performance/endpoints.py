"""Requests an HTTP endpoint again and again, one at a time over a kept connection."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final

from readiness.areas.performance.config import Endpoint
from readiness.areas.performance.judging import Times, plan
from readiness.config.base.tables import Service
from readiness.lib.http import Session, session_for
from readiness.lib.sampling import percentile
from readiness.model.errors import NoData, TookTooLong
from readiness.model.measurement import Measurement

_PILOT: Final = 5
# A failing endpoint is not flooded.
_MOST_FAILURES: Final = 10


@dataclass(frozen=True, slots=True)
class Answered:
    """The answers of one endpoint.

    Attributes:
        times: from the request to the last byte, after the warm-up.
        failed: how many requests, of all, were not answered with an allowed status in time.
        first_failure: what came instead.
    """

    times: Times
    failed: Measurement
    first_failure: str


class Asking:
    """Requests an endpoint, and keeps what went wrong."""

    def __init__(self, session: Session, endpoint: Endpoint, service: Service) -> None:
        self._session = session
        self._endpoint = endpoint
        self.url = f"{service.url}{endpoint.path}"
        # Microseconds since 1970: no earlier run has used them.
        self._numbers = count(time.time_ns() // 1000)
        self.asked = 0
        self.failures: list[str] = []

    def times(self, number: int) -> Iterator[float]:
        """Milliseconds of so many requests; fewer once ten have failed."""
        for _ in range(number):
            if len(self.failures) == _MOST_FAILURES:
                return
            yield self.ask()

    def ask(self) -> float:
        """Milliseconds of one request."""
        body = self._endpoint.body
        content = body.replace("{n}", str(next(self._numbers))).encode() if body else None
        self.asked += 1
        started = time.perf_counter()
        try:
            answer = self._session.request(self._endpoint.method, self.url, content)
        except (TookTooLong, NoData) as error:
            self.failures.append(error.sentence)
            return (time.perf_counter() - started) * 1000
        if answer.status not in self._endpoint.status:
            self.failures.append(str(answer))
        return answer.elapsed_ms


def answered(endpoint: Endpoint, service: Service) -> Answered:
    """Request the endpoint; a pilot decides how often.

    Raises:
        Unreachable: the service cannot be reached.
    """
    source = f"{endpoint.method} {service.url}{endpoint.path}"
    with session_for(service) as session:
        asking = Asking(session, endpoint, service)
        pilot = list(asking.times(_PILOT))
        planned = plan(endpoint.samples, endpoint.budget_s, percentile(pilot, 0.5) / 1000)
        warm = list(asking.times(planned.warm_up))
        ms = list(asking.times(planned.rounds))
    failures = asking.failures
    return Answered(
        Times(ms or warm or pilot, source),
        Measurement("failed requests", len(failures), "count", source, samples=asking.asked),
        failures[0] if failures else "",
    )
