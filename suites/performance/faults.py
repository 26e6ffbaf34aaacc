"""Faults that make the system slow, or lose writes."""

from typing import Final

from readiness.areas.performance.reference import (
    CAPACITY,
    DEPENDENCY,
    SOAK,
    SPIKE,
    cold_start,
    crowding_job,
    locking_job,
)
from readiness.model.fault import Fault, broken_by

_INGEST: Final = "performance.ingest-rate[orders]"
_QUERY: Final = "performance.query-latency[recent-orders]"
# Made by hand: the schema is neither the one that was saved nor that of the migrations.
_DRIFT: Final = {
    "schema.fingerprint[shop]": {"objects-differ"},
    "schema.migrations-drift[shop]": {"objects-differ"},
}
_PATH: Final = "/api/orders"


slow_trigger = broken_by(
    "slow_trigger",
    "A trigger that works for 2 ms on each row went live with the release.",
    {_INGEST: {"copy-rate", "write-rate"}, **_DRIFT},
    # That leaves less than 500 rows/s.
    lambda levers: levers.slow_insert("shop.orders", ms=2),
)

application_writes_slowly = broken_by(
    "application_writes_slowly",
    "The application waits 1.5 s for another service before it stores orders.",
    {_INGEST: {"write-rate"}},
    lambda levers: levers.behave(delay_ms={_PATH: 1500}),
)

writes_are_refused = broken_by(
    "writes_are_refused",
    "A rate limit answers 429 to every write.",
    {_INGEST: {"failed-writes", "write-rate"}},
    lambda levers: levers.behave(status={_PATH: 429}),
)

writes_are_lost = broken_by(
    "writes_are_lost",
    "The application acknowledges orders, and does not store them.",
    {_INGEST: {"missing-rows", "write-rate"}},
    lambda levers: levers.behave(drop_writes=True),
)

slow_view = broken_by(
    "slow_view",
    "The view behind the list of recent orders calls a slow function.",
    {_QUERY: {"p95"}, **_DRIFT},
    # 100 ms are promised.
    lambda levers: levers.slow_view("shop.recent_orders", ms=150),
)

a_query_stalls = broken_by(
    "a_query_stalls",
    "One in a hundred queries of the list of recent orders waits for 1.5 s.",
    {_QUERY: {"stall"}, **_DRIFT},
    # No p95 shows it.
    lambda levers: levers.slow_view("shop.recent_orders", ms=1500, every=100),
)

_ENDPOINT: Final = "performance.endpoints[one-order]"
_ONE_ORDER: Final = "/api/orders/{order_id}"

slow_endpoint = broken_by(
    "slow_endpoint",
    "An order is shown after 800 ms of waiting for another service.",
    {_ENDPOINT: {"p95"}},
    lambda levers: levers.behave(delay_ms={_ONE_ORDER: 800}),
)

endpoint_fails_at_times = broken_by(
    "endpoint_fails_at_times",
    "Each 20th order is answered with 500; the others are as fast as before.",
    {_ENDPOINT: {"answers"}},
    lambda levers: levers.behave(status={_ONE_ORDER: 500}, every={_ONE_ORDER: 20}),
)

query_is_slower_than_before = broken_by(
    "query_is_slower_than_before",
    "Since the release before, the list of recent orders takes 60 ms more; 100 are allowed.",
    {_QUERY: {"regression"}, **_DRIFT},
    lambda levers: (levers.judged_before(), levers.slow_view("shop.recent_orders", ms=60)),
)

endpoint_is_slower_than_before = broken_by(
    "endpoint_is_slower_than_before",
    "Since the release before, an order takes 150 ms more; 300 are allowed.",
    {_ENDPOINT: {"regression"}},
    lambda levers: (levers.judged_before(), levers.behave(delay_ms={_ONE_ORDER: 150})),
)

endpoint_is_slower_than_beside = broken_by(
    "endpoint_is_slower_than_beside",
    "An order takes 20 ms more than in the release before, which still runs; 300 are allowed.",
    {_ENDPOINT: {"release"}},
    lambda levers: (levers.release_beside(), levers.behave(delay_ms={_ONE_ORDER: 20})),
)

_LOAD: Final = "performance.load[customers]"
_CUSTOMERS: Final = "/api/customers/{customer_id}/orders"

load_is_slower_than_before = broken_by(
    "load_is_slower_than_before",
    "Since the release before, a customer's orders take 200 ms more; a p95 of 500 is allowed.",
    {_LOAD: {"regression"}},
    lambda levers: (levers.judged_before(), levers.behave(delay_ms={_CUSTOMERS: 200})),
)

