"""Load by locust: exact figures, and one clear outcome where it cannot be sent."""

import importlib.util
import json
from collections.abc import Callable
from datetime import date
from itertools import count
from pathlib import Path

import pytest

from readiness.areas.performance import AREA, load
from readiness.areas.performance.config import Load
from readiness.areas.performance.load import Asked, Loaded
from readiness.config.base.tables import Service
from readiness.config.models import Config
from readiness.lib import retry
from readiness.lib.noise import Noise, Watch
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.evidence import CheckFailed, Evidence, Outcome
from readiness.model.secrets import Interpolated
from tests.support.small_servers import Line, Reply, SmallServer, raw_server

pytestmark = pytest.mark.contract
OK = Reply("{}")


def declared(**settings: object) -> Load:
    values: dict[str, object] = {
        "name": "shop",
        "service": "api",
        "requests": [{"path": "/a"}],
        "rate": 50,
        "duration_s": 1,
        "warm_up_s": 0.2,
        "timeout_s": 1,
        "max_p95_ms": 500,
        "max_late_ms": 2000,
    }
    return Load.model_validate({k: v for k, v in {**values, **settings}.items() if v is not None})


def sent(settings: Load, url: str, **service: object) -> Loaded:
    one = Service.model_validate({"url": url, **service})
    return load.load(settings, one, seconds=settings.duration_s)


def test_every_planned_request_is_sent_and_recorded() -> None:
    requests = [
        {"path": "/a", "weight": 3},
        {"path": "/b", "method": "POST", "body": '{"n": {n}}', "status": [201]},
    ]
    with SmallServer({"/a": OK, "/b": Reply("{}", status=201)}) as server:
        loaded = sent(declared(requests=requests), server.url, bearer=Interpolated("horse"))
        asked = {(method, path) for method, path, _ in server.requests}
        tokens = {headers.get("authorization") for _, _, headers in server.requests}
    assert asked == {("GET", "/a"), ("POST", "/b")}
    assert tokens == {"Bearer horse"}
    assert (len(loaded.asked), loaded.planned, loaded.failed) == (50, 50, 0)
    assert {one.name for one in loaded.asked} == {"GET /a", "POST /b"}


def test_two_processes_share_one_schedule() -> None:
    with SmallServer({"/a": OK}) as server:
        loaded = sent(declared(processes=2), server.url)
    assert (len(loaded.asked), loaded.planned, loaded.failed) == (50, 50, 0)


def test_failures_are_data() -> None:
    numbers = count()
    flaky = lambda: Reply("{}", status=503 if next(numbers) % 5 == 0 else 200)  # noqa: E731
    with SmallServer({"/a": flaky}) as server:
        loaded = sent(declared(), server.url)
    assert loaded.failed == pytest.approx(10, abs=2)
    assert "x GET /a: status 503" in loaded.problems


def silent(line: Line) -> None:
    line.stopped.wait()


def test_a_service_that_never_answers_fails_each_request() -> None:
    """locust itself counts no request, and ends with 0."""
    with raw_server(silent) as address:
        loaded = sent(declared(rate=10, timeout_s=0.5), f"http://{address}")
    assert {one.problem for one in loaded.asked} == {"no answer in time"}
    assert len(loaded.asked) == 10


def test_nobody_listens() -> None:
    loaded = sent(declared(rate=10), "http://127.0.0.1:1")
    assert loaded.failed == len(loaded.asked) == 10


USERS = """
from locust import FastHttpUser, constant, task

class Shopper(FastHttpUser):
    wait_time = constant(0.02)

    @task
    def look(self):
        self.client.get("/a")
"""


def test_the_users_of_a_locustfile(tmp_path: Path) -> None:
    path = tmp_path / "shop.py"
    path.write_text(USERS)
    settings = declared(requests=None, rate=None, locustfile=str(path), users=2, duration_s=4)
    with SmallServer({"/a": OK}) as server:
        loaded = sent(settings, server.url)
    assert loaded.planned is None
    assert loaded.failed == 0
    assert len(loaded.asked) > 20


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("import no_such_module_of_ours\n", CouldNotMeasure, "no_such_module_of_ours"),
        ("x = 1\n", CouldNotMeasure, "locust ended with 1"),
        (USERS.replace('self.client.get("/a")', "1 / 0"), NoData, "locust sent no request"),
    ],
)
def test_a_wrong_locustfile(text: str, error: type[Exception], says: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.py"
    path.write_text(text)
    settings = declared(requests=None, rate=None, locustfile=str(path), users=1)
    with SmallServer({"/a": OK}) as server, pytest.raises(error, match=says):
        sent(settings, server.url)


def test_a_starved_generator_is_noticed() -> None:
    settings = declared(rate=200, max_late_ms=0.001)
    with SmallServer({"/a": OK}) as server:
        loaded = sent(settings, server.url)
    assert "ms late" in load.starved(settings, loaded)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Evidence]:
    """Runs the check on requests that were made up."""
    place = Path("suites/performance/test_load.py")
    spec = importlib.util.spec_from_file_location("check_of_load", place)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def judge(
        times: list[float],
        problems: list[str] | None = None,
        late_ms: float = 0,
        **settings: object,
    ) -> Evidence:
        asked = tuple(
            Asked(n / 50, n / 50 + late_ms / 1000, took, "GET /", problem)
            for n, (took, problem) in enumerate(
                zip(times, problems or [""] * len(times), strict=True)
            )
        )
        seen = Loaded(asked, None, len(times) / 50, 0.1, "made up")
        monkeypatch.setattr(load, "load", lambda *_, **__: seen)
        config = Config.model_validate(
            {"target": {"name": "t"}, "services": {"api": {"url": "http://127.0.0.1:1"}}}
        )
        evidence = Evidence()
        module.test_load(declared(**settings), config, evidence)
        return evidence

    return judge


