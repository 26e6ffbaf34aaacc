"""Series that bring an expression to a value: as promtool would make them (test_promtool.py)."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readiness.areas.alerting.promql import bounds, selectors
from readiness.areas.alerting.promql.bounds import converted
from readiness.areas.alerting.promql.drive import Key, Line, Undrivable, drive, key_for
from readiness.areas.alerting.promql.trial import Trial, job_trial_files, trial_files, values
from readiness.model.errors import NoData


def driven(expression: str, value: float) -> dict[str, Line]:
    inputs = drive(expression, bounds(expression)[0], value)
    return {str(key): line for key, line in inputs.items()}


def test_a_selector_gets_a_series_with_the_labels_that_all_scraped_ones_have() -> None:
    assert driven('x{a="b"} > 3', 4) == {
        'x{a="b",instance="readiness",job="readiness"}': Line(4.0),
    }


def test_a_share_of_all_is_made_of_two_series_that_add_up() -> None:
    found = driven('sum(rate(x{status=~"5.."}[1m])) / sum(rate(x[1m])) > 0.05', 0.25)

    assert sorted(line.slope for line in found.values()) == [32, 96]
    assert all(line.accumulates for line in found.values())


@pytest.mark.parametrize(
    ("expression", "value", "line"),
    [
        ("increase(x[1h]) > 10", 36, Line(0, 0.01, accumulates=True)),
        ("rate(x[1m]) > 1", 2, Line(0, 2.0, accumulates=True)),
        ("time() - x > 60", 70, Line(-70, 1.0)),
        ("x - time() < 60", 50, Line(50, 1.0)),
        ("x / 1000 > 3", 4, Line(4000.0)),
        ("100 * x > 3", 4, Line(0.04)),
        ("-x < -3", -4, Line(4.0)),
        ("8 / x > 2", 4, Line(2.0)),
        ("max(avg_over_time(x[5m])) > 3", 4, Line(4.0)),
        ("predict_linear(x[1h], 3600) < 0", -1, Line(-1.0)),
    ],
)
def test_what_a_single_series_must_be(expression: str, value: float, line: Line) -> None:
    assert list(driven(expression, value).values()) == [line]


def test_further_conditions_are_made_to_hold() -> None:
    found = driven("x > 3 and on (instance) up == 1 unless on () maintenance > 0", 4)

    assert sorted(line.start for line in found.values()) == [1, 4]
    assert not any("maintenance" in series for series in found)


def test_what_comes_twice_is_given_once() -> None:
    found = driven("(total - free) / total > 0.75", 0.75)

    assert sorted(line.start for line in found.values()) == [32, 128]


@pytest.mark.parametrize(
    "expression",
    [
        "x / x > 3",
        "count(x) > 3",
        "sum_over_time(x[5m]) > 3",
        'x{a=~"(b"} > 3',
        '{__name__=~"x|y"} > 3',
        "x > bool 3 > 4",
        "sqrt(x) > 3",
    ],
)
def test_what_cannot_be_solved_is_said_and_not_guessed(expression: str) -> None:
    with pytest.raises(NoData):
        driven(expression, 4)


@given(
    st.sampled_from(
        ["GET|POST", "/api/.*", "5..", "[a-z]+-[0-9]+", "(?:a|b)", "node-\\d+", "", "a.c", ".+"]
    ),
    st.sampled_from(["", "200", "GET"]),
)
def test_a_made_up_series_is_one_that_the_selector_matches(pattern: str, never: str) -> None:
    (selector,) = selectors(f'x{{a=~"{pattern}",a!="{never}"}}'.replace("\\", "\\\\"))
    try:
        key = key_for(selector, {"job": "j"})
    except Undrivable:
        return

    assert key.matches(selector)
    if pattern and never != "":
        assert re.fullmatch(pattern, dict(key.labels).get("a", ""))


def test_the_values_lie_right_beside_the_bound() -> None:
    assert values("above", 3) == values("above", 3.0)
    above, below = values("above", 100), values("below", 100)
    assert (above.fires, above.quiet) == (102, 98)
    assert (below.fires, below.quiet) == (98, 102)
    assert (values("above", 0).fires, values("above", 0).quiet) == (1, 0)
    assert values("above", 0.995).fires < 1
    assert (values("equals", 0).fires, values("equals", 0).quiet) == (0, 1)


def read(files: dict[str, str], name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files[name])
    return found


def test_the_test_files_hold_the_rule_and_values_in_promtools_notation() -> None:
    expression = "max(x) > 3"
    trial = Trial("Slow", expression, 10, 5, bounds(expression)[0])

    files = trial_files(trial, values("above", 3))

    (rule,) = read(files, "rules.yml")["groups"][0]["rules"]
    assert rule == {"alert": "Slow", "expr": expression, "for": "10000ms"}
    (test,) = read(files, "recovers.yml")["tests"]
    assert test["input_series"][0]["values"] == "3.06+0x6 2.94+0x3"
    assert test["promql_expr_test"][0]["eval_time"] == "50000ms"
    assert {name for name in files if name.endswith(".yml")} == {
        "rules.yml", "control.yml", "recovers.yml",
        *(f"{what}-{case}.yml" for what in ("drive", "fires") for case in ("bad", "good", "exact")),
    }  # fmt: skip


def test_a_lost_job_loses_what_it_exports_too() -> None:
    rule = {"alert": "A", "expr": 'y{job="a"} > 3', "for_s": 0.0, "labels": {}}
    own = {"job": "a", "instance": "1"}

    files = job_trial_files([rule], "a", [own], [{"job": "b", "instance": "2"}])

    series = {
        name: {s["series"]: s["values"] for s in read(files, name)["tests"][0]["input_series"]}
        for name in ("down.yml", "gone.yml")
    }
    up, other = 'up{instance="1",job="a"}', 'up{instance="2",job="b"}'
    assert series["down.yml"][up].split()[1].startswith("0.0+0x")
    assert series["gone.yml"][up].endswith(" stale")
    assert series["down.yml"][other] == series["gone.yml"][other] != series["down.yml"][up]
    assert series["down.yml"]['y{instance="1",job="a"}'].endswith(" stale")


def test_a_key_is_written_as_prometheus_reads_it() -> None:
    assert str(Key("x", (("a", 'q"\\'),))) == 'x{a="q\\"\\\\"}'


@pytest.mark.parametrize(
    ("value", "unit", "wanted", "expected"),
    [(3000, "ms", "s", 3), (75, "percent", "ratio", 0.75), (5, "percent", "ratio", 0.05),
     (2, "min", "s", 120), (1.5, "GB", "bytes", 1.5e9),
     (10, "1/h", "1/h", 10), (1, "h", "min", 60)],
)  # fmt: skip
def test_units_are_converted_exactly(value: float, unit: str, wanted: str, expected: float) -> None:
    assert converted(value, unit, wanted) == expected


def test_units_of_different_things_are_no_figures_to_compare() -> None:
    with pytest.raises(NoData, match="ms cannot be converted to ratio"):
        converted(1, "ms", "ratio")