ingest_is_slower_than_before = broken_by(
    "ingest_is_slower_than_before",
    "Since the release before, a trigger works 0.1 ms on each row; 1 ms is allowed.",
    {_INGEST: {"regression"}, **_DRIFT},
    lambda levers: (levers.judged_before(), levers.busy_insert("shop.orders", kib=48)),
)

writes_are_slower_than_before = broken_by(
    "writes_are_slower_than_before",
    "Since the release before, a write waits 150 ms for another service; it stores 500 rows.",
    {_INGEST: {"regression"}},
    lambda levers: (levers.judged_before(), levers.behave(delay_ms={_PATH: 150})),
)

slow_under_load = broken_by(
    "slow_under_load",
    "The list of a customer's orders waits 1 s for another service.",
    {_LOAD: {"p95"}},
    lambda levers: levers.behave(delay_ms={_CUSTOMERS: 1000}),
)

slow_tail_under_load = broken_by(
    "slow_tail_under_load",
    "Each 33rd request waits 4 s: 3 % of the customers do, and no p95 shows it.",
    {_LOAD: {"p99"}},
    lambda levers: levers.behave(delay_ms={_CUSTOMERS: 4000}, every={_CUSTOMERS: 33}),
)

requests_fail_under_load = broken_by(
    "requests_fail_under_load",
    "Each tenth request is refused with 429, as if one user had sent them all.",
    {_LOAD: {"errors"}},
    lambda levers: levers.behave(status={_CUSTOMERS: 429}, every={_CUSTOMERS: 10}),
)

load_is_not_kept_up = broken_by(
    "load_is_not_kept_up",
    "Requests queue for 3.5 s before they are answered.",
    {_LOAD: {"p95", "p99", "throughput"}},
    lambda levers: levers.behave(delay_ms={_CUSTOMERS: 3500}),
)

_RECOVERY: Final = "performance.recovery[customers]"
# Either worker may get few of the first requests: only the spike brings this many to one.
_BURST: Final = 120

slow_after_a_spike = broken_by(
    "slow_after_a_spike",
    "A burst fills a queue of requests that nobody waits for any more: it stays for 10 s.",
    {_RECOVERY: {"p95"}},
    lambda levers: (
        levers.declared("performance.recovery", SPIKE),
        levers.behave(delay_ms={_CUSTOMERS: 1000}, after_per_s=_BURST),
    ),
)

refuses_after_a_spike = broken_by(
    "refuses_after_a_spike",
    "A burst makes the rate limiter refuse the next 10 s, with 429, at any rate.",
    {_RECOVERY: {"errors"}},
    lambda levers: (
        levers.declared("performance.recovery", SPIKE),
        levers.behave(status={_CUSTOMERS: 429}, after_per_s=_BURST),
    ),
)

_SOAK: Final = "performance.soak[customers]"

memory_leaks = broken_by(
    "memory_leaks",
    "A cache without a limit keeps 128 KiB of each request.",
    {_SOAK: {"memory"}},
    lambda levers: (levers.declared("performance.soak", SOAK), levers.behave(leak_kib=128)),
)

connections_leak = broken_by(
    "connections_leak",
    "Each 30th request takes a path on which its connection is not returned.",
    {_SOAK: {"connections"}},
    lambda levers: (
        levers.declared("performance.soak", SOAK),
        levers.behave(leak_connection_every=30),
    ),
)

# Alerts would follow, which are right, and findings of other checks.
_UNCOUNTED: Final = {"ignore_error_counter": True}
_POOL: Final = "performance.pool[orders]"

pool_refuses = broken_by(
    "pool_refuses",
    "A request gives up after waiting 50 ms for a connection.",
    {_POOL: {"errors"}},
    lambda levers: levers.behave(pool_timeout_s=0.05, **_UNCOUNTED),
)

pool_is_kept_busy = broken_by(
    "pool_is_kept_busy",
    "Each request keeps its connection for 2.5 s more, while it renders the page.",
    {_POOL: {"slowest"}},
    lambda levers: levers.behave(keeps_connection_ms=2500, pool_timeout_s=60),
)

_DEPENDENCY: Final = "performance.dependency[orders-table]"


