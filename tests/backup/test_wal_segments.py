"""WAL file names: what follows what, and what is missing."""

import pytest

from readiness.areas.backup.wal_segments import SEGMENT_BYTES, Segment, continuity, parse

MB_64 = 64 * 1024 * 1024


def names(timeline: int, *numbers: int, size: int = SEGMENT_BYTES) -> list[str]:
    return [Segment(timeline, number).name(size) for number in numbers]


@pytest.mark.parametrize("size", [1024 * 1024, SEGMENT_BYTES, MB_64, 1024 * 1024 * 1024])
@pytest.mark.parametrize("number", [0, 1, 255, 256, 1_000_003])
def test_a_name_stands_for_a_segment_and_back(size: int, number: int) -> None:
    assert parse(Segment(3, number).name(size), size) == Segment(3, number)


def test_names_carry_into_the_next_file_of_four_gigabytes() -> None:
    assert Segment(1, 255).name() == "0000000100000000000000FF"
    assert Segment(1, 256).name() == "000000010000000100000000"


@pytest.mark.parametrize(
    "name", ["00000002.history", "archive.info", "0000000100000000000000ff", ""]
)
def test_what_is_no_segment_is_none(name: str) -> None:
    assert parse(name) is None


def test_a_whole_archive_lacks_nothing() -> None:
    found = continuity(names(1, *range(250, 260)), names(1, 252)[0])
    assert (found.missing, found.there) == ((), 8)
    assert found.last == names(1, 259)[0]


def test_what_is_missing_is_named() -> None:
    there = [n for n in names(1, *range(250, 260)) if n not in names(1, 255, 257)]
    assert continuity(there, names(1, 250)[0]).missing == tuple(names(1, 255, 257))


def test_the_first_one_that_is_needed_must_be_there() -> None:
    assert continuity(names(1, 5, 6), names(1, 4)[0]).missing == tuple(names(1, 4))
    nothing = continuity(names(1, 1, 2), names(1, 4)[0])
    assert (nothing.missing, nothing.last, nothing.there) == (tuple(names(1, 4)), None, 0)


def test_what_is_older_than_needed_may_be_gone() -> None:
    assert continuity(names(1, 1, 3, 4, 5), names(1, 3)[0]).missing == ()


def test_a_timeline_begins_where_the_one_before_it_was_left() -> None:
    promoted = [*names(1, 3, 4, 5), *names(2, 5, 6, 7)]
    assert continuity(promoted, names(1, 3)[0]).missing == ()
    assert continuity(promoted, names(1, 3)[0]).last == names(2, 7)[0]


def test_what_an_abandoned_timeline_went_on_with_fills_no_gap() -> None:
    abandoned = [*names(1, *range(3, 12)), *names(2, 5, 6, 8)]
    assert continuity(abandoned, names(1, 3)[0]).missing == tuple(names(2, 7))


def test_the_size_of_the_servers_files_counts() -> None:
    there = names(1, 63, 64, 65, size=MB_64)
    assert continuity(there, there[0], MB_64).missing == ()
    assert continuity(there, there[0]).missing


def test_a_first_that_is_no_segment_is_refused() -> None:
    with pytest.raises(ValueError, match="not the name of a WAL file"):
        continuity([], "00000002.history")
