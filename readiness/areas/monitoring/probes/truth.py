"""Sends known requests to a service, and compares its counters before and after.

Also as Prometheus stores them: it may scrape another instance under the name of the service.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from readiness.areas.monitoring.config import Service, Truth
from readiness.lib.http import Session, session_for
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.exposition import Reading, parse_selector, read, scrape
from readiness.lib.retry import until
from readiness.model.errors import CouldNotMeasure, NoData

_SETTLE_S: Final = 5.0
_POLL_S: Final = 0.25
_FIRST_ERROR: Final = 400
# Two scrapes and what they take; a check does not wait longer for what a target configures.
_SCRAPES: Final = 2
_SLACK_S: Final = 5.0
_LONGEST_WAIT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Counted:
    """The increases of two counters.

    Attributes:
        requests: the request counter, while requests were sent that succeed.
        requests_as_errors: the error counter, during the same requests.
        errors: the error counter, while requests were sent that fail.
        silent: the counters that had no series even at the end.
    """

    requests: float
    requests_as_errors: float
    errors: float
    silent: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Counters:
    requests: Reading
    errors: Reading


def measure(service: Service, truth: Truth) -> Counted:
    """Send the requests that `truth` describes, and read the counters before and after.

    Raises:
        CouldNotMeasure: the counters move without us, decrease, or do not exist; the requests
            were not answered as declared, or not at all.
    """
    before = _undisturbed(service, truth)
    with session_for(service) as session:
        _send(session, service.url + truth.path, truth.requests, fail=False)
        middle = _settled(
            service, truth, lambda now: _moved(before.requests, now.requests) >= truth.requests
        )
        _send(session, service.url + truth.error_path, truth.errors, fail=True)
        after = _settled(
            service, truth, lambda now: _moved(middle.errors, now.errors) >= truth.errors
        )
    readings = ((truth.counter, after.requests), (truth.error_counter, after.errors))
    return Counted(
        requests=_moved(before.requests, middle.requests),
        requests_as_errors=_moved(before.errors, middle.errors),
        errors=_moved(middle.errors, after.errors),
        silent=tuple(selector for selector, reading in readings if not reading.present),
    )


def stored(prometheus: Prometheus, selector: str) -> float:
    """The sum of a counter in Prometheus, over all instances; 0 without a series."""
    return sum(sample.value for sample in prometheus.query(f"sum({selector})"))


def stored_increase(prometheus: Prometheus, selector: str, before: float, expected: float) -> float:
    """How far a counter has moved in Prometheus; waits for two scrapes, and 60 s at most.

    A counter has no series before its first event: one that stays without has not moved.

    Raises:
        NoData: the metric is not there at all, its targets are down, or it is scraped too rarely
            to wait for.
    """
    name = parse_selector(selector).name
    interval_s = _interval_s(prometheus, name)
    moved = until(
        lambda: stored(prometheus, selector) - before,
        lambda increase: increase >= expected,
        within_s=min(_SCRAPES * interval_s + _SLACK_S, _LONGEST_WAIT_S),
    )
    if moved < expected and not prometheus.query(name):
        raise NoData(
            f"Prometheus has no series {name}",
            where=prometheus.url,
            remedy="scrape the service, and keep this metric in `metric_relabel_configs`:"
            " see monitoring.scrape-jobs",
        )
    if moved < expected and _are_down(prometheus, name):
        raise NoData(
            f"the targets with {name} are down",
            where=f"{prometheus.url}/targets",
            remedy="see monitoring.scrape-jobs",
        )
    if moved < expected and interval_s >= _LONGEST_WAIT_S:
        raise NoData(
            f"{name} is scraped every {interval_s:g} s, longer than a check waits",
            where=prometheus.url,
            remedy="scrape the service at least once a minute",
        )
    return moved


def _are_down(prometheus: Prometheus, name: str) -> bool:
    """Whether no target with a metric is up; its series remain after a scrape that is malformed."""
    down, up = (
        prometheus.query(f"up == {value} and on (job, instance) {name}") for value in (0, 1)
    )
    return bool(down) and not up


def _interval_s(prometheus: Prometheus, name: str) -> float:
    """Seconds between two scrapes of the targets with a metric; of all, if none has it yet."""
    places = {(s.labels.get("job"), s.labels.get("instance")) for s in prometheus.query(name)}
    found = [
        target.interval_s
        for target in prometheus.targets()
        if not places or (target.labels.get("job"), target.labels.get("instance")) in places
    ]
    return max(found, default=0.0)


def _undisturbed(service: Service, truth: Truth) -> _Counters:
    """The counters, which must not move while we send nothing."""
    first = _read(service, truth)
    time.sleep(_POLL_S * 2)
    second = _read(service, truth)
    if first != second:
        raise NoData(
            "the counters move although nothing was sent: these series have other traffic",
            where=f"{truth.counter}, {truth.error_counter}",
            remedy="declare in [services.NAME.truth] a path that no other client requests, and"
            " selectors of that path alone",
        )
    return second


def _settled(service: Service, truth: Truth, arrived: Callable[[_Counters], bool]) -> _Counters:
    """The counters once they have arrived, read again a little later: they may overshoot."""
    deadline = time.monotonic() + _SETTLE_S
    while not arrived(_read(service, truth)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    time.sleep(_POLL_S)
    return _read(service, truth)


def _read(service: Service, truth: Truth) -> _Counters:
    exposition = scrape(service)
    return _Counters(read(exposition, truth.counter), read(exposition, truth.error_counter))


def _moved(before: Reading, after: Reading) -> float:
    moved = after.value - before.value
    if moved < 0:
        raise NoData(
            f"a counter decreased from {before.value:g} to {after.value:g}: the service was"
            " restarted, or several instances answer in turn",
            remedy="set `url` to the address of one instance, and look for restarts",
        )
    return moved


def _send(session: Session, url: str, times: int, *, fail: bool) -> None:
    for sent in range(times):
        answer = session.get(url)
        if (answer.status >= _FIRST_ERROR) is not fail:
            expected = "at least 400" if fail else "less than 400"
            raise CouldNotMeasure(
                f"request {sent + 1} of {times} answered {answer.status} instead of {expected},"
                " and the counters cannot be compared with it",
                where=f"GET {answer.url}",
                remedy="set in [services.NAME.truth] a `path` that always succeeds, and an"
                " `error_path` that always fails",
            )
