"""What is concluded from a server's counters, its release and its statements, without a server."""

from datetime import date

import pytest

from readiness.areas.database.config import HealthLimits
from readiness.areas.database.grading import no_less_than, no_more_than
from readiness.areas.database.probes.counters import Checkpoints, Counted, Counters
from readiness.areas.database.probes.server import Release, newest_minor, supported_until
from readiness.areas.database.probes.statements import (
    OWN,
    Statement,
    StatementCounters,
    Window,
    logged,
    version_of,
    window,
)
from readiness.areas.database.snapshots import Server, Snapshot, StatementUse
from readiness.lib.findings import none_of
from readiness.lib.text import worst
from readiness.model.errors import NoData
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement

HOUR = 3600.0


def figures(name: str = "shop", *, seconds: float = HOUR, **figures: int) -> Counted:
    zero = {"deadlocks": 0, "temp_bytes": 0, "hits": 0, "reads": 0}
    return Counted(name=name, seconds=seconds, **(zero | figures))


def test_young_counter_counts_as_one_hour_old() -> None:
    young = Counters((figures(seconds=1, deadlocks=1),))
    assert young.deadlocks_per_h.value == 1


def test_each_database_has_its_own_counter_age() -> None:
    both = Counters((figures("a", seconds=10 * HOUR, temp_bytes=100), figures(temp_bytes=7)))
    assert both.temp_bytes_per_h.value == 17
    assert both.age_s.value == HOUR
    assert both.worst_by("temp_bytes") == "a: 100, shop: 7"


def test_cache_hit_share_is_over_all_databases() -> None:
    share = Counters((figures(hits=90_000, reads=10_000), figures(hits=100_000))).cache_hit_share
    assert share.value == 0.95
    assert share.samples == 200_000


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
def test_forced_checkpoints_are_bounded_by_the_volume_of_wal(
    timed: int, requested: int, by_volume: float, share: float
) -> None:
    found = Checkpoints(timed, requested, by_volume, HOUR).forced_share
    assert found.value == pytest.approx(share)


LIMITS = HealthLimits().placed("PLACE")


@pytest.mark.parametrize(
    ("value", "failed", "warned", "said"),
    [
        (0.8, False, False, ""),
        (0.81, False, True, "Share: 81 %; limit 80 % (`PLACE.connections_warn_share`, default)"),
        (0.9, False, True, "Share: 90 %; limit 80 % (`PLACE.connections_warn_share`, default)"),
        (0.91, True, False, "Share: 91 %; limit 90 % (`PLACE.connections_max_share`, default)"),
    ],
)
def test_figure_that_must_be_small_warns_before_it_fails(
    value: float, failed: bool, warned: bool, said: str
) -> None:
    evidence, measured = Evidence(), Measurement("Share", value, "ratio", "test")
    warn, fail = "connections_warn_share", "connections_max_share"
    keys = (warn, fail)
    good = no_more_than(evidence, "share", measured, LIMITS, keys)
    assert (bool(evidence.failures), bool(evidence.warnings)) == (failed, warned)
    assert "".join([*evidence.warnings, *evidence.failures]) == said
    assert good is (not said)
    assert len(evidence.measurements) == 1


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.99, ""),
        (0.95, "Share: 95 %; at least 99 % required (`PLACE.cache_hit_warn_share`, default)"),
        (0.94, "Share: 94 %; at least 95 % required (`PLACE.cache_hit_min_share`, default)"),
    ],
)
def test_figure_that_must_be_large_warns_before_it_fails(value: float, said: str) -> None:
    evidence, measured = Evidence(), Measurement("Share", value, "ratio", "test")
    warn, fail = "cache_hit_warn_share", "cache_hit_min_share"
    keys = (warn, fail)
    no_less_than(evidence, "share", measured, LIMITS, keys)
    assert "".join([*evidence.warnings, *evidence.failures]) == said
    assert bool(evidence.failures) is (value < 0.95)


def test_wrong_objects_are_counted_and_named() -> None:
    evidence = Evidence()
    none_of(evidence, "indexes", "indexes invalid", ["a", "b"], 7, "pg_index")
    assert evidence.failures == ["2 of 7 indexes invalid: a; b"]
    assert none_of(evidence, "indexes", "indexes invalid", [], 7, "pg_index")


@pytest.mark.parametrize(
    ("major", "end"),
    [
        (12, date(2024, 11, 14)),
        (13, date(2025, 11, 13)),
        (14, date(2026, 11, 12)),
        (15, date(2027, 11, 11)),
        (16, date(2028, 11, 9)),
        (17, date(2029, 11, 8)),
        (18, date(2030, 11, 14)),
    ],
)
def test_end_of_support_matches_the_published_calendar(major: int, end: date) -> None:
    assert supported_until(major) == end


@pytest.mark.parametrize(
    ("major", "today", "minor"),
    [
        (18, date(2025, 11, 13), 1),
        (18, date(2026, 2, 11), 1),
        (18, date(2026, 2, 12), 2),
        (15, date(2026, 11, 12), 19),
        (13, date(2030, 1, 1), 23),
        (14, date(2030, 1, 1), 24),
        (19, date(2026, 11, 11), 0),
        (19, date(2026, 11, 12), 1),
        (19, date(2027, 2, 11), 2),
    ],
)
def test_minor_release_is_expected_from_its_day_on(major: int, today: date, minor: int) -> None:
    assert newest_minor(major, today) == minor


