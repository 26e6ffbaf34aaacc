import pytest

from readiness.model.errors import did_you_mean, nearest


@pytest.mark.parametrize(
    ("word", "expected"),
    [("helth", "health"), ("HEALTH", "health"), ("live", "live"), ("zzz", ""), ("", "")],
)
def test_nearest(word: str, expected: str) -> None:
    assert nearest(word, ["live", "health"]) == expected


def test_did_you_mean() -> None:
    assert did_you_mean("helth", {"health"}) == "Did you mean 'health'?"
    assert did_you_mean("zzz", {"health"}) == ""
