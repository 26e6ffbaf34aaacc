"""What Prometheus takes for a duration, and what compose does: two grammars."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readiness.lib.durations import compose_seconds, prometheus_seconds, prometheus_text
from readiness.model.errors import NoData


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", 30), ("1m30s", 90), ("1h", 3600), ("500ms", 0.5), ("0", 0), ("0s", 0),
        ("1w", 604_800), ("1y", 31_536_000), ("3w4d", 2_160_000),
        ("1y2w3d4h5m6s7ms", 33_019_506.007),
        ("00090s", 90), ("0m", 0), ("292y", 9_208_512_000), ("10ms", 0.01),
    ],
)  # fmt: skip
def test_durations_of_prometheus(text: str, expected: float) -> None:
    assert prometheus_seconds(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        # Of the tests of prometheus/common, model/time_test.go, and what our reader took before.
        "", "1", "1y1m1d", "-1w", "1.5d", "d", "294y", "200y10400w", "107675d", "2584200h",
        "soon", "5", "-1s", "1.5.2s", "1s x", "1h1h", "1.5h", "30s1m", " 1m", "1m ", "1 m", "1M",
        "1ms1s", "٣s", "1e3s", "+1s", "1us", "00", "0 s", "9" * 5000 + "s", "1h\n",
    ],
)  # fmt: skip
def test_durations_that_prometheus_rejects(text: str) -> None:
    with pytest.raises(NoData, match=r"not a valid|longer than Prometheus"):
        prometheus_seconds(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(30.0, "30s"), (300.0, "5m"), (5400.0, "1h30m"), (0.0, "0s"), (0.5, "500ms"), (86400.0, "1d"),
     (90.25, "1m30s250ms")],
)  # fmt: skip
def test_durations_are_formatted(value: float, expected: str) -> None:
    assert prometheus_text(value) == expected


@given(st.integers(min_value=0, max_value=9_000_000_000_000))
def test_formatted_durations_are_parsed_back(milliseconds: int) -> None:
    assert prometheus_seconds(prometheus_text(milliseconds / 1000)) == milliseconds / 1000


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10s", 10), ("1m30s", 90), ("1.5h", 5400), ("1h1h", 7200), ("30s1m", 90), ("0", 0),
     ("100ms", 0.1), ("5us", 5e-6), (".5s", 0.5), ("2.s", 2), ("1d", 86_400), ("1w1d", 691_200)],
)  # fmt: skip
def test_durations_of_compose(text: str, expected: float) -> None:
    assert compose_seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "1", "-1s", "1y", "1M", "s", ".s", "1s x", "٣s"])
def test_durations_that_compose_rejects_and_negative_ones(text: str) -> None:
    with pytest.raises(ValueError, match="not a valid"):
        compose_seconds(text)
