"""How long a Prometheus keeps what it knows, as it says so itself."""

import re
from dataclasses import dataclass
from typing import Final

from readiness.lib.durations import prometheus_seconds
from readiness.lib.prometheus import Prometheus
from readiness.lib.text import clean
from readiness.model.errors import NoData
from readiness.model.measurement import Measurement

_HOUR_S: Final = 3600
# As Prometheus writes bytes (`Base2Bytes`): `10GiB`, `1GiB512MiB`; or a share of the disk.
_SIZE: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:[KMGTPE]i?)?B)+|[0-9]+(?:\.[0-9]+)?%")
_KEPT_SINCE: Final = "max(time() - prometheus_tsdb_lowest_timestamp_seconds)"


@dataclass(frozen=True, slots=True)
class Promise:
    """What `storageRetention` says.

    Attributes:
        hours: how long samples are kept at most; None where no time is said.
        size: how much room they may take, as `10GiB`; empty where no size is said.
    """

    hours: float | None
    size: str


def read(text: str) -> Promise:
    """Read `15d`, `15d or 10GiB`, or `10GiB`; `0s` says no time.

    Raises:
        NoData: it says neither.
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
        f"it does not say how long it keeps samples ({clean(text, 60)!r})",
        where="storageRetention of /api/v1/status/runtimeinfo",
        remedy="another program than Prometheus answers, or one without storage of its own:"
        " see where the samples are kept, and for how long",
    )


def kept_h(prometheus: Prometheus, wanted_h: float) -> Measurement:
    """Hours of history that it promises; where only room is bounded, those that it has.

    Args:
        prometheus: whom to ask.
        wanted_h: hours that are of interest; less than these proves nothing where no time is said.

    Raises:
        NoData: it promises no time, and its history does not reach that far by now.
    """
    text = prometheus.runtime().retention
    promise = read(text)
    source = f"GET {prometheus.url}/api/v1/status/runtimeinfo: {clean(text, 60)}"
    if promise.hours is not None:
        return Measurement("history that is kept", promise.hours, "h", source)
    held = [sample.value / _HOUR_S for sample in prometheus.query(_KEPT_SINCE)]
    if held and held[0] >= wanted_h:
        return Measurement("history that is there", held[0], "h", _KEPT_SINCE)
    reach = f"{held[0]:.0f} h of history are there" if held else "it does not tell its history"
    raise NoData(
        f"its retention is bounded by size alone ({promise.size}), which promises no time; {reach}",
        where=source,
        remedy="set --storage.tsdb.retention.time too; and let Prometheus scrape itself, so that"
        " prometheus_tsdb_lowest_timestamp_seconds is there",
    )
