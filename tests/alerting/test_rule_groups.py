"""Evaluations that were missed: by a group that is too slow, or because nothing ran at all."""

import pytest

from readiness.areas.alerting.probes.rules import _judged

FIVE = {"a": 5.0, "b": 5.0}


def shares(counts: dict[str, tuple[float, float]], intervals: dict[str, float]) -> dict[str, float]:
    return {found.group: found.share for found in _judged(counts, intervals, "query")}


def test_a_slow_group_is_told_from_the_others() -> None:
    assert shares({"/f;a": (60, 120), "/f;b": (0, 120)}, FIVE) == {
        "a": pytest.approx(59 / 120),
        "b": 0,
    }


def test_a_pause_of_prometheus_is_no_slow_group() -> None:
    """Twenty seconds, which a group with a long interval hardly notices."""
    counts = {"/f;a": (4.0, 36.0), "/f;b": (4.0, 36.0), "/f;slow": (0.0, 3.0)}

    assert shares(counts, {**FIVE, "slow": 60.0}) == {"a": 0, "b": 0, "slow": 0}


def test_a_group_that_came_later_does_not_know_of_a_pause_before_it() -> None:
    counts = {"/f;a": (4.0, 60.0), "/f;b": (4.0, 60.0), "/f;new": (0.0, 4.0)}
    assert shares(counts, {**FIVE, "new": 5.0}) == {"a": 0, "b": 0, "new": 0}


def test_a_group_that_came_later_and_is_slow_is_not_excused_by_a_pause_before_it() -> None:
    counts = {"/f;a": (9.0, 60.0), "/f;b": (9.0, 60.0), "/f;new": (5.0, 8.0)}
    assert shares(counts, {**FIVE, "new": 5.0}) == {"a": 0, "b": 0, "new": 0.5}


def test_what_is_no_longer_loaded_is_history() -> None:
    assert shares({"/f;a": (0, 10), "/f;gone": (9, 10)}, FIVE) == {"a": 0}


def test_never_more_than_all() -> None:
    assert shares({"/f;a": (500, 100), "/f;b": (0, 100)}, FIVE)["a"] == 1
