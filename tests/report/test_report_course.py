"""The picture of a drill: what is drawn, and that nothing a check hands over can break it."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readiness.model.course import Band, Course, Kind, Series, Track, Values
from readiness.model.measurement import Moment
from readiness.report import html
from readiness.report.drills import MOST, Picture, drills, picture
from tests.support.records import lost_requests, make_check, make_measurement, make_record


def drawn(course: Course | None, *moments: Moment) -> Picture:
    found = picture(make_measurement(course=course, timeline=moments))
    assert found
    return found


def of(kind: Kind, *values: Values, bands: tuple[Band, ...] = ()) -> Course:
    series = tuple(Series(f"s{i}", v) for i, v in enumerate(values))
    return Course(1.0, bands, (Track("x", kind, series),))


def page(course: Course, *moments: Moment) -> str:
    check = make_check(measurements=[make_measurement(course=course, timeline=moments)])
    text = "".join(html.render(make_record([check])))
    found = re.search(r'<figure class="course">.*?</figure>', text, re.DOTALL)
    assert found
    return found[0]


def test_a_sentence_says_what_is_seen() -> None:
    assert drawn(lost_requests()).said == (
        "10 s: steady, then deploy 1.5.0. answers by release: 1.4.0 (160), 1.5.0 (200); failed"
        " requests: 40; replicas that serve: 2 to 3, 3 needed (dashed)"
    )


def test_the_hand_over_the_hole_and_the_failures_stand_above_each_other() -> None:
    answers, failed, served = drawn(lost_requests()).rows
    old, new = answers.shapes
    assert old.path == "M0 0H480V46H0z"  # until 4 of 10 s
    assert new.path.startswith("M600 0h")  # from 5 s
    assert failed.shapes[0].path.startswith("M480 22V0H510V22z")
    assert (failed.bad, answers.bad) == (True, None)
    assert [(w.x, w.text) for w in answers.words] == [("20%", "1.4.0"), ("75%", "1.5.0")]
    assert [w.text for w in served.words] == ["3", "2", "3"]
    assert served.limit_y == served.top + 3


def test_no_failure_is_said_as_loudly() -> None:
    (row,) = drawn(of("misses", (0.0,) * 10)).rows
    assert (row.text, row.bad) == ("x: 0", False)
    assert "✓ x: 0" in page(of("misses", (0.0,) * 10))
    assert "✗ x: 3" in page(of("misses", (0.0, 3.0)))


def test_the_smallest_failure_can_be_seen() -> None:
    (row,) = drawn(of("misses", (1.0, 10_000.0))).rows
    assert "V17H600" in row.shapes[0].path


def test_the_first_parts_differ_in_more_than_colour() -> None:
    (row,) = drawn(of("parts", (1.0,) * 60, (1.0,) * 60)).rows
    solid, striped = (shape.path.count("M") for shape in row.shapes)
    assert solid == 1
    assert striped == 60


def test_many_releases_are_three_parts() -> None:
    (row,) = drawn(of("parts", *[(1.0, 1.0)] * 9)).rows
    assert len(row.shapes) == 3
    assert row.text == "x: s0 (2), s1 (2), 7 others (14)"


def test_a_line_is_broken_where_nothing_was_counted() -> None:
    (row,) = drawn(of("level", (None, 2.0, None, 3.0))).rows
    assert row.shapes[1].path == "M300 14H600M900 3H1200"


def test_a_band_without_room_has_no_label_and_a_long_one_has_lines() -> None:
    bands = (Band(0, 2, "begin"), Band(2, 25, "roll back to 1.4.0"), Band(25, 100, "again"))
    found = drawn(of("misses", (0.0,) * 100, bands=bands))
    assert [phase.lines for phase in found.phases] == [(), ("roll back to", "1.4.0"), ("again",)]
    assert (found.phases[1].x, found.phases[1].width) == ("2%", "23%")


def test_bands_outside_are_cut_or_left_out() -> None:
    bands = (Band(-5, 5, "a"), Band(5, 50, "b"), Band(20, 30, "c"), Band(7, 6, "d"),
             Band(math.nan, 1, "e"))  # fmt: skip
    found = drawn(of("misses", (0.0,) * 10, bands=bands))
    assert [(phase.x, phase.width) for phase in found.phases] == [("0%", "50%"), ("50%", "50%")]


def test_the_numbers_of_the_moments_are_on_the_same_axis_and_never_on_each_other() -> None:
    moments = (Moment(0, "a"), Moment(5, "b"), Moment(5, "c"), Moment(40, "after the end"))
    found = drawn(lost_requests(), *moments)
    assert [(mark.x, mark.text) for mark in found.marks] == [
        ("0%", "1"), ("50%", "2"), ("50%", "3"), ("100%", "4"),
    ]  # fmt: skip
    assert found.marks[2].y > found.marks[1].y
    assert found.axis_y > found.marks[2].y


def test_a_mark_takes_the_first_line_that_is_free() -> None:
    moments = [Moment(at_s, "x") for at_s in (4.0, 4.1, 4.5, 4.6, 9.0)]
    found = drawn(lost_requests(), *moments).marks
    rows = [(mark.y - found[0].y) // 13 for mark in found]
    assert rows == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("length_s", "ticks", "end"),
    [
        (10, ["0 s", "2 s", "4 s", "6 s", "8 s"], "10 s"),
        (24, ["0 s", "5 s", "10 s", "15 s", "20 s"], "24 s"),
        (0.5, ["0 s", "0.1 s", "0.2 s", "0.3 s", "0.4 s"], "0.5 s"),
        (900, ["0 s", "5 min", "10 min"], "15 min"),
        (1_000_000, ["0 s", "2 d", "4 d", "6 d", "8 d"], "11 d 13 h"),
    ],
)
def test_the_axis_has_round_numbers(length_s: float, ticks: list[str], end: str) -> None:
    found = drawn(Course(length_s / 100, (), of("misses", (0.0,) * 100).tracks))
    assert [tick.text for tick in found.ticks] == ticks
    assert found.end == end


@pytest.mark.parametrize(
    "course",
    [
        None,
        Course(1, (), ()),
        Course(1, (Band(0, math.inf, "x"),), ()),
        *(replace(lost_requests(), step_s=step) for step in (0, -1, math.nan, math.inf, 1e-300)),
    ],
)
def test_no_picture_of_nothing(course: Course | None) -> None:
    assert picture(make_measurement(course=course)) is None


@pytest.mark.parametrize("values", [(), (None,), (math.nan, math.inf, -1.0), (1e300,)])
@pytest.mark.parametrize("kind", ["parts", "misses", "level"])
def test_no_row_of_what_cannot_be_drawn(kind: Kind, values: Values) -> None:
    assert drawn(of(kind, values, bands=(Band(0, 1, "x"),))).rows == ()


def test_where_nothing_can_be_drawn_the_moments_still_are() -> None:
    check = make_check(
        measurements=[make_measurement(course=Course(0, (), ()), timeline=[Moment(1, "here")])]
    )
    text = "".join(html.render(make_record([check])))
    assert '<figure class="course">' not in text
    assert "here" in text


def test_thousands_of_points_and_rows_stay_small_and_what_is_left_out_is_said() -> None:
    wild = tuple(float(i * 7919 % 97) for i in range(5_000))
    track = Track("x" * 500, "parts", tuple(Series("y" * 500, wild) for _ in range(30)))
    bands = tuple(Band(i, i + 1, "z" * 500) for i in range(1000))
    text = page(Course(1.0, bands, (track,) * 50, ("w" * 5000,) * 50))
    assert len(text.encode()) < 60_000
    assert "45 more rows in readiness.json" in text


def test_a_drill_fits_into_fifteen_kilobytes() -> None:
    """The worst that a drill of three rows can be: every slot differs from the one before."""
    one = tuple(float(i * 7919 % 11) for i in range(120))
    other = tuple(11 - v for v in one)
    tracks = (
        Track("answers by release", "parts", (Series("1.4.0", one), Series("1.5.0", other))),
        Track("failed requests", "misses", (Series("failed requests", one),)),
        Track("replicas that serve", "level", (Series("replicas", other),), 3, "3 needed"),
    )
    moments = [Moment(float(i), f"requests fail: {i} x refused", False) for i in range(20)]
    course = Course(1.0, lost_requests().bands, tracks, lost_requests().better)
    assert len(page(course, *moments).encode()) < 15_000


def test_what_several_checks_show_stands_there_once_the_worst_first() -> None:
    shown = make_measurement(course=lost_requests(), name="drill: deploy and roll back")
    record = make_record(
        [
            make_check("deployment.zero-downtime", "shop", "pass", measurements=[shown]),
            make_check("deployment.rollback", "shop", "fail", measurements=[shown, shown]),
        ]
    )
    (drill,) = drills(record).values()
    assert drill.words == "shop, drill: deploy and roll back"
    assert [(told.name, told.outcome) for told in drill.checks] == [
        ("deployment.rollback[shop]", "fail"), ("deployment.zero-downtime[shop]", "pass"),
    ]  # fmt: skip
    text = "".join(html.render(record))
    assert text.count('<figure class="course">') == 1
    failure = text[text.index('<h2 id="fail"') : text.index('<h2 id="areas"')]
    assert failure.count('id="drill-1"') == 1


def test_a_second_failure_links_to_the_chart_of_the_first() -> None:
    shown = make_measurement(course=lost_requests(), name="drill: deploy and roll back")
    names = ("deployment.zero-downtime", "deployment.rollback")
    record = make_record(make_check(name, "shop", "fail", measurements=[shown]) for name in names)
    text = "".join(html.render(record))
    assert text.count('<figure class="course">') == 1
    assert text.count('<a href="#drill-1">Chart of this drill') == 1


def test_the_chart_of_a_drill_that_passed_is_in_the_annex() -> None:
    record = make_record([make_check(measurements=[make_measurement(course=lost_requests())])])
    text = "".join(html.render(record))
    assert '<figure class="course">' in text[text.index('id="annex"') :]
    short = "".join(html.render(record, evidence="findings"))
    assert '<figure class="course">' not in short


def test_without_a_drill_there_is_no_section_of_them() -> None:
    assert 'id="drill-1"' not in "".join(html.render(make_record()))


def test_too_many_drills_are_told_in_words() -> None:
    checks = [
        make_check(subject=f"s{n}", measurements=[make_measurement(
            course=replace(lost_requests(), step_s=n + 1), timeline=[Moment(1, "here")])])
        for n in range(MOST + 2)
    ]  # fmt: skip
    text = "".join(html.render(make_record(checks)))
    assert text.count('<figure class="course">') == MOST
    assert text.count("</b> here") == MOST + 2


_number = st.none() | st.floats() | st.integers(-5, 10**18)
_values = st.builds(
    lambda values, times: tuple(values) * times, st.lists(_number, max_size=6), st.integers(1, 50)
)
_tracks = st.tuples(
    st.sampled_from(["parts", "misses", "level"]), st.lists(_values, max_size=5), _number
)


@given(
    st.just(1.0) | st.floats(),
    st.lists(st.tuples(st.floats(), st.floats(), st.text(max_size=30)), max_size=3),
    st.lists(_tracks, max_size=4),
)
def test_nothing_that_a_check_hands_over_breaks_it(
    step_s: float,
    bands: list[tuple[float, float, str]],
    tracks: list[tuple[Kind, list[Values], float | None]],
) -> None:
    course = Course(
        step_s,
        tuple(Band(*band) for band in bands),
        tuple(
            Track("t", kind, tuple(Series("s", v) for v in series), limit)
            for kind, series, limit in tracks
        ),
    )
    found = picture(make_measurement(course=course))
    for row in found.rows if found else ():
        for shape in row.shapes:
            numbers = [int(n) for n in re.findall(r"-?\d+", shape.path)]
            assert all(-1200 <= n <= 1200 for n in numbers), shape
            assert re.fullmatch(r"[MHVhz\d -]*", shape.path)
