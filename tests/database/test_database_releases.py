"""How long PostgreSQL's releases live, and how new a minor release must be."""

from datetime import date

import pytest

from readiness.areas.database.probes.server import Release, newest_minor, supported_until


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
def test_the_end_of_support_is_the_one_that_postgresql_names(major: int, end: date) -> None:
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
def test_a_minor_release_is_expected_when_its_day_has_come(
    major: int, today: date, minor: int
) -> None:
    assert newest_minor(major, today) == minor


def test_releases_are_read_and_compared() -> None:
    assert Release.of(150004) == Release(15, 4) == Release.read("15.4")
    assert Release.read("16") == Release(16, 0) > Release(15, 20)
    assert str(Release.of(180001)) == "18.1"
