"""Summaries of other load generators: k6, Vegeta, Gatling and wrk2.

A figure that is absent or empty is an error. k6 itself calls an empty rate passed, and the
percentiles of nothing are 0 in all of them.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from readiness.areas.performance.config import Load, LoadTool
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong

_LARGEST: Final = 16 * 1024 * 1024
_MOST_DROPPED: Final = 0.02
_NS_OF_A_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Summary:
    """What another tool saw.

    Attributes:
        requests: how many were sent.
        failed: how many of them failed, by the rules of that tool.
        good_per_s: good answers a second.
        p95_ms: of the good answers (k6, Gatling) or of all (Vegeta, wrk2); None if absent.
        p99_ms: the same.
        ended: when the load ended, if the summary says so.
        dropped: requests that the tool should have sent and did not.
    """

    requests: int
    failed: int
    good_per_s: float
    p95_ms: float | None
    p99_ms: float | None
    ended: datetime | None = None
    dropped: int = 0


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


_P = TypeVar("_P", bound=_Part)


class _Metric(_Part):
    """A metric of k6, as `--summary-export` or `handleSummary` (within `values`) writes it."""

    p95: float | None = Field(None, alias="p(95)")
    p99: float | None = Field(None, alias="p(99)")
    count: int | None = None
    rate: float | None = None
    passes: int | None = None
    fails: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, raw: Any) -> Any:
        inner = raw.get("values") if isinstance(raw, dict) else None
        return inner if isinstance(inner, dict) else raw


class _K6(_Part):
    metrics: Mapping[str, _Metric]


class _Latencies(_Part):
    """In nanoseconds."""

    p95: int = Field(alias="95th")
    p99: int = Field(alias="99th")


class _Vegeta(_Part):
    """`vegeta report -type=json`."""

    latencies: _Latencies
    requests: int
    throughput: float
    success: float
    end: datetime


def _number(raw: object) -> object:
    """Gatling writes a dash for what it has not seen, and some versions write numbers as text."""
    return None if raw == "-" else raw


class _Counted(_Part):
    total: Annotated[float | None, BeforeValidator(_number)] = None
    ok: Annotated[float | None, BeforeValidator(_number)] = None


class _Gatling(_Part):
    """`js/global_stats.json`; the third and fourth percentiles are 95 and 99 by default."""

    requests: _Counted = Field(alias="numberOfRequests")
    p95: _Counted = Field(alias="percentiles3")
    p99: _Counted = Field(alias="percentiles4")
    per_s: _Counted = Field(alias="meanNumberOfRequestsPerSecond")


def read(load: Load) -> Summary:
    """Read the summary of a load.

    Raises:
        CouldNotMeasure: the file is missing, too old, or not a summary of that tool.
        NoData: a figure is absent or empty.
        TookTooLong: the generator did not keep up with its plan.
    """
    path, tool = Path(load.summary or ""), load.tool or "k6"
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)[:_LARGEST].decode("utf-8", "replace")
        written = path.stat().st_mtime
    except OSError as error:
        raise CouldNotMeasure(
            f"the summary cannot be read: {error.strerror}", where=str(path), remedy=_REMEDIES[tool]
        ) from None
    summary = _READERS[tool](text, path)
    stated = summary.ended.timestamp() if summary.ended else written
    _require_young(load, path, min(written, stated))
    _require_whole(load, summary, path)
    return summary


def _require_young(load: Load, path: Path, at: float) -> None:
    age_h = (time.time() - at) / 3600
    if age_h > load.max_age_h:
        raise CouldNotMeasure(
            f"the summary is {age_h:.1f} h old; limit {load.max_age_h:g} h (`max_age_h`)",
            where=str(path),
            remedy="send the load to this release, and write the summary again",
        )


def _require_whole(load: Load, summary: Summary, path: Path) -> None:
    if summary.requests < load.fewest:
        raise NoData(
            f"the summary holds {summary.requests} requests, too few to be sure of the objectives:"
            f" {load.fewest} are needed",
            where=str(path),
        )
    if summary.dropped > _MOST_DROPPED * (summary.requests + summary.dropped):
        raise TookTooLong(
            f"the load generator was the bottleneck: it dropped {summary.dropped} iterations",
            where=str(path),
            remedy="raise `preAllocatedVUs` and `maxVUs`, or send less",
        )


def _k6(text: str, path: Path) -> Summary:
    metrics = _parsed(_K6, text, path, "k6").metrics
    sent, failing = metrics.get("http_reqs"), metrics.get("http_req_failed")
    if sent is None or sent.count is None or sent.rate is None:
        raise _absent("http_reqs", path)
    # In a rate, `passes` counts what it is named after: here failed requests.
    if failing is None or failing.passes is None or failing.fails is None:
        raise _absent("http_req_failed", path)
    failed = failing.passes
    if failed + failing.fails == 0:
        raise NoData("`http_req_failed` is empty, which k6 calls passed", where=str(path))
    took = metrics.get("http_req_duration{expected_response:true}")
    if took is None and not failed:
        took = metrics.get("http_req_duration")
    dropped = metrics.get("dropped_iterations")
    return Summary(
        requests=sent.count,
        failed=failed,
        good_per_s=sent.rate * failing.fails / (failed + failing.fails),
        p95_ms=took.p95 if took else None,
        p99_ms=took.p99 if took else None,
        dropped=(dropped.count or 0) if dropped else 0,
    )


def _vegeta(text: str, path: Path) -> Summary:
    seen = _parsed(_Vegeta, text, path, "vegeta")
    return Summary(
        requests=seen.requests,
        failed=round(seen.requests * (1 - seen.success)),
        good_per_s=seen.throughput,
        p95_ms=seen.latencies.p95 / _NS_OF_A_MS,
        p99_ms=seen.latencies.p99 / _NS_OF_A_MS,
        ended=seen.end if seen.end.tzinfo else seen.end.replace(tzinfo=UTC),
    )


def _gatling(text: str, path: Path) -> Summary:
    seen = _parsed(_Gatling, text, path, "gatling")
    if seen.requests.total is None or seen.per_s.ok is None:
        raise _absent("numberOfRequests", path)
    return Summary(
        requests=int(seen.requests.total),
        failed=int(seen.requests.total - (seen.requests.ok or 0)),
        good_per_s=seen.per_s.ok,
        p95_ms=seen.p95.ok,
        p99_ms=seen.p99.ok,
    )


_WRK_ROW: Final = re.compile(r"^\s*(\d+\.\d+)\s+([01]\.\d+)\s+\d+\s+(?:\d+\.\d+|inf)\s*$")
_WRK_SENT: Final = re.compile(r"^\s*(\d+) requests in ", re.MULTILINE)
_WRK_RATE: Final = re.compile(r"^Requests/sec:\s*(\d+(?:\.\d+)?)", re.MULTILINE)
_WRK_BAD: Final = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_WRK_LOST: Final = re.compile(
    r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)"
)
_WRK_CORRECTED: Final = "HdrHistogram - Recorded Latency"


def _wrk2(text: str, path: Path) -> Summary:
    sent, rate = _WRK_SENT.search(text), _WRK_RATE.search(text)
    if not sent or not rate:
        raise _absent("Requests/sec", path)
    bad, lost = _WRK_BAD.search(text), _WRK_LOST.search(text)
    unanswered = sum(map(int, lost.groups())) if lost else 0
    answered, wrong = int(sent[1]), int(bad[1]) if bad else 0
    # With -U a second, uncorrected histogram follows.
    spectrum = text.partition(_WRK_CORRECTED)[2].partition("#[Mean")[0]
    return Summary(
        requests=answered + unanswered,
        failed=wrong + unanswered,
        good_per_s=float(rate[1]) * (1 - wrong / answered) if answered else 0.0,
        p95_ms=_of_spectrum(spectrum, 0.95),
        p99_ms=_of_spectrum(spectrum, 0.99),
    )


def _of_spectrum(spectrum: str, q: float) -> float | None:
    """The value of the first row at or above the quantile, in ms."""
    rows = (row for line in spectrum.splitlines() if (row := _WRK_ROW.match(line)))
    return next((float(row[1]) for row in rows if float(row[2]) >= q), None)


def _parsed(model: type[_P], text: str, path: Path, tool: LoadTool) -> _P:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise CouldNotMeasure(
            f"is not a summary of {tool}: {place + ': ' if place else ''}{first['msg']}",
            where=str(path),
            remedy=_REMEDIES[tool],
        ) from None


def _absent(metric: str, path: Path) -> NoData:
    return NoData(f"`{metric}` is absent from the summary, or empty", where=str(path))


_READERS: Final[Mapping[LoadTool, Callable[[str, Path], Summary]]] = {
    "k6": _k6,
    "vegeta": _vegeta,
    "gatling": _gatling,
    "wrk2": _wrk2,
}
_REMEDIES: Final[Mapping[LoadTool, str]] = {
    "k6": "write it: k6 run --summary-export FILE"
    " --summary-trend-stats 'avg,med,max,p(95),p(99)' SCRIPT",
    "vegeta": "write it: vegeta report -type=json RESULTS > FILE",
    "gatling": "name js/global_stats.json in the folder of Gatling's report",
    "wrk2": "write it: wrk -R RATE --latency URL > FILE",
}
