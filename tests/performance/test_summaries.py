"""Summaries of k6, Vegeta, Gatling and wrk2: what they say, and what they do not."""

import json
import os
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.performance import AREA
from readiness.areas.performance.config import Load
from readiness.areas.performance.summaries import read
from readiness.config.models import Config
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong
from readiness.model.evidence import CheckFailed, Evidence, Outcome
from tests.support.monitored_service import suite

TREND = {"avg": 20.1, "min": 3.0, "med": 18.2, "max": 300.5, "p(90)": 40.0, "p(95)": 51.5}
GOOD = "http_req_duration{expected_response:true}"


def k6(**changes: Any) -> str:
    """As `--summary-export` writes it."""
    metrics = {
        "http_reqs": {"count": 1000, "rate": 99.5},
        "http_req_failed": {"passes": 2, "fails": 998, "value": 0.002},
        "http_req_duration": {**TREND, "p(99)": 70.0},
        GOOD: {**TREND, "p(99)": 80.5},
        "iterations": {"count": 1000, "rate": 99.5},
    }
    kept = {name: value for name, value in (metrics | changes).items() if value is not None}
    return json.dumps({"root_group": {}, "metrics": kept})


def k6_handled() -> str:
    """As `handleSummary` gets it."""
    metrics = json.loads(k6())["metrics"]
    nested = {name: {"type": "x", "values": values} for name, values in metrics.items()}
    return json.dumps({"state": {"testRunDurationMs": 10050.0}, "metrics": nested})


def vegeta(**changes: Any) -> str:
    latencies = {"total": 1, "mean": 2, "50th": 18_200_000, "90th": 40_000_000}
    latencies |= {"95th": 51_500_000, "99th": 80_500_000, "max": 300_500_000, "min": 3_000_000}
    report = {
        "latencies": latencies,
        "earliest": "2026-11-30T12:00:00.000000001Z",
        "latest": "2026-11-30T12:00:09.9Z",
        "end": time.strftime("%Y-%m-%dT%H:%M:%S.645818631Z", time.gmtime()),
        "duration": 9_990_000_000,
        "requests": 1000,
        "rate": 100.1,
        "throughput": 99.301,
        "success": 0.998,
        "status_codes": {"200": 998, "503": 2},
        "errors": ["503 Service Unavailable"],
    }
    return json.dumps(report | changes)


def gatling(**changes: Any) -> str:
    report = {
        "name": "All Requests",
        "numberOfRequests": {"total": 1000, "ok": 998, "ko": 2},
        "percentiles1": {"total": 18, "ok": 18, "ko": 30},
        "percentiles3": {"total": 60, "ok": 51.5, "ko": 99},
        "percentiles4": {"total": "90", "ok": "80.5", "ko": "-"},
        "meanNumberOfRequestsPerSecond": {"total": 99.5, "ok": 99.301, "ko": 0.199},
    }
    return json.dumps(report | changes)


WRK2 = """Running 10s test @ http://127.0.0.1:8080/
  2 threads and 10 connections
  Latency Distribution (HdrHistogram - Recorded Latency)
 50.000%   18.20ms
 99.000%   80.50ms

  Detailed Percentile spectrum:
       Value   Percentile   TotalCount 1/(1-Percentile)

       3.001     0.000000            1         1.00
      18.200     0.500000          500         2.00
      51.500     0.950000          950        20.00
      80.500     0.990625          991       106.67
     300.500     1.000000         1000          inf
#[Mean    =       20.100, StdDeviation   =       10.000]
  Latency Distribution (HdrHistogram - Uncorrected Latency (measured without taking delayed starts))
       1.000     0.950000          950        20.00
       1.500     1.000000         1000          inf
#[Mean    =        1.100, StdDeviation   =        0.100]
  998 requests in 10.05s, 117.30KB read
  Socket errors: connect 0, read 1, write 0, timeout 1
Requests/sec:     99.30
Transfer/sec:     11.67KB
"""


@pytest.fixture
def declared(tmp_path: Path) -> Callable[..., Load]:
    def declare(tool: str, text: str, **settings: object) -> Load:
        path = tmp_path / "summary"
        path.write_text(text)
        values = {"name": "shop", "service": "api", "max_p95_ms": 100, "max_p99_ms": 200}
        return Load.model_validate(values | {"summary": str(path), "tool": tool} | settings)

    return declare


Declared = Callable[..., Load]


@pytest.mark.parametrize(
    ("tool", "text"),
    [("k6", k6()), ("k6", k6_handled()), ("vegeta", vegeta()), ("gatling", gatling()),
     ("wrk2", WRK2)],
)  # fmt: skip
def test_the_figures_of_each_tool(declared: Declared, tool: str, text: str) -> None:
    seen = read(declared(tool, text))
    assert (seen.requests, seen.failed) == (1000, 2)
    assert (seen.p95_ms, seen.p99_ms) == (51.5, 80.5)
    assert seen.good_per_s == pytest.approx(99.301, abs=0.01)