def _slow_dependency(name: str, story: str, key: str, **switches: object) -> Fault:
    return broken_by(
        name,
        story,
        {_DEPENDENCY: {key}},
        lambda levers: (
            levers.declared("performance.dependency", DEPENDENCY),
            # Its pages have a time-out, unless that is what is wrong.
            levers.behave(**{"page_timeout_s": 3, **switches, **_UNCOUNTED}),
        ),
    )


waits_without_a_time_out = _slow_dependency(
    "waits_without_a_time_out",
    "The time-out of pages went with a refactoring: they wait for the database for 15 s.",
    "fails-fast",
    page_timeout_s=None,
)
liveness_waits_for_the_pool = _slow_dependency(
    "liveness_waits_for_the_pool",
    "The liveness page uses the connections that all requests wait for.",
    "isolated",
    live_needs_database=True,
)
breaker_stays_open = _slow_dependency(
    "breaker_stays_open",
    "A circuit breaker refuses ten seconds after more than ten requests, though all is well again.",
    "recovers",
    status={_ONE_ORDER: 503},
    after_per_s=10,
)

_COLD_START: Final = "performance.cold-start[orders]"


def _cold_start(
    name: str, story: str, key: str, ready: str | None = "/health/ready", **switches: object
) -> Fault:
    return broken_by(
        name,
        story,
        {_COLD_START: {key}},
        lambda levers: (
            levers.declared("performance.cold-start", cold_start(ready)),
            levers.behave(**switches),
        ),
    )


starts_too_slowly = _cold_start(
    "starts_too_slowly",
    "Each instance first migrates the database, which takes 25 s by now.",
    "start",
    starts_after_s=25,
)
initializes_at_the_first_request = _cold_start(
    "initializes_at_the_first_request",
    "What is needed for an answer is only loaded once the first user waits for it.",
    "first-requests",
    first_answer_ms=2000,
)
fails_while_it_starts = _cold_start(
    "fails_while_it_starts",
    "Without a readiness page, users get 500 while caches are filled.",
    "answers",
    ready=None,
    warms_up_s=2,
)
is_ready_before_it_can_serve = _cold_start(
    "is_ready_before_it_can_serve",
    "The readiness page is good while caches are still filled, and all else answers 500.",
    "answers",
    warms_up_s=2,
)

_CONTENTION: Final = "performance.contention"
_NIGHTLY: Final = f"{_CONTENTION}[nightly]"

job_locks_the_table = broken_by(
    "job_locks_the_table",
    "A job rewrites a table under an ACCESS EXCLUSIVE lock: once for half a second, of 7.5.",
    {_NIGHTLY: {"blocked"}},
    lambda levers: levers.declared(_CONTENTION, locking_job(1, 0.5, 7, max_blocked_s=0.2)),
)

job_locks_again_and_again = broken_by(
    "job_locks_again_and_again",
    "A job commits each batch, and locks the table for 0.9 s in each.",
    {_NIGHTLY: {"p95"}},
    lambda levers: levers.declared(_CONTENTION, locking_job(4, 0.9, 1.5)),
)

job_saturates_the_pool = broken_by(
    "job_saturates_the_pool",
    "A job requests pages by 36 connections; two workers have eight for the database each.",
    {_NIGHTLY: {"slowdown"}},
    lambda levers: (
        levers.declared(_CONTENTION, crowding_job(f"{levers.service_url}/api/orders/3")),
        levers.behave(keeps_connection_ms=70),
    ),
)

fails_beside_a_job = broken_by(
    "fails_beside_a_job",
    "A job requests pages until a rate limit refuses everybody, with 429.",
    {_NIGHTLY: {"errors"}},
    lambda levers: (
        levers.declared(_CONTENTION, crowding_job(f"{levers.service_url}/api/orders/3")),
        levers.behave(status={_ONE_ORDER: 429}, after_per_s=60),
    ),
)

is_limited_to_todays_peak = broken_by(
    "is_limited_to_todays_peak",
    "A rate limit refuses what is well above today's peak, with 429.",
    {"performance.capacity[customers]": {"headroom"}},
    lambda levers: (
        levers.declared("performance.capacity", CAPACITY),
        levers.behave(status={_CUSTOMERS: 429}, after_per_s=100),
    ),
)

k6_saw_a_slow_service = broken_by(
    "k6_saw_a_slow_service",
    "By the summary of k6, the p95 of last night's load was 180 ms; 100 are allowed.",
    {"performance.load[nightly]": {"p95"}},
    lambda levers: levers.loaded_by_k6(p95_ms=180),
)
