from datetime import UTC, datetime, timedelta

import pytest

from readiness.lib import clocks
from readiness.model.errors import CouldNotMeasure

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize("off", [-5, 0, 5])
def test_clocks_may_differ_a_little(off: int) -> None:
    clocks.agree(NOON + timedelta(seconds=off), "db", NOON)


@pytest.mark.parametrize(("off", "says"), [(-90, "90 s behind"), (6, "6 s ahead of")])
def test_a_clock_that_is_off_is_an_error(off: int, says: str) -> None:
    with pytest.raises(CouldNotMeasure, match=says):
        clocks.agree(NOON + timedelta(seconds=off), "db", NOON)


def test_an_http_date_is_compared_and_a_missing_one_is_not() -> None:
    clocks.agree_http(None, "api")
    clocks.agree_http("yesterday", "api")
    with pytest.raises(CouldNotMeasure, match="behind"):
        clocks.agree_http("Mon, 30 Nov 2020 12:00:00 GMT", "api")
