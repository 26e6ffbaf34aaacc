from datetime import UTC, datetime, timedelta, timezone

import pytest

from readiness.model import figures
from readiness.model.measurement import Limit, Value, at_least, at_most, equal_to


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (104.60000001, "104.6"),
        (1234567, "1,234,567"),
        (12345.678, "12,346"),
        (0.012345, "0.01235"),
        (100.0, "100"),
        (0.0, "0"),
        (-3.14159, "-3.142"),
        (9.99996, "10"),
        (1e-9, "1e-09"),
        (float("inf"), "inf"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert figures.number(value) == text


@pytest.mark.parametrize(
    ("value", "limit", "unit", "shown"),
    [
        (104.6, at_most(100), "ms", ("104.6 ms", "≤ 100 ms")),
        (0.953, at_least(0.99), "ratio", ("95.3 %", "≥ 99 %")),
        (1.8, at_least(1.5), "ratio", ("1.8 ×", "≥ 1.5 ×")),
        (0.9, at_least(1.5), "ratio", ("0.9 ×", "≥ 1.5 ×")),
        (3, equal_to(0), "count", ("3", "= 0")),
        (True, equal_to(False), "text", ("yes", "= no")),
        ("off", Limit("!=", "off"), "text", ("off", "≠ off")),
        (2_418_331_904, at_least(1024), "bytes", ("2.418 GB", "≥ 1,024 bytes")),
        (93_784, at_most(93_600), "s", ("93,784 s (1 d 2 h)", "≤ 93,600 s (1 d 2 h)")),
        (12, None, "rows/s", ("12 rows/s", "")),
        ("nan", at_most(1), "ms", ("nan", "≤ 1 ms")),
    ],
)
def test_observed_and_limit(
    value: Value, limit: Limit | None, unit: str, shown: tuple[str, str]
) -> None:
    assert figures.observed_and_limit(value, limit, unit) == shown


def test_a_missed_limit_is_not_rounded_into_a_kept_one() -> None:
    observed, limit = figures.observed_and_limit(100.00004, at_most(100), "ms")
    assert (observed, limit) == ("100.00004 ms", "≤ 100 ms")


def test_the_limit_alone_does_not_depend_on_the_value() -> None:
    assert figures.limit_alone(at_least(0.95), "ratio") == "≥ 95 %"
    assert figures.limit_alone(None, "ms") == "no limit"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.34, "340 ms"),
        (12.34, "12.3 s"),
        (59.96, "60 s"),
        (252, "4 min 12 s"),
        (3600, "1 h"),
        (3725, "1 h 2 min"),
        (93784, "1 d 2 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert figures.duration(seconds) == text


def test_times_are_utc_and_say_so() -> None:
    cet = datetime(2026, 11, 22, 1, 7, 28, tzinfo=timezone(timedelta(hours=1)))
    assert figures.when(cet) == "2026-11-22 00:07:28 UTC"
    assert figures.when(datetime(2026, 11, 22, 1, 7, 28)) == "2026-11-22 01:07:28 UTC"  # noqa: DTZ001


def test_a_clock_names_another_day() -> None:
    moment = datetime(2026, 11, 22, 0, 7, 28, tzinfo=UTC)
    assert figures.clock(moment, moment.date()) == "00:07:28 UTC"
    assert figures.clock(moment, moment.date() - timedelta(days=1)) == "2026-11-22 00:07:28 UTC"
