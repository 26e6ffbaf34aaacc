"""Comparing with earlier runs: what is a baseline, and what is a regression."""

import itertools
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from readiness.areas.performance.baseline import (
    WRITES,
    Comparison,
    comparison,
    conditions_of,
    least_ratio,
    rounds,
    summary,
)
from readiness.areas.performance.config import Endpoint, Ingest, Load, Query, WritePath
from readiness.areas.performance.judging import Times
from readiness.areas.performance.reference import run_before
from readiness.config.models import Config
from readiness.lib.noise import SILENCE, Noise
from readiness.model.errors import CouldNotMeasure
from readiness.model.evidence import CheckFailed, Evidence, Outcome
from readiness.model.record import RunRecord, Selection, TargetFacts
from readiness.model.secrets import Dsn
from tests.support.records import BEGAN, make_check, make_record

CHECK = "performance.endpoints"
ENDPOINT = Endpoint(name="it", service="api", path="/a", max_p95_ms=1000)
Stored = Callable[..., None]


def times(*ms: float) -> Times:
    return Times([value for value in ms for _ in range(20)], "GET /a")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config.model_validate(
        {
            "target": {"name": "shop"},
            "services": {"api": {"url": "http://127.0.0.1:1"}},
            "performance": {"baseline": {"records": str(tmp_path)}},
        }
    ).named()


@pytest.fixture
def stored(config: Config, tmp_path: Path) -> Stored:
    """Stores the record of an earlier run; each is a day later than the one before."""
    days = itertools.count()

    def store(
        *ms: float,
        conditions: str = "",
        target: str = "shop",
        outcome: str = "pass",
        selection: Selection | None = None,
    ) -> None:
        day = next(days)
        left = summary(times(*ms), conditions or conditions_of(config, ENDPOINT))
        record = make_record(
            [make_check(CHECK, "it", outcome, severity="blocker", measurements=[left])],
            began=BEGAN + timedelta(days=day),
            selection=selection,
            target=TargetFacts(
                name=target, environment="staging", release=f"1.{day}", fingerprint="x"
            ),
        )
        (tmp_path / f"{day:03}.json").write_text(record.to_json())

    return store


def compared(config: Config) -> Comparison:
    found = comparison(config, CHECK, ENDPOINT)
    assert found
    return found


def judged(config: Config, *ms: float, noise: Noise = SILENCE) -> tuple[Outcome, Evidence]:
    evidence = Evidence()
    compared(config).judge(evidence, times(*ms), noise)
    return evidence.conclude(), evidence


def test_no_baseline_is_compared_with_unless_it_is_declared() -> None:
    bare = Config.model_validate({"target": {"name": "shop"}})
    assert comparison(bare, CHECK, ENDPOINT) is None


def test_the_first_run_is_not_judged_and_says_so(config: Config) -> None:
    outcome, evidence = judged(config, 50, 50, 50)
    assert outcome is Outcome.WARN
    assert "Not compared with a baseline" in evidence.warnings[0]
    assert "this run is the first of the baseline if it ends READY" in evidence.warnings[0]


def test_the_same_speed_passes(config: Config, stored: Stored) -> None:
    stored(50, 51, 49, 52, 50)
    assert judged(config, 50, 52, 49, 53, 51)[0] is Outcome.PASS


def test_a_slower_run_is_a_regression_and_names_the_baseline(
    config: Config, stored: Stored
) -> None:
    stored(50, 51, 49, 52, 50)
    with pytest.raises(CheckFailed, match=r"median latency: 70 ms; limit 60 ms") as caught:
        judged(config, 70, 71, 69, 72, 70)
    assert "in the baseline 50 ms (1 READY runs, the newest of release 1.0)" in str(caught.value)


def test_small_differences_are_none_however_certain(config: Config, stored: Stored) -> None:
    stored(1, 1, 1, 1, 1)
    assert judged(config, 4, 4, 4, 4, 4)[0] is Outcome.PASS, "5 ms are the least difference"


def test_small_steps_are_a_warning_with_the_day_and_release_before_them(
    config: Config, stored: Stored
) -> None:
    for median in (50, 54, 58, 62, 66, 70):
        stored(median, median + 1, median - 1, median + 2, median)
    outcome, evidence = judged(config, 70, 71, 69, 72, 70)
    assert outcome is Outcome.WARN
    [warning] = evidence.warnings
    assert warning.startswith("It became slower in small steps, 70 ms now; limit 60 ms")
    assert "the median was 50 ms on " in warning
    assert warning.endswith("(release 1.0)")


def test_small_steps_within_the_limit_are_none(config: Config, stored: Stored) -> None:
    for median in (50, 51, 52, 53, 54, 55):
        stored(median, median + 1, median - 1, median + 2, median)
    assert judged(config, 56, 57, 55, 58, 56)[0] is Outcome.PASS


@pytest.mark.parametrize(
    ("ms", "noise"),
    [
        ((40, 45, 70, 75, 80), SILENCE),
        ((50, 70, 70, 71, 71), Noise(0.002, 0.002, 0.0)),
        ((70, 71, 69, 72, 70), Noise(0.001, 0.05, 0.99)),
    ],
)
def test_what_chance_or_noise_explain_is_an_error(
    config: Config, stored: Stored, ms: tuple[float, ...], noise: Noise
) -> None:
    stored(40, 50, 50, 50, 60)
    with pytest.raises(CouldNotMeasure, match=r"median is 70 ms, in the baseline 50 ms"):
        judged(config, *ms, noise=noise)


