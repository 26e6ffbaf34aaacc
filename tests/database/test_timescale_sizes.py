"""TimescaleDB's versions, what a month of rows takes, and when a chunk is overdue."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readiness.areas.database.probes.hypertables import (
    Chunk,
    Saved,
    Scheduled,
    chunk_sizes_function,
    growth,
    settled,
)
from readiness.areas.database.probes.timescale_jobs import Job
from readiness.lib.postgres.timescale import OLDEST, version_of
from readiness.model.errors import NoData

DAY = 86_400.0
NOW = 1000 * DAY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.19.3", (2, 19, 3)),
        ("2.20.0-dev", (2, 20, 0)),
        ("2.9", (2, 9, 0)),
        ("3", (3, 0, 0)),
        ("2.13.0-rc1", (2, 13, 0)),
    ],
)
def test_version_is_parsed_into_numbers(text: str, expected: tuple[int, int, int]) -> None:
    assert version_of(text) == expected


def test_invalid_version_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a valid version"):
        version_of("latest")


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("2.11.0", "chunk_compression_stats"),
        ("2.17.2", "chunk_compression_stats"),
        ("2.18.0", "chunk_columnstore_stats"),
        ("2.29.2", "chunk_columnstore_stats"),
    ],
)
def test_compression_is_called_columnstore_since_2_18(text: str, function: str) -> None:
    assert version_of(text) >= OLDEST
    assert chunk_sizes_function(version_of(text)) == function


def days(*ages: float, length: float = 1) -> list[Chunk]:
    """Chunks of so many days, each ending so many days ago."""
    return [
        Chunk("i", f"c{age:g}", False, NOW - (age + length) * DAY, NOW - age * DAY, age * DAY)
        for age in ages
    ]


def sizes(chunks: list[Chunk], each: int) -> dict[tuple[str, str], int]:
    return {(chunk.schema, chunk.name): each for chunk in chunks}


def test_oldest_and_growing_chunks_are_not_settled() -> None:
    chunks = days(9, 5, 3, 1, -0.5)
    assert [c.name for c in settled(chunks, 0)] == ["c5", "c3", "c1"]
    assert [c.name for c in settled(chunks, 3 * DAY)] == ["c5"]
    assert settled([], 0) == []


def test_growth_is_scaled_from_the_covered_days() -> None:
    chunks = days(1, 2, 3, 4, 5, 6)
    found = growth(chunks, sizes(chunks, 1000), "t")
    assert (found.bytes_per_month, found.chunks, found.span_s) == (30_000, 6, 6 * DAY)


def test_days_without_rows_count() -> None:
    chunks = days(1, 9)
    assert growth(chunks, sizes(chunks, 1000), "t").bytes_per_month == 2000 / 9 * 30


def test_only_the_newest_month_counts() -> None:
    chunks = days(*range(1, 100))
    size = sizes(chunks, 1) | {("i", f"c{age}"): 10**9 for age in range(40, 100)}
    found = growth(chunks, size, "t")
    assert (found.bytes_per_month, found.chunks) == (30, 30)


@given(st.integers(2, 60), st.integers(1, 10**9), st.sampled_from([0.5, 1, 7]))
def test_steady_growth_does_not_depend_on_chunk_length(
    number: int, each: int, length: float
) -> None:
    chunks = days(*(n * length for n in range(number)), length=length)
    if number * length < 1:
        return
    found = growth(chunks, sizes(chunks, each), "t").bytes_per_month
    assert found == pytest.approx(each / length * 30)


@pytest.mark.parametrize("chunks", [[], days(1), days(1, 1.01, length=0.01), days(2, 2)])
def test_growth_of_too_few_chunks_is_no_data(chunks: list[Chunk]) -> None:
    with pytest.raises(NoData, match="required to judge a month"):
        growth(chunks, sizes(chunks, 1000), "t")


def test_unknown_size_of_a_chunk_is_no_data() -> None:
    with pytest.raises(NoData, match="the size of c1 is not known"):
        growth(days(1, 2, 3), sizes(days(2, 3), 1), "t")


def test_chunk_is_overdue_after_two_missed_runs() -> None:
    policy = Scheduled(job=1, every_s=DAY / 2, after_s=7 * DAY)
    overdue = [c.name for c in days(7.5, 8, 8.1) if policy.is_overdue(c)]
    assert overdue == ["c8.1"]


def test_compression_ratio_without_sizes_is_no_data() -> None:
    assert Saved(2, 2, 1000, 250).ratio == 0.75
    with pytest.raises(NoData, match="not known for any of 3 chunks"):
        _ = Saved(3, 0, 0, 0).ratio


def job(**changes: object) -> Job:
    facts: dict[str, object] = {
        "job": 7, "procedure": "a.b", "hypertable": "t", "scheduled": True, "last_run": "Success",
        "runs": 4, "failures": 1, "running": False, "unplanned": False, "late": False,
    }  # fmt: skip
    return Job(**(facts | changes))  # type: ignore[arg-type]


def test_paused_or_running_job_is_not_overdue() -> None:
    assert job(late=True).is_overdue
    assert job(unplanned=True).is_overdue
    assert not job(late=True, running=True).is_overdue
    assert not job(unplanned=True, scheduled=False).is_overdue
    assert job(last_run="Failed").has_failed
    assert str(job()) == "job 7, a.b on t (1 of 4 runs failed)"
