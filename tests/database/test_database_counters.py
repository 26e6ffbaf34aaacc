"""What is concluded from a server's counters, and how two limits are held."""

import pytest

from readiness.areas.database.config_health import HealthLimits
from readiness.areas.database.grading import no_less_than, no_more_than, none_of
from readiness.areas.database.probes.counters import Checkpoints, Counted, Counters
from readiness.model.errors import NoData
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement

HOUR = 3600.0


def counted(name: str = "shop", *, seconds: float = HOUR, **figures: int) -> Counted:
    zero = {"deadlocks": 0, "temp_bytes": 0, "temp_files": 0, "hits": 0, "reads": 0}
    return Counted(name=name, seconds=seconds, **(zero | figures))


def test_a_young_counter_is_counted_by_the_hour() -> None:
    young = Counters((counted(seconds=1, deadlocks=1),))
    assert young.deadlocks_per_h.value == 1


def test_each_database_has_an_age_of_its_own() -> None:
    both = Counters((counted("a", seconds=10 * HOUR, temp_bytes=100), counted(temp_bytes=7)))
    assert both.temp_bytes_per_h.value == 17
    assert both.age_s.value == HOUR
    assert both.worst_by("temp_bytes") == "a: 100, shop: 7"


def test_the_cache_serves_a_share_of_all_reads() -> None:
    share = Counters((counted(hits=90_000, reads=10_000), counted(hits=100_000))).cache_hit_share
    assert share.value == 0.95
    assert share.samples == 200_000
    with pytest.raises(NoData, match="only 99999 blocks"):
        _ = Counters((counted(hits=99_999),)).cache_hit_share


@pytest.mark.parametrize(
    ("timed", "requested", "by_volume", "share"),
    [
        (0, 0, 0.0, 0.0),
        (0, 1, 0.2, 0.01),
        (10, 10, 10.0, 0.5),
        (10, 90, 1.0, 0.01),
        (10, 10, 50.0, 0.5),
    ],
)
def test_only_as_many_checkpoints_are_forced_as_wal_explains(
    timed: int, requested: int, by_volume: float, share: float
) -> None:
    found = Checkpoints(timed, requested, by_volume, HOUR).forced_share
    assert found.value == pytest.approx(share)


LIMITS = HealthLimits().placed("PLACE")


@pytest.mark.parametrize(
    ("value", "warned", "failed"), [(0.8, 0, 0), (0.81, 1, 0), (0.9, 1, 0), (0.91, 0, 1)]
)
def test_what_must_be_small_warns_before_it_fails(value: float, warned: int, failed: int) -> None:
    evidence = Evidence()
    good = no_more_than(
        evidence,
        "share",
        Measurement("Share", value, "ratio", "test"),
        LIMITS,
        warn="connections_warn_share",
        fail="connections_max_share",
    )
    assert (len(evidence.warnings), len(evidence.failures)) == (warned, failed)
    assert good is (warned + failed == 0)
    assert len(evidence.measurements) == 1


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.99, ""),
        (0.95, "Share: 95 %; at least 99 % required (`PLACE.cache_hit_warn_share`, default)"),
        (0.94, "Share: 94 %; at least 95 % required (`PLACE.cache_hit_min_share`, default)"),
    ],
)
def test_what_must_be_large_warns_before_it_fails(value: float, said: str) -> None:
    evidence = Evidence()
    no_less_than(
        evidence,
        "share",
        Measurement("Share", value, "ratio", "test"),
        LIMITS,
        warn="cache_hit_warn_share",
        fail="cache_hit_min_share",
    )
    assert "".join([*evidence.warnings, *evidence.failures]) == said
    assert bool(evidence.failures) is (value < 0.95)


def test_what_is_wrong_is_counted_and_named() -> None:
    evidence = Evidence()
    none_of(evidence, "indexes", "indexes invalid", ["a", "b"], 7, "pg_index")
    assert evidence.failures == ["2 of 7 indexes invalid: a; b"]
    assert none_of(evidence, "indexes", "indexes invalid", [], 7, "pg_index")