@pytest.mark.parametrize(
    "other",
    [
        {"outcome": "fail"},
        {"outcome": "error"},
        {"selection": Selection(partial=True, reason="--suite performance")},
        {"target": "bank"},
    ],
)
def test_a_run_that_was_not_ready_is_no_baseline(
    config: Config, stored: Stored, other: dict[str, object]
) -> None:
    stored(50, 50, 50, 50, 50, **other)
    assert compared(config).runs == 0


def test_an_altered_record_is_no_baseline(config: Config, stored: Stored, tmp_path: Path) -> None:
    stored(50, 50, 50, 50, 50)
    path = tmp_path / "000.json"
    path.write_text(path.read_text().replace('"value": 50', '"value": 500'))
    assert compared(config).runs == 0


def test_other_conditions_are_not_compared_and_named(config: Config, stored: Stored) -> None:
    now = conditions_of(config, ENDPOINT)
    stored(1, 1, 1, conditions=now.replace("kernel ", "kernel 2.6.32-"))
    outcome, evidence = judged(config, 50, 50, 50)
    assert outcome is Outcome.WARN
    assert "the last READY run had other conditions: kernel 2.6.32-" in evidence.warnings[0]


def test_the_newest_five_runs_are_the_baseline(config: Config, stored: Stored) -> None:
    for ms in (10, 20, 30, 40, 50, 60, 70):
        stored(ms, ms, ms, ms, ms)
    found = compared(config)
    assert (found.runs, found.newest, min(found.earlier)) == (5, "1.6", 30)


def test_limits_and_sample_sizes_are_no_conditions(config: Config) -> None:
    other = ENDPOINT.model_copy(update={"max_p95_ms": 5.0, "samples": 999})
    moved = ENDPOINT.model_copy(update={"path": "/b"})
    assert conditions_of(config, other) == conditions_of(config, ENDPOINT)
    assert conditions_of(config, moved) != conditions_of(config, ENDPOINT)


def test_users_that_changed_are_other_conditions(config: Config, tmp_path: Path) -> None:
    users = tmp_path / "users.py"
    users.write_text("one")
    load = Load(name="it", service="api", locustfile=str(users), users=1, max_p95_ms=5)
    before = conditions_of(config, load)
    assert conditions_of(config, load.model_copy(update={"duration_s": 9.0})) == before
    users.write_text("two")
    assert conditions_of(config, load) != before


@pytest.mark.contract
def test_settings_of_the_server_are_conditions(config: Config, shop: Dsn) -> None:
    query = Query(name="it", dsn=shop, sql="select 1")
    conditions = conditions_of(config, query)
    tuned = Dsn(make_conninfo(shop.reveal(), options="-c random_page_cost=1.5"))
    assert "PostgreSQL 1" in conditions
    assert conditions_of(config, query.model_copy(update={"dsn": tuned})) != conditions


@pytest.mark.contract
def test_the_run_before_is_ready(config: Config, shop: Dsn) -> None:
    query = Query(name="it", dsn=shop, sql="select * from shop.orders limit 5")
    performance = config.performance.model_copy(update={"queries": [query]})
    record = run_before(config.model_copy(update={"performance": performance}))
    assert isinstance(record, RunRecord)
    assert record.verdict == "READY"


def test_writes_are_compared_with_writes_and_not_with_copies(
    config: Config, tmp_path: Path
) -> None:
    dsn = Dsn("postgresql://nobody@127.0.0.1/shop")
    path = WritePath(
        service="api",
        path="/a",
        body="{n}",
        rows_per_request=1,
        count_sql="select 1",
        cleanup_sql="select 1",
        dsn=dsn,
    )
    ingest = Ingest(name="it", table="a.b", dsn=dsn, write_path=path)
    conditions = conditions_of(config, path)
    left = [summary(times(10), conditions), summary(times(20), conditions, WRITES)]
    check = "performance.ingest-rate"
    record = make_record(
        [make_check(check, "it", severity="blocker", measurements=left)],
        target=TargetFacts(name="shop", environment="staging", release="1", fingerprint="x"),
    )
    (tmp_path / "1.json").write_text(record.to_json())
    found = comparison(config, check, ingest, path)
    assert found
    assert set(found.earlier) == {20}
    evidence = Evidence()
    found.judge(evidence, times(20), SILENCE)
    assert [one.name for one in evidence.measurements][:1] == [WRITES]


def test_rounds_are_in_the_order_of_time() -> None:
    assert rounds([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) == [1.5, 3.5, 5.5, 7.5, 9.5]
    assert rounds([3, 1]) == [3, 1]


def test_the_bound_is_that_of_the_permutation_test() -> None:
    """By counting: of the 20 orders of 3 and 3 values, one has all three above."""
    assert least_ratio([1, 2, 3], [4, 5, 6]) == 4 / 3
    assert least_ratio([1, 2, 3], [4, 5]) is None, "one of ten orders is more than 5 %"
    assert least_ratio([1.0] * 5, [2.0] * 5) == 2


def test_the_bound_holds_in_19_of_20_cases() -> None:
    draw = random.Random(1)  # noqa: S311 - the same in each run

    def sample() -> list[float]:
        return [draw.lognormvariate(0, 0.3) for _ in range(5)]

    assert sum((least_ratio(sample(), sample()) or 0) > 1 for _ in range(2000)) <= 120
