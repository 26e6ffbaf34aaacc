"""Who waits for what, with compose's own defaults where the file says nothing."""

from typing import Any

import pytest

from readiness.areas.deployment.probes.start_order import StartOrder, UnreadableError, start_order

CHECK = {"test": ["CMD-SHELL", "pg_isready"]}


def order(**services: Any) -> StartOrder:
    return start_order({"services": services})


def waits(condition: str | None = "service_healthy", **database: Any) -> StartOrder:
    how = {} if condition is None else {"condition": condition}
    return order(app={"depends_on": {"db": how}}, db={"image": "postgres", **database})


def test_waiting_for_a_health_check_is_well() -> None:
    found = waits(healthcheck=CHECK)
    assert [found.loose, found.unchecked, found.unknown, found.cycle] == [[], [], [], []]
    assert [str(one) for one in found.dependencies] == ["app → db"]


def test_a_job_that_ends_needs_no_health_check() -> None:
    found = waits("service_completed_successfully")
    assert [found.loose, found.unchecked] == [[], []]


def test_what_is_left_out_is_what_compose_takes_for_it() -> None:
    told = ["app waits for db: service_started (depends_on)"]
    assert waits(None, healthcheck=CHECK).loose == told
    assert waits("service_started", healthcheck=CHECK).loose == told
    assert order(app={"depends_on": ["db"]}, db={"healthcheck": CHECK}).loose == told
    assert order(app={"depends_on": {"db": None}}, db=None).loose == told


@pytest.mark.parametrize(
    "healthcheck",
    [
        None,
        {},
        {"interval": "10s"},
        {"disable": True, "test": ["CMD", "pg_isready"]},
        {"test": ["NONE"]},
        {"test": "NONE"},
        {"test": ["CMD-SHELL", "exit 0"]},
        {"test": ["CMD", "true"]},
        {"test": "true"},
        {"test": ["CMD"]},
        {"test": ""},
    ],
)
def test_a_health_check_that_cannot_fail_is_none(healthcheck: Any) -> None:
    assert waits(healthcheck=healthcheck).unchecked == ["db"]


@pytest.mark.parametrize("test", ["pg_isready", ["CMD", "curl", "-f", "x"], "exit 1 || exit 0"])
def test_others_are_one(test: Any) -> None:
    assert waits(healthcheck={"test": test}).unchecked == []


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ({}, 90),  # 3 tries, each 30 s after the one before: the engine's own
        ({"interval": "0s", "retries": 0}, 90),
        ({"interval": "10s", "retries": 30}, 300),
        ({"interval": "1m30s", "retries": "2", "start_period": "1h"}, 3780),
        ({"interval": "500ms", "retries": 4, "start_period": "0"}, 2),
        ({"interval": "1.5s", "retries": 2}, 3),
    ],
)
def test_how_long_a_service_is_waited_for(words: Any, seconds: float) -> None:
    found = waits(healthcheck={**CHECK, **words})
    assert found.checks["db"].patience_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"links": ["db:database"]}, "links"),
        ({"volumes_from": ["db:ro", "container:x"]}, "volumes_from"),
        ({"network_mode": "service:db"}, "network_mode"),
    ],
)
def test_other_words_that_make_a_service_wait(words: Any, said: str) -> None:
    found = order(app=words, db={"healthcheck": CHECK})
    assert found.loose == [f"app waits for db: service_started ({said})"]
    explicit = {"depends_on": {"db": {"condition": "service_healthy"}}}
    assert not order(app={**words, **explicit}, db={"healthcheck": CHECK}).loose


def test_cycles_and_services_that_are_not_there() -> None:
    found = order(a={"depends_on": ["b"]}, b={"depends_on": ["c"]}, c={"depends_on": ["a"]})
    assert set(found.cycle) == {"a", "b", "c"}
    assert order(a={"depends_on": ["a"]}).cycle == ["a", "a"]
    assert order(a={"depends_on": ["ghost"]}).unknown == ["a → ghost"]


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"services": []},
        {"image": "x"},
        {"services": {"a": {}}, "include": ["other.yml"]},
        {"services": {"a": {"extends": {"service": "b"}}}},
        {"services": {"a": "b"}},
        {"services": {"a": {"depends_on": "b"}}},
        {"services": {"a": {"healthcheck": {"test": "x", "interval": "often"}}}},
        {"services": {"a": {"healthcheck": {"test": "x", "interval": "10"}}}},
        {"services": {"a": {"healthcheck": {"test": "x", "retries": True}}}},
        {"services": {"a": {"healthcheck": {"test": "x", "retries": "many"}}}},
    ],
)
def test_what_does_not_tell_it_all_is_no_answer(document: Any) -> None:
    with pytest.raises(UnreadableError):
        start_order(document)
