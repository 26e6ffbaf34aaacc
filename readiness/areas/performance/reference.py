"""What was before: a READY run of the reference system, and a load that another tool sent."""

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from readiness import __version__
from readiness.areas.performance import load as probe
from readiness.areas.performance.baseline import WRITES, conditions_of, summary
from readiness.areas.performance.config import Config, Ingest, Query
from readiness.areas.performance.endpoints import answered
from readiness.areas.performance.ingest import copy_rate, write_rate
from readiness.areas.performance.judging import Times
from readiness.areas.performance.objectives import good
from readiness.areas.performance.queries import running
from readiness.model.check import Effect, Severity
from readiness.model.evidence import Outcome
from readiness.model.measurement import Measurement
from readiness.model.record import (
    CheckResult,
    Facts,
    RunFacts,
    RunRecord,
    Selection,
    SuiteResult,
    SuiteState,
    TargetFacts,
)
from readiness.model.verdict import judge
from readiness.servers.processes import free_port

_SAMPLES: Final = 60
_RELEASE: Final = "1.4.0"
DECLARED_BY_FAULTS: Final = {
    "performance.recovery": "takes ten seconds; the faults of `readiness prove` declare a spike",
    "performance.dependency": "takes some seconds; the faults of `readiness prove` declare it",
    "performance.cold-start": "takes some seconds; the faults of `readiness prove` declare it",
    "performance.contention": "takes ten seconds; the faults of `readiness prove` declare it",
    "performance.soak": "takes ten seconds or more; the faults of `readiness prove` declare it",
    "performance.capacity": "takes a minute; the faults of `readiness prove` declare it",
}
"""Checks that the reference system leaves out, each with the reason."""
SPIKE: Final = """
[performance.load.spike]
rate = 300
seconds = 1
within_s = 1
"""
CAPACITY: Final = """
[performance.load.capacity]
min_headroom = 3
max_rate = 240
steps = 2
"""
SOAK: Final = """
[performance.load.soak]
duration_s = 9
settle_s = 2
memory = "service_resident_memory_bytes"
max_memory_growth = 0.1
database = "shop"
role = "shop_app"
max_connections_growth = 8
"""
DEPENDENCY: Final = f"""
[[performance.dependencies]]
name = "orders-table"
service = "orders"
slow = ["{sys.executable}", "-m", "readiness.reference.drill", "slow"]
restore = ["{sys.executable}", "-m", "readiness.reference.drill", "fast"]
dependent = ["/api/orders/2"]
independent = ["/shop", "/health/live"]
fail_within_s = 6
max_ms = 2000
recover_within_s = 4
"""
_COLD_START: Final = f"""
[[performance.cold_starts]]
name = "orders"
service = "orders"
url = "http://127.0.0.1:@PORT@"
start = ["{sys.executable}", "-m", "readiness.reference.drill", "begin", "@PORT@"]
stop = ["{sys.executable}", "-m", "readiness.reference.drill", "end"]
path = "/api/orders/2"
max_start_s = 10
max_first_ms = 500
"""
_JOB: Final = """
[[performance.jobs]]
name = "nightly"
endpoints = ["one-order"]
database = "shop"
rate = {rate}
connections = 8
before_s = 2
timeout_s = 60
max_ratio = 1.5
max_blocked_s = {max_blocked_s}
"""
_LOCKING: Final = """
dsn = "${{REFERENCE_OWNER_DSN}}"
sql = '''
do $$ begin
  for i in 1..{times} loop
    lock table shop.orders in access exclusive mode;
    perform pg_sleep({hold_s});
    commit;
    perform pg_sleep({pause_s});
  end loop;
end $$'''
"""
_CROWDING: Final = """
command = ["{python}", "-m", "readiness.reference.drill", "crowd", "{url}", "36", "5"]
"""
LOADED_BY_K6: Final = """
[[performance.load]]
name = "nightly"
service = "orders"
summary = "{summary}"
tool = "k6"
max_p95_ms = 100
"""


