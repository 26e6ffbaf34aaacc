"""Prometheus as a server: how long it keeps samples, and how far clocks are from ours."""

import re
from dataclasses import dataclass
from typing import Final, Protocol

from readiness.lib.durations import prometheus_seconds
from readiness.lib.prometheus import Prometheus
from readiness.lib.text import clean
from readiness.model.errors import NoData
from readiness.model.measurement import Measurement

_ASKED: Final = 3
_HOUR_S: Final = 3600
# As Prometheus writes bytes (`Base2Bytes`): `10GiB`, `1GiB512MiB`; or a share of the disk.
_SIZE: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:[KMGTPE]i?)?B)+|[0-9]+(?:\.[0-9]+)?%")
_KEPT_SINCE: Final = "max(time() - prometheus_tsdb_lowest_timestamp_seconds)"


@dataclass(frozen=True, slots=True)
class Promise:
    """The limits in `storageRetention`.

    Attributes:
        hours: how long samples are kept at most; None where there is no limit of time.
        size: how much space they may take, as `10GiB`; empty where there is no limit of size.
    """

    hours: float | None
    size: str


def read(text: str) -> Promise:
    """Read `15d`, `15d or 10GiB`, or `10GiB`; `0s` is no limit of time.

    Raises:
        NoData: it has neither.
    """
    hours: float | None = None
    size = ""
    for word in filter(None, (part.strip() for part in text.split(" or "))):
        try:
            said_h = prometheus_seconds(word) / _HOUR_S
        except NoData:
            if not _SIZE.fullmatch(word):
                raise _unreadable(text) from None
            size = word
        else:
            hours = said_h or None
    if hours is None and not size:
        raise _unreadable(text)
    return Promise(hours, size)


def _unreadable(text: str) -> NoData:
    return NoData(
        f"it does not report how long it keeps samples ({clean(text, 60)!r})",
        where="storageRetention of /api/v1/status/runtimeinfo",
        remedy="another program than Prometheus answers, or one without its own storage:"
        " look where the samples are stored, and for how long",
    )


def kept_h(prometheus: Prometheus, wanted_h: float) -> Measurement:
    """Hours of history that it promises; where only the size is limited, those that it has.

    Args:
        prometheus: the server.
        wanted_h: hours that must be kept; fewer prove nothing where no time is promised.

    Raises:
        NoData: it promises no time, and its history does not reach that far yet.
    """
    text = prometheus.runtime().retention
    promise = read(text)
    source = f"GET {prometheus.url}/api/v1/status/runtimeinfo: {clean(text, 60)}"
    if promise.hours is not None:
        return Measurement("history that is kept", promise.hours, "h", source)
    held = [sample.value / _HOUR_S for sample in prometheus.query(_KEPT_SINCE)]
    if held and held[0] >= wanted_h:
        return Measurement("history that is there", held[0], "h", _KEPT_SINCE)
    reach = f"{held[0]:.0f} h of history are there" if held else "it does not report its history"
    raise NoData(
        f"its retention is limited by size alone ({promise.size}), which is no time; {reach}",
        where=source,
        remedy="set --storage.tsdb.retention.time too; and let Prometheus scrape itself, which"
        " provides prometheus_tsdb_lowest_timestamp_seconds",
    )


class Clock(Protocol):
    """A Prometheus or an Alertmanager."""

    url: str

    def clock_offset_s(self) -> tuple[float, float]:
        """How far it is ahead of ours, and how exactly that is known; both in seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a clock is from ours.

    Attributes:
        name: whose it is.
        url: its address.
        ahead_s: seconds that it is ahead of ours; negative where it is behind.
        error_s: seconds by which that may be wrong.
    """

    name: str
    url: str
    ahead_s: float
    error_s: float

    def least(self) -> Measurement:
        """The least that it is off, in seconds, whatever the round trip hides."""
        return Measurement(
            f"clock of {self.name} at {self.url}, off by at least",
            max(0.0, abs(self.ahead_s) - self.error_s),
            "s",
            f"GET {self.url}",
            _ASKED,
        )


def offset_of(clock: Clock, name: str) -> Offset:
    """The most precise of three answers.

    Raises:
        CouldNotMeasure: it does not answer, or reports no time.
    """
    ahead, error = min((clock.clock_offset_s() for _ in range(_ASKED)), key=lambda pair: pair[1])
    return Offset(name, clock.url, ahead, error)