def test_releases_are_parsed_and_compared() -> None:
    assert Release.of(150004) == Release(15, 4) == Release.read("15.4")
    assert Release.read("16") == Release(16, 0) > Release(15, 20)
    assert str(Release.of(180001)) == "18.1"


SERVER = Server(system="", database="d", version=150000, started=0.0, counters_since=0.0)


def statement(key: str, calls: int, total_ms: float, **more: object) -> Statement:
    plain = {"role": "app", "text": key, "own": False} | more
    return Statement(key=key, calls=calls, total_ms=total_ms, **plain)  # type: ignore[arg-type]


def counted(*statements: Statement, since: float | None = 0.0) -> StatementCounters:
    return StatementCounters({s.key: s for s in statements}, since, 0)


def before(at: float, **uses: tuple[int, float]) -> Snapshot:
    known = {key: StatementUse(calls=c, total_ms=t) for key, (c, t) in uses.items()}
    return Snapshot(at=at, server=SERVER, size=0, tables={}, indexes=(), statements=known)


def seen(counters: StatementCounters, snapshot: Snapshot | None, *roles: str) -> Window:
    return window(counters, snapshot, now=7200.0, roles=roles, monitor="watcher")


A_TO_10 = before(3600.0, a=(10, 1000.0))


@pytest.mark.parametrize(
    ("counters", "snapshot", "hours", "ran"),
    [
        # The mean is that of the window alone.
        (counted(statement("a", 20, 2000.0)), A_TO_10, 1, [("a", 10, 100.0)]),
        # What did not run in the window is left out, and what is new counts as a whole.
        (counted(statement("a", 10, 1000.0), statement("b", 4, 8.0)), A_TO_10, 1, [("b", 4, 2.0)]),
        # An evicted statement counts from zero again.
        (counted(statement("a", 3, 9.0)), A_TO_10, 1, [("a", 3, 3.0)]),
        # A reset after the snapshot shortens the window.
        (counted(statement("a", 30, 60.0), since=5400.0), A_TO_10, 0.5, [("a", 30, 2.0)]),
        # Without a snapshot the window begins with the counters.
        (counted(statement("a", 1, 1.0), since=3600.0), None, 1, [("a", 1, 1.0)]),
        # PostgreSQL 13 does not record when they began.
        (counted(statement("a", 12, 1004.0), since=None), A_TO_10, 1, [("a", 2, 2.0)]),
    ],
)
def test_window_is_the_difference_of_counters_and_snapshot(
    counters: StatementCounters, snapshot: Snapshot | None, hours: float, ran: list[object]
) -> None:
    found = seen(counters, snapshot)
    assert found.hours == hours
    assert [(one.statement.key, one.calls, one.mean_ms) for one in found.ran] == ran


def test_window_of_postgresql_13_without_a_snapshot_is_no_data() -> None:
    with pytest.raises(NoData, match="since when"):
        seen(counted(statement("a", 7, 7.0), since=None), None)


def test_roles_are_the_declared_ones_else_all_but_the_monitoring() -> None:
    counters = counted(
        statement("a", 1, 1.0),
        statement("b", 1, 1.0, role="watcher"),
        statement("c", 1, 1.0, role="batch"),
        statement("d", 1, 1.0, own=True),
    )
    by_name, by_default = seen(counters, None, "app"), seen(counters, None)

    assert [ran.statement.key for ran in by_name.ran] == ["a"]
    assert (by_name.others, by_name.own) == (2, 1)
    assert [ran.statement.key for ran in by_default.ran] == ["a", "c"]


def test_statements_with_enough_calls_are_judged_slowest_first() -> None:
    calls = (("seldom", 2, 999.0), ("quick", 30, 30.0), ("slow", 20, 200.0))
    found = seen(counted(*(statement(*call) for call in calls)), None).enough(20)
    assert [ran.statement.key for ran in found] == ["slow", "quick"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"log_min_duration_statement": "500"}, 500.0),
        ({"log_min_duration_statement": "0"}, 0.0),
        ({"log_min_duration_statement": "-1"}, None),
        ({}, None),
        (
            {"log_min_duration_statement": "-1", "auto_explain.log_min_duration": "250",
             "shared_preload_libraries": "pg_stat_statements, auto_explain"},
            250.0,
        ),
        # Set in postgresql.conf, and loaded nowhere.
        ({"log_min_duration_statement": "-1", "auto_explain.log_min_duration": "250"}, None),
        (
            {"log_min_duration_statement": "900", "auto_explain.log_min_duration": "250",
             "session_preload_libraries": "auto_explain"},
            250.0,
        ),
    ],
)  # fmt: skip
def test_lower_log_threshold_that_is_on_counts(
    settings: dict[str, str], expected: float | None
) -> None:
    assert logged(settings)[0] == expected


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("copy readiness_a1b2.t from stdin", True),
        ("delete from t where x = $1\n/* readiness */", True),
        ("with readiness_slow_query as materialized (select pg_sleep($1)) select 1", True),
        ("select readiness from aircraft", False),
        ("select 1 /* readiness report of the shop */", False),
    ],
)
def test_own_statements_are_recognized_by_their_mark(text: str, own: bool) -> None:
    assert bool(OWN.search(text)) is own


def test_versions_of_extensions_compare_as_numbers() -> None:
    assert version_of("1.10") > version_of("1.9") > version_of("1.8")


def test_worst_names_three_and_counts_the_rest() -> None:
    assert worst(["a", "b", "c", "d", "e"]) == "a; b; c; and 2 more"
    assert worst(["a\x1b[31m", "b"]) == "a [31m; b"