def cold_start(ready: str | None = "/health/ready") -> str:
    """One more instance of the service as a cold start; without the page, it is asked at once."""
    table = _COLD_START.replace("@PORT@", str(free_port()))
    return f'{table}ready = "{ready}"\n' if ready else table


def locking_job(times: int, hold_s: float, pause_s: float, *, max_blocked_s: float = 1.5) -> str:
    """A job that locks the orders so many times, for so long each time."""
    job = _LOCKING.format(times=times, hold_s=hold_s, pause_s=pause_s)
    return _JOB.format(rate=40, max_blocked_s=max_blocked_s) + job


def crowding_job(url: str) -> str:
    """A job that requests a page of the service by many connections at once."""
    # A page takes 0.2 s beside the job: eight connections keep that pace.
    return _JOB.format(rate=20, max_blocked_s=1.5) + _CROWDING.format(
        python=sys.executable, url=url
    )


def run_before(config: Config) -> RunRecord:
    """Measure everything that is compared now, as the run of the previous release would have."""
    at = datetime.now(UTC)
    run = RunFacts(
        id="run-before",
        started=at,
        finished=at,
        duration_s=0,
        tool_version=__version__,
        config_sha256="",
        selection=Selection(),
    )
    name, environment = config.target.name, config.target.environment
    target = TargetFacts(name=name, environment=environment, release=_RELEASE, fingerprint="")
    suite = SuiteResult(name="performance", state=SuiteState.VERIFIED)
    return judge(Facts(target=target, run=run, checks=tuple(_checks(config)), suites=(suite,)))


def _checks(config: Config) -> Iterator[CheckResult]:
    for query in config.performance.queries:
        rounds = summary(_times(query), conditions_of(config, query))
        yield _result("performance.query-latency", query.name, rounds)
    for endpoint in config.performance.endpoints:
        times = answered(endpoint, config.services[endpoint.service]).times
        rounds = summary(times, conditions_of(config, endpoint))
        yield _result("performance.endpoints", endpoint.name, rounds)
    for load in config.performance.load:
        loaded = probe.load(load, config.services[load.service], seconds=load.duration_s)
        rounds = summary(good(loaded), conditions_of(config, load))
        yield _result("performance.load", load.name, rounds)
    for ingest in config.performance.ingest:
        rounds = summary(copy_rate(ingest.longer(2)).times, conditions_of(config, ingest))
        yield _result("performance.ingest-rate", ingest.name, rounds, *_writes(config, ingest))


def _writes(config: Config, ingest: Ingest) -> Iterator[Measurement]:
    if path := ingest.write_path:
        written = write_rate(path, config.services[path.service], rows=2 * ingest.rows)
        yield summary(written.times, conditions_of(config, path), WRITES)


def _times(query: Query) -> Times:
    ms = []
    with running(query) as execution:
        for _ in range(_SAMPLES):
            started = time.perf_counter()
            execution.execute()
            ms.append((time.perf_counter() - started) * 1000)
    return Times(ms, query.sql)


def _result(check: str, subject: str, *rounds: Measurement) -> CheckResult:
    return CheckResult(
        id=check,
        subject=subject,
        suite="performance",
        title=check,
        severity=Severity.BLOCKER,
        effect=Effect.LOAD,
        outcome=Outcome.PASS,
        measurements=rounds,
    )


def summary_of_k6(p95_ms: float) -> str:
    """As `k6 run --summary-export FILE` writes it, with what is read of it."""
    metrics = {
        "http_reqs": {"count": 3000, "rate": 50.0},
        "http_req_failed": {"value": 0, "passes": 0, "fails": 3000},
        "http_req_duration{expected_response:true}": {"med": p95_ms / 2, "p(95)": p95_ms},
    }
    return json.dumps({"metrics": metrics})
