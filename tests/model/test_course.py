"""What a measurement carries of the course of a drill."""

import json
import math
from pathlib import Path

import pytest

from readiness.model.course import (
    MOST_SLOTS,
    Band,
    Course,
    Kind,
    Series,
    Track,
    Values,
    encoded,
    folded,
)
from readiness.model.evidence import encode_measurement
from readiness.model.record import load
from readiness.model.secrets import Secret
from readiness.report import write_all
from tests.support.records import lost_requests, make_check, make_measurement, make_record


def of(kind: Kind, values: Values, step_s: float = 1.0) -> Course:
    return Course(step_s, (), (Track("x", kind, (Series("x", values),)),))


def values(course: Course) -> Values:
    return course.tracks[0].series[0].values


def test_few_slots_stay_as_they_are() -> None:
    course = of("misses", (1.0,) * MOST_SLOTS)
    assert folded(course) is course


@pytest.mark.parametrize("kind", ["parts", "misses"])
def test_of_many_slots_nothing_is_cut_off(kind: Kind) -> None:
    many = [0.0] * 10_000
    many[-1] = 1.0
    found = folded(of(kind, tuple(many)))
    assert len(values(found)) <= MOST_SLOTS
    assert sum(v or 0 for v in values(found)) == 1
    assert found.step_s * len(values(found)) == pytest.approx(10_000, rel=0.02)


def test_a_dip_of_a_level_does_not_vanish() -> None:
    found = folded(of("level", (*[3.0] * 500, 2.0, *[3.0] * 500)))
    assert min(v for v in values(found) if v is not None) == 2


def test_what_was_not_measured_stays_so() -> None:
    found = folded(of("level", (*[None] * 600, *[3.0] * 400, math.nan)))
    assert values(found)[0] is None
    assert values(found)[-1] is None or values(found)[-1] == 3


def test_the_json_has_no_word_that_json_has_not() -> None:
    course = of("parts", (math.nan, math.inf, -1.0, 2.5, 3.0, None, 1e300))
    text = json.dumps(encoded(course), allow_nan=False)
    assert '"values": [null, null, -1, 2.5, 3, null, 1e+300]' in text


@pytest.mark.parametrize("step_s", [math.nan, math.inf])
def test_without_a_time_there_is_no_course_and_still_a_measurement(step_s: float) -> None:
    measurement = make_measurement(course=of("misses", (1.0,), step_s))
    assert "course" not in encode_measurement(measurement)


def test_bands_without_a_time_and_rows_of_no_kind_are_left_out() -> None:
    course = Course(1, (Band(math.nan, 1, "x"), Band(0, 1, "y")), (Track("z", "odd", ()),))  # type: ignore[arg-type]
    found = encoded(course)
    assert found
    assert found["bands"] == [{"begin_s": 0.0, "end_s": 1.0, "label": "y"}]
    assert found["tracks"] == []


def test_no_text_of_it_shows_a_secret() -> None:
    hidden = Secret("course-c4nary").reveal()
    course = Course(
        1.0, (Band(0, 1, hidden),), (Track(hidden, "level", (Series(hidden, (1,)),), 1, hidden),),
        (hidden,),
    )  # fmt: skip
    assert hidden not in json.dumps(encode_measurement(make_measurement(course=course)))


def test_the_record_keeps_it(tmp_path: Path) -> None:
    check = make_check(measurements=[make_measurement(course=lost_requests())])
    write_all(make_record([check]), tmp_path, environ={})
    record = load(tmp_path / "readiness.json")
    assert record.checks[0].measurements[0].course == lost_requests()