@pytest.mark.parametrize(
    ("tool", "text", "error", "says"),
    [
        ("k6", k6(http_req_failed=None), NoData, "`http_req_failed` is absent"),
        ("k6", k6(http_req_failed={"passes": 0, "fails": 0}), NoData, "which k6 calls passed"),
        ("k6", k6(http_reqs=None), NoData, "`http_reqs` is absent"),
        ("k6", k6(http_reqs={"count": 0, "rate": 0}), NoData, "holds 0 requests"),
        ("k6", k6(dropped_iterations={"count": 100}), TookTooLong, "dropped 100 iterations"),
        ("k6", "{}", CouldNotMeasure, "is not a summary of k6: metrics"),
        ("k6", "", CouldNotMeasure, "is not a summary of k6"),
        ("vegeta", k6(), CouldNotMeasure, "is not a summary of vegeta"),
        ("vegeta", vegeta(requests=0, success=0), NoData, "holds 0 requests"),
        ("vegeta", vegeta(latencies={}), CouldNotMeasure, "latencies.95th"),
        ("vegeta", vegeta(end="2026-11-01T00:00:00Z"), CouldNotMeasure, "h old; limit 24 h"),
        ("gatling", gatling(numberOfRequests={"total": "-"}), NoData, "numberOfRequests"),
        ("wrk2", WRK2[:200], NoData, "Requests/sec"),
        ("wrk2", WRK2.replace("998 requests", "1 requests"), NoData, "holds 3 requests"),
    ],
)
def test_what_cannot_be_judged_is_an_error(
    declared: Declared, tool: str, text: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        read(declared(tool, text))


def test_an_old_file_is_an_error(declared: Declared) -> None:
    load = declared("k6", k6(), max_age_h=2)
    then = time.time() - 3 * 3600
    os.utime(load.summary or "", (then, then))
    with pytest.raises(CouldNotMeasure, match=r"the summary is 3\.0 h old; limit 2 h"):
        read(load)


def test_a_missing_file_is_an_error_that_says_how_to_make_it(declared: Declared) -> None:
    load = declared("vegeta", vegeta()).model_copy(update={"summary": "/nowhere/report.json"})
    with pytest.raises(CouldNotMeasure, match="vegeta report -type=json"):
        read(load)


def judged(load: Load) -> tuple[Outcome, Evidence]:
    config = Config.model_validate(
        {"target": {"name": "t"}, "services": {"api": {"url": "http://127.0.0.1:1"}}}
    )
    evidence = Evidence()
    suite("performance.test_load").test_load(load, config, evidence)
    return evidence.conclude(), evidence


def test_good_figures_pass(declared: Declared) -> None:
    outcome, evidence = judged(declared("k6", k6(), min_per_s=90))
    assert outcome is Outcome.PASS
    assert [m.key for m in evidence.measurements] == ["errors", "p95", "p99", "throughput"]


@pytest.mark.parametrize(
    ("text", "settings", "says"),
    [
        (k6(), {"max_p95_ms": 50}, "p95 latency: 51.5 ms; limit 50 ms"),
        (k6(), {"max_p99_ms": 80}, "p99 latency: 80.5 ms; limit 80 ms"),
        (k6(), {"min_per_s": 100}, "good answers a second"),
        (
            k6(http_req_failed={"passes": 100, "fails": 900}),
            {"max_p95_ms": 50},
            "^100 of 1000 requests failed[^;]*; limit[^;]*$",
        ),
    ],
)
def test_a_missed_objective(
    declared: Declared, text: str, settings: dict[str, object], says: str
) -> None:
    with pytest.raises(CheckFailed, match=says):
        judged(declared("k6", text, **settings))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (k6(**{GOOD: TREND}), "the summary has no p99"),
        (k6(**{GOOD: None}), "the summary has no p95"),
        (k6(http_req_failed={"passes": 10, "fails": 990}), "10 of 1000 requests failed"),
    ],
)
def test_a_figure_that_is_missing_or_unclear_is_an_error(
    declared: Declared, text: str, says: str
) -> None:
    with pytest.raises(CouldNotMeasure, match=says):
        judged(declared("k6", text))


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"tool": None}, "belong together"), ({"requests": [{"path": "/"}], "rate": 50}, "one of")],
)
def test_mistakes_of_the_table(declared: Declared, settings: dict[str, object], says: str) -> None:
    load = declared("k6", k6()).model_copy(update=settings)
    config = Config.model_validate(
        {
            "target": {"name": "t"},
            "services": {"api": {"url": "http://127.0.0.1:1"}},
        }
    )
    performance = config.performance.model_copy(update={"load": [load]})
    config = config.model_copy(update={"performance": performance})
    [mistake] = AREA.mistakes(config, date(2026, 1, 1))
    assert says in mistake.message
