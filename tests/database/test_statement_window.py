"""What ran within a window, by the difference of two readings; and what is logged."""

import pytest

from readiness.areas.database.history.snapshot import Server, Snapshot, StatementUse
from readiness.areas.database.probes.latency import Window, window
from readiness.areas.database.probes.statements import OWN, Counters, Statement, logged, version_of
from readiness.lib.text import worst
from readiness.model.errors import NoData

SERVER = Server(system="", database="d", version=150000, started=0.0, counters_since=0.0)


def statement(key: str, calls: int, total_ms: float, **more: object) -> Statement:
    plain = {"role": "app", "text": key, "own": False} | more
    return Statement(key=key, calls=calls, total_ms=total_ms, **plain)  # type: ignore[arg-type]


def counted(*statements: Statement, since: float | None = 0.0) -> Counters:
    return Counters({s.key: s for s in statements}, since, 0)


def before(at: float, **uses: tuple[int, float]) -> Snapshot:
    known = {key: StatementUse(calls=c, total_ms=t) for key, (c, t) in uses.items()}
    return Snapshot(at=at, server=SERVER, size=0, tables={}, indexes=(), statements=known)


def seen(counters: Counters, snapshot: Snapshot | None, *roles: str) -> Window:
    return window(counters, snapshot, now=7200.0, roles=roles, monitor="watcher")


def test_the_mean_is_that_of_the_window_alone() -> None:
    found = seen(counted(statement("a", 110, 2000.0)), before(3600.0, a=(100, 1000.0)))

    assert found.hours == 1
    (ran,) = found.ran
    assert (ran.calls, ran.mean_ms) == (10, 100.0)


def test_what_did_not_run_in_it_is_not_there_and_what_is_new_is_whole() -> None:
    counters = counted(statement("a", 5, 5.0), statement("b", 4, 8.0))
    (ran,) = seen(counters, before(3600.0, a=(5, 5.0))).ran

    assert (ran.statement.key, ran.calls, ran.mean_ms) == ("b", 4, 2.0)


def test_a_statement_that_was_thrown_out_counts_anew() -> None:
    (ran,) = seen(counted(statement("a", 3, 9.0)), before(3600.0, a=(50, 1.0))).ran

    assert (ran.calls, ran.mean_ms) == (3, 3.0)


def test_a_reset_after_the_snapshot_shortens_the_window() -> None:
    counters = counted(statement("a", 30, 60.0), since=5400.0)
    found = seen(counters, before(3600.0, a=(10, 10.0)))

    assert found.hours == 0.5
    assert found.ran[0].calls == 30


def test_without_a_snapshot_it_is_since_the_counters_began() -> None:
    assert seen(counted(statement("a", 1, 1.0), since=3600.0), None).hours == 1


def test_postgresql_13_needs_a_snapshot() -> None:
    counters = counted(statement("a", 7, 7.0), since=None)
    with pytest.raises(NoData, match="since when"):
        seen(counters, None)
    assert seen(counters, before(3600.0, a=(2, 2.0))).ran[0].calls == 5


def test_roles_are_those_named_else_all_but_the_monitoring_s() -> None:
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


def test_only_what_ran_often_enough_is_judged_the_slowest_first() -> None:
    counters = counted(
        statement("seldom", 2, 999.0), statement("quick", 30, 30.0), statement("slow", 20, 200.0)
    )

    found = seen(counters, None).enough(20)
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
def test_what_is_logged_is_the_lower_of_what_is_on(
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
def test_what_the_gate_sends_is_known_by_its_mark(text: str, own: bool) -> None:
    assert bool(OWN.search(text)) is own


def test_versions_of_extensions_compare_as_numbers() -> None:
    assert version_of("1.10") > version_of("1.9") > version_of("1.8")


def test_three_are_named_and_the_rest_is_counted() -> None:
    assert worst(["a", "b", "c", "d", "e"]) == "a; b; c; and 2 more"
    assert worst(["a\x1b[31m", "b"]) == "a [31m; b"
