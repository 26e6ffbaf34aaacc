"""Endpoints on a small real server, and what the check concludes from their answers."""

import time
from collections.abc import Callable
from datetime import date
from itertools import count

import pytest

from readiness.areas.performance import AREA
from readiness.areas.performance.config import Endpoint
from readiness.areas.performance.endpoints import answered
from readiness.config.base.tables import Service
from readiness.config.models import Config
from readiness.model.errors import Unreachable
from readiness.model.evidence import CheckFailed, Evidence, Outcome
from suites.performance.test_endpoints import test_endpoints as judge
from tests.support.small_servers import Line, Reply, SmallServer, raw_server

pytestmark = pytest.mark.contract
OK = Reply("{}")


def declared(**settings: object) -> Endpoint:
    values = {"name": "it", "service": "api", "path": "/a", "max_p95_ms": 3000, "samples": 60}
    return Endpoint.model_validate(values | settings)


def config(url: str, **settings: object) -> Config:
    return Config.model_validate(
        {
            "target": {"name": "t"},
            "services": {"api": {"url": url}},
            "performance": {"endpoints": [declared(**settings).model_dump(exclude_unset=True)]},
        }
    )


def judged(reply: Reply | Callable[[], Reply], **settings: object) -> Evidence:
    evidence = Evidence()
    with SmallServer({"/a": reply}) as server:
        judge(declared(**settings), config(server.url), evidence)
    return evidence


def test_fast_and_good_answers_pass_with_their_distribution() -> None:
    evidence = judged(OK)
    assert evidence.conclude() is Outcome.PASS
    noise, answers, p95, upper = evidence.measurements
    assert "noise" in noise.name
    assert (answers.value, answers.samples) == (0, 5 + 20 + 60)
    assert (p95.samples, p95.unit, len(p95.quantiles)) == (60, "ms", 21)
    assert float(upper.value) >= float(p95.value) > 0


def test_all_requests_use_one_connection_and_the_declared_body() -> None:
    posted = declared(method="POST", body='{"n": {n}}', status=[201])
    with SmallServer({"/a": Reply("{}", 201)}) as server:
        seen = answered(posted, Service(name="api", url=server.url))
        assert server.connections == 1
        assert {method for method, _, _ in server.requests} == {"POST"}
    assert seen.failed.value == 0


def test_a_slow_endpoint_fails_and_is_not_asked_for_long() -> None:
    def slow() -> Reply:
        time.sleep(0.1)
        return OK

    evidence = judged(slow, max_p95_ms=1, budget_s=0.2)
    with pytest.raises(CheckFailed, match=r"p95 is at least 1\d\d"):
        evidence.conclude()
    assert evidence.measurements[1].samples < 20


def test_a_wrong_answer_fails_however_fast_it_is() -> None:
    numbers = count()
    evidence = judged(lambda: Reply("{}", 503) if next(numbers) == 30 else OK)
    with pytest.raises(CheckFailed, match=r"1 of 85 requests failed(.|\n)*answered 503"):
        evidence.conclude()
    assert not any(m.key == "p95" for m in evidence.measurements)


def test_a_failing_endpoint_is_not_flooded() -> None:
    with pytest.raises(CheckFailed, match="10 of 10 requests failed"):
        judged(Reply("{}", 500)).conclude()


def test_no_answer_in_time_is_a_failed_request() -> None:
    def silent(line: Line) -> None:
        line.stopped.wait()

    with raw_server(silent) as address:
        seen = answered(declared(), Service(name="api", url=f"http://{address}", timeout_s=0.05))
    assert seen.failed.value == 10
    assert "no complete answer within 0.05 s" in seen.first_failure


def test_a_service_that_is_down_is_an_error() -> None:
    with pytest.raises(Unreachable):
        answered(declared(), Service(name="api", url="http://127.0.0.1:1"))


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"service": "apy"}, "apy"), ({"max_p95_ms": 5000}, "ends each request before")],
)
def test_mistakes_of_the_table(settings: dict[str, object], says: str) -> None:
    [mistake] = AREA.mistakes(config("http://127.0.0.1:1", **settings), date(2026, 1, 1))
    assert says in mistake.message
