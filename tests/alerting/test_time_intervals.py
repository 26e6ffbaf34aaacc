"""Time intervals, to the minute: examples of the documentation, and each minute by itself."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readiness.areas.alerting.routes.time_intervals import TimeInterval, common, merged, muted, rest
from readiness.model.errors import NoData

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def interval(**written: Any) -> TimeInterval:
    return TimeInterval.parse(written)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "inside", "outside"),
    [
        # The examples of Alertmanager's documentation.
        ({"times": [{"start_time": "06:00", "end_time": "17:00"}]},
         ["2026-03-02T06:00", "2026-03-02T16:59"], ["2026-03-02T05:59", "2026-03-02T17:00"]),
        ({"weekdays": ["monday:wednesday", "saturday", "sunday"]},
         ["2026-03-02", "2026-03-04", "2026-03-07", "2026-03-08"], ["2026-03-05", "2026-03-06"]),
        ({"days_of_month": ["1:5", "-3:-1"]},
         ["2026-03-01", "2026-03-05T23:59", "2026-03-29", "2026-02-26"],
         ["2026-03-06", "2026-03-28T23:59", "2026-02-25"]),
        ({"months": ["1:3", "may:august", "December"]},
         ["2026-01-01", "2026-03-31", "2026-05-01", "2026-12-31"], ["2026-04-01", "2026-11-30"]),
        ({"years": ["2020:2022", "2030"]}, ["2022-12-31", "2030-06-01"], ["2023-01-01"]),
        ({"times": [{"start_time": "09:00", "end_time": "17:00"}], "weekdays": ["monday:friday"]},
         ["2026-03-02T09:00"], ["2026-03-07T09:00", "2026-03-02T17:00"]),
        # A day that the month does not have is none; an end beyond it is its last day.
        ({"days_of_month": ["31"]}, ["2026-03-31"], ["2026-02-28", "2026-04-30"]),
        ({"days_of_month": ["28:31"]}, ["2026-02-28"], ["2026-02-27"]),
        ({"days_of_month": ["-31:-31"]}, ["2026-03-01"], ["2026-04-01", "2026-03-02"]),
        ({"location": "Australia/Sydney", "weekdays": ["sunday"]},
         ["2026-02-28T13:00"], ["2026-02-28T12:59", "2026-03-01T13:00"]),
    ],
)  # fmt: skip
def test_an_interval_holds_exactly_then(
    written: dict[str, Any], inside: list[str], outside: list[str]
) -> None:
    found = interval(**written)
    assert [text for text in inside if not found.contains(at(text))] == []
    assert [text for text in outside if found.contains(at(text))] == []


def test_a_night_of_the_clock_change_is_as_long_as_it_is() -> None:
    night = interval(times=[{"start_time": "01:00", "end_time": "05:00"}], location="Europe/Berlin")
    spring = night.spans(at("2026-03-28T12:00"), at("2026-03-29T12:00"))
    autumn = night.spans(at("2026-10-24T12:00"), at("2026-10-25T12:00"))

    assert spring == [(at("2026-03-29T00:00"), at("2026-03-29T03:00"))]
    assert autumn == [(at("2026-10-24T23:00"), at("2026-10-25T04:00"))]


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]
DAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
written_intervals = st.fixed_dictionaries(
    {},
    optional={
        "times": st.lists(
            st.tuples(st.integers(0, 23), st.integers(0, 59)).map(
                lambda t: {"start_time": f"{t[0]:02}:{t[1]:02}", "end_time": "24:00"}
            ),
            min_size=1,
            max_size=2,
        ),
        "weekdays": st.lists(st.sampled_from(DAYS), min_size=1, max_size=2),
        "days_of_month": st.lists(st.sampled_from(["1:7", "-5:-1", "29", "31"]), min_size=1),
        "months": st.lists(st.sampled_from(["march", "10:11", "2"]), min_size=1, max_size=2),
        "location": st.sampled_from(ZONES),
    },
)
changes = st.sampled_from(["2026-03-07", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24"])


@settings(max_examples=60, deadline=None)
@given(written_intervals, changes, st.integers(0, 47))
def test_the_spans_are_the_minutes_that_it_contains(
    written: dict[str, Any], around: str, hour: int
) -> None:
    found = interval(**written)
    start = at(around) + timedelta(hours=hour)
    end = start + timedelta(hours=20)
    spans = found.spans(start, end)
    minute = start
    while minute < end:
        assert found.contains(minute) is any(a <= minute < b for a, b in spans), minute
        minute += timedelta(minutes=7)


def test_spans_can_be_joined_and_turned_round() -> None:
    a, b, c, d = (MONDAY + timedelta(hours=n) for n in (1, 2, 3, 4))

    assert merged([(c, d), (a, b), (b, c)]) == [(a, d)]
    assert rest([(b, c)], a, d) == [(a, b), (c, d)]
    assert common([[(a, c)], [(b, d)]], a, d) == [(b, c)]
    assert common([], a, d) == []


def test_a_route_is_held_back_by_what_mutes_and_outside_of_what_is_active() -> None:
    intervals = {
        "night": (interval(times=[{"start_time": "00:00", "end_time": "06:00"}]),),
        "office": (interval(times=[{"start_time": "04:00", "end_time": "18:00"}]),),
    }
    day = MONDAY, MONDAY + timedelta(days=1)

    assert muted(intervals, (), (), *day) == []
    assert muted(intervals, ("night",), (), *day) == [(MONDAY, MONDAY + timedelta(hours=6))]
    assert muted(intervals, (), ("office",), *day) == [
        (MONDAY, MONDAY + timedelta(hours=4)),
        (MONDAY + timedelta(hours=18), day[1]),
    ]
    both = muted(intervals, ("night",), ("office",), *day)
    assert [begin.hour for begin, _ in both] == [0, 18]


@pytest.mark.parametrize(
    "written",
    [
        {"location": "Middle/Earth"},
        {"weekdays": ["someday"]},
        {"times": [{"start_time": "soon", "end_time": "later"}]},
        {"months": ["brumaire"]},
        {"centuries": ["21"]},
    ],
)
def test_what_is_not_understood_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(NoData):
        interval(**written)


def test_an_interval_that_nobody_defines_is_refused() -> None:
    with pytest.raises(NoData, match="'night' is not defined"):
        muted({}, ("night",), (), MONDAY, MONDAY + timedelta(days=1))
