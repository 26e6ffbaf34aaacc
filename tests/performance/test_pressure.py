"""Requests that wait for a pool, and for a dependency that a drill makes slow."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import psycopg
import pytest

from readiness.areas.performance import AREA
from readiness.areas.performance.config import Dependency, Pool
from readiness.areas.performance.pressure import queued, slowed
from readiness.config.base.tables import Service
from readiness.config.models import Config
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.secrets import Dsn
from tests.support.small_servers import Reply, SmallServer

pytestmark = pytest.mark.contract
OK = Reply("{}")


class Undo:
    """Notes what would be undone."""

    def __init__(self) -> None:
        self.registered: dict[int, list[str]] = {}

    def run(self, argv: Sequence[str], *, timeout_s: float = 0) -> int:
        assert timeout_s >= 0
        self.registered[1] = list(argv)
        return 1

    def kill(self, pid: int) -> int:
        self.registered[2] = ["kill", str(pid)]
        return 2

    def forget(self, token: int) -> None:
        del self.registered[token]


def reading(dsn: Dsn) -> Reply:
    with psycopg.connect(dsn.reveal(), autocommit=True) as connection:
        connection.execute("select count(*) from shop.orders")
    return OK


def pool(dsn: Dsn, **settings: object) -> Pool:
    values: dict[str, object] = {
        "name": "orders",
        "service": "api",
        "path": "/a",
        "dsn": dsn,
        "hold_sql": "lock table shop.orders in access exclusive mode",
        "hold_s": 0.3,
        "requests": 6,
        "max_ms": 5000,
    }
    return Pool.model_validate({**values, **settings})


@contextmanager
def serving(answer: Callable[[], Reply]) -> Iterator[Service]:
    with SmallServer({"/a": answer, "/b": OK}) as server:
        yield Service(url=server.url)


def test_requests_beyond_the_pool_are_queued(shop: Dsn) -> None:
    connections = threading.Semaphore(2)

    def answer() -> Reply:
        with connections:
            return reading(shop)

    with serving(answer) as service:
        seen = queued(pool(shop), service)
    assert seen.connections == 2
    assert len(seen.crowd.asked) == 6
    assert seen.crowd.failed.value == 0
    assert seen.crowd.fastest_ms >= 250


def test_requests_that_are_refused_are_counted(shop: Dsn) -> None:
    connections = threading.Semaphore(2)

    def answer() -> Reply:
        if not connections.acquire(blocking=False):
            return Reply("{}", status=503)
        try:
            return reading(shop)
        finally:
            connections.release()

    with serving(answer) as service:
        crowd = queued(pool(shop), service).crowd
    assert crowd.failed.value == 4
    assert crowd.problems == "4 x GET /a: status 503"


def test_a_pool_without_a_maximum_queues_nothing(shop: Dsn) -> None:
    with serving(lambda: reading(shop)) as service, pytest.raises(NoData, match="none was queued"):
        queued(pool(shop), service)


def test_a_request_that_does_not_need_what_is_held(shop: Dsn) -> None:
    with serving(lambda: OK) as service, pytest.raises(NoData, match="no request waited"):
        queued(pool(shop), service)


def test_a_statement_that_is_wrong_sends_nothing(shop: Dsn) -> None:
    wrong = pool(shop, hold_sql="lock table shop.absent")
    with SmallServer({"/a": OK}) as server:
        with pytest.raises(CouldNotMeasure, match="absent"):
            queued(wrong, Service(url=server.url))
        assert not server.requests


def dependency(slow: list[str], flag: Path) -> Dependency:
    return Dependency(
        name="stock",
        service="api",
        slow=slow,
        restore=["rm", "-f", str(flag)],
        dependent=["/a"],
        independent=["/b"],
        requests=4,
        fail_within_s=3,
        max_ms=2000,
        recover_within_s=5,
    )


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    return tmp_path / "slow"


def test_what_needs_it_fails_and_the_rest_does_not(flag: Path) -> None:
    undo = Undo()
    with serving(lambda: Reply("{}", status=503 if flag.exists() else 200)) as service:
        seen = slowed(dependency(["touch", str(flag)], flag), service, undo)
    assert (seen.dependent.failed.value, seen.independent.failed.value) == (4, 0)
    assert seen.recovered_s is not None
    assert (flag.exists(), undo.registered) == (False, {})


def test_what_does_not_recover_is_told(flag: Path) -> None:
    broken = flag.with_name("broken")
    command = ["touch", str(flag), str(broken)]
    with serving(lambda: Reply("{}", status=503 if broken.exists() else 200)) as service:
        drill = dependency(command, flag).model_copy(update={"recover_within_s": 0.1})
        assert slowed(drill, service, Undo()).recovered_s is None


def test_a_command_that_slows_nothing_down(flag: Path) -> None:
    with serving(lambda: OK) as service, pytest.raises(NoData, match="were answered well"):
        slowed(dependency(["true"], flag), service, Undo())


def test_a_command_that_fails_is_undone(flag: Path) -> None:
    undo = Undo()
    command = ["sh", "-c", f"touch {flag}; exit 3"]
    with serving(lambda: OK) as service, pytest.raises(CouldNotMeasure, match="ended with 3"):
        slowed(dependency(command, flag), service, undo)
    assert (flag.exists(), undo.registered) == (False, {})


def test_what_fails_before_is_not_drilled(flag: Path) -> None:
    with (
        serving(lambda: Reply("{}", status=500)) as service,
        pytest.raises(CouldNotMeasure, match="status 500, before anything was slow"),
    ):
        slowed(dependency(["touch", str(flag)], flag), service, Undo())
    assert not flag.exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"max_ms": 300}, "is not above the 0.3 s"), ({"service": "apy"}, "apy")],
)
def test_mistakes_of_the_table(settings: dict[str, object], says: str) -> None:
    dsn = Dsn("postgresql://nobody@127.0.0.1/shop")
    table = {**pool(dsn).model_dump(exclude_unset=True), "dsn": dsn.reveal(), **settings}
    config = Config.model_validate(
        {
            "target": {"name": "t"},
            "services": {"api": {"url": "http://127.0.0.1:1"}},
            "performance": {"pools": [table]},
        }
    )
    [mistake] = AREA.mistakes(config, date(2026, 1, 1))
    assert says in mistake.message