FAST = [10.0] * 400


def test_fast_and_good_answers_pass(judged: Callable[..., Evidence]) -> None:
    evidence = judged(FAST, max_p99_ms=600, min_per_s=40)
    assert evidence.conclude() is Outcome.PASS


LATE: dict[str, object] = {"max_late_ms": 5}


def test_a_pass_counts_whatever_the_generator_was(judged: Callable[..., Evidence]) -> None:
    """That requests waited for the generator makes them slower, and no service faster."""
    assert judged(FAST, late_ms=10, **LATE).conclude() is Outcome.PASS


def test_a_miss_of_a_starved_generator_is_an_error(judged: Callable[..., Evidence]) -> None:
    with pytest.raises(CouldNotMeasure, match="the load generator was the bottleneck"):
        judged([600.0] * 400, late_ms=10, **LATE)


@pytest.mark.parametrize(
    ("times", "problems", "settings", "says"),
    [
        ([600.0] * 400, None, {}, "p95 is at least 600 ms"),
        ([10.0] * 388 + [900.0] * 12, None, {"max_p99_ms": 600}, "p99 is at least 900 ms"),
        (FAST, ["status 500"] * 20 + [""] * 380, {}, "20 of 400 requests failed"),
        (FAST, None, {"min_per_s": 60}, "good answers a second"),
    ],
)
def test_a_missed_objective(
    judged: Callable[..., Evidence],
    times: list[float],
    problems: list[str] | None,
    settings: dict[str, object],
    says: str,
) -> None:
    with pytest.raises(CheckFailed, match=says):
        judged(times, problems, **settings).conclude()


@pytest.mark.parametrize(
    ("times", "problems", "says"),
    [
        ([10.0] * 380 + [900.0] * 20, None, "put the p95 between 10 and 900 ms"),
        (FAST, ["status 500"] * 4 + [""] * 396, "4 of 400 requests failed"),
    ],
)
def test_what_is_too_close_to_call_is_an_error(
    judged: Callable[..., Evidence], times: list[float], problems: list[str] | None, says: str
) -> None:
    with pytest.raises(CouldNotMeasure, match=says):
        judged(times, problems).conclude()


CROWDED = Noise(usual_s=0.001, worst_s=0.028, lost=0.98)


def test_failures_after_a_wait_that_noise_explains_are_an_error(
    judged: Callable[..., Evidence], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine keeps the requests of a healthy service waiting for its pool."""
    monkeypatch.setattr(Watch, "seen", lambda _: CROWDED)
    monkeypatch.setattr(retry, "_await_quiet", lambda: None)
    failing = ["status 503"] * 40 + [""] * 360
    with pytest.raises(CouldNotMeasure, match="40 of 400 requests failed"):
        judged([2500.0] * 40 + [10.0] * 360, failing).conclude()
    with pytest.raises(CouldNotMeasure, match="400 of 400 requests failed"):
        judged([2500.0] * 400, ["no answer in time"] * 400, min_per_s=40).conclude()
    with pytest.raises(CheckFailed, match="40 of 400 requests failed"):
        judged([12.0] * 40 + [10.0] * 360, failing).conclude()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"requests": None}, "one of `requests`, `locustfile` and `summary` is needed"),
        ({"rate": None}, "is missing; it is required with `requests`"),
        ({"requests": None, "rate": None, "locustfile": "a.py"}, "required with `locustfile`"),
        ({"duration_s": 2}, "299 are needed"),
        ({"max_p99_ms": 100}, "which no service can keep"),
        ({"timeout_s": 0.5}, "ends each request before"),
        ({"service": "apy"}, "apy"),
        ({"soak": {"max_memory_growth": 1, "duration_s": 60}}, "leaves 0 s to be judged"),
        ({"soak": {"max_memory_growth": 1, "duration_s": 1200}}, "as long as `check_timeout_s`"),
        ({"soak": {"max_memory_growth": 1, "duration_s": 1e5}}, "more than 2,000,000 requests"),
        ({"soak": {"max_memory_growth": 1, "database": "shop"}}, "shop"),
        ({"soak": {"max_memory_growth": 1, "memory_query": "x"}}, "no [prometheus] is declared"),
        ({"capacity": {"min_headroom": 2, "max_rate": 90}}, "`max_rate` below the 100 requests/s"),
        (
            {"processes": 2, "generators": {"bind": "192.0.2.1", "workers": 2}},
            "is for one machine, and `generators` are declared",
        ),
        ({"spike": {"rate": 50, "seconds": 1, "within_s": 1}}, "is not above the 50 requests/s"),
        (
            {
                "requests": None,
                "rate": None,
                "locustfile": "a.py",
                "users": 1,
                "spike": {"rate": 50, "seconds": 1, "within_s": 1},
            },
            "needs `requests`",
        ),
    ],
)
def test_mistakes_of_the_table(settings: dict[str, object], says: str) -> None:
    table = json.loads(declared(duration_s=10).model_dump_json(exclude_unset=True))
    config = Config.model_validate(
        {
            "target": {"name": "t"},
            "services": {"api": {"url": "http://127.0.0.1:1"}},
            "performance": {
                "load": [{k: v for k, v in {**table, **settings}.items() if v is not None}]
            },
        }
    )
    [mistake] = AREA.mistakes(config, date(2026, 1, 1))
    assert says in mistake.message
