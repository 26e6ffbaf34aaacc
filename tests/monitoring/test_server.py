"""The retention that a Prometheus reports."""

import pytest

from readiness.areas.monitoring.probes.server import Promise, read
from readiness.model.errors import NoData


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("15d", Promise(360, "")),
        ("1w", Promise(168, "")),
        ("1d12h", Promise(36, "")),
        ("15d or 10GiB", Promise(360, "10GiB")),
        ("10GiB", Promise(None, "10GiB")),
        ("0s or 512MB", Promise(None, "512MB")),
        ("1GiB512MiB", Promise(None, "1GiB512MiB")),
        ("15d or 80%", Promise(360, "80%")),
    ],
)
def test_time_and_size_are_told_apart(text: str, expected: Promise) -> None:
    assert read(text) == expected


@pytest.mark.parametrize("text", ["", "0s", "0", " or ", "1h1h", "1.5h", "soon", "15d or ever"])
def test_a_retention_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(NoData, match="does not report how long"):
        read(text)
