"""What an expression selects, at which values it fires, and the series that bring it there."""

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readiness.areas.alerting.bounds import Key, Line, Undrivable, bounds, converted, drive, key_for
from readiness.areas.alerting.probes.rule_trial import Trial, job_trial_files, trial_files, values
from readiness.areas.alerting.promql import (
    Match,
    number,
    parse,
    possible_labels,
    referenced_labels,
    selectors,
    sources,
)
from readiness.model.errors import NoData


def test_every_selector_is_found_with_its_matchers_range_and_offset() -> None:
    expression = (
        'sum by (job) (rate(errors_total{job="a",status=~"5..",route!="/x"}[5m] offset 1m))'
        " / on (job) group_left (team) sum by (job) (requests:rate5m) > 0.05"
    )

    first, second = selectors(expression)

    assert first.text == 'errors_total{job="a",status=~"5..",route!="/x"}'
    assert (first.metric, first.range_s, first.offset_s) == ("errors_total", 300, 60)
    assert (second.text, second.range_s, second.may_be_empty) == ("requests:rate5m", 0, "")
    assert first.equal("job") == "a"
    assert first.equal("status") == ""


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("x", "x"),
        ("x{}", "x"),
        ('{__name__="x",a="1"}', 'x{a="1"}'),
        ('{__name__=~"a|b"}', '{__name__=~"a|b"}'),
        ('{"my.metric",a="1"}', '{__name__="my.metric",a="1"}'),
        ('x{a="b" or a="c"}', 'x{a="b" or a="c"}'),
        (r'x{a="say \"hi\"\n"}', r'x{a="say \"hi\"\n"}'),
        ("x @ 5 offset -2m", "x"),
    ],
)
def test_written_selector_selects_the_same(expression: str, text: str) -> None:
    (found,) = selectors(expression)

    assert found.text == text
    assert selectors(found.text)[0].matches == found.matches


@pytest.mark.parametrize(
    ("expression", "reasons"),
    [
        ("absent(x)", ["absent() asks for that"]),
        ("absent_over_time(x[5m])", ["absent_over_time() asks for that"]),
        ("x unless y", ["", "right of `unless`"]),
        ("(x > 1 unless on () y) and z", ["", "right of `unless`", ""]),
        ("sum(x) or vector(0)", ["the other side of `or` is always there"]),
        ("x > 1 or y > 2", ["", ""]),
        ("x == 0 or absent(x)", ["", "absent() asks for that"]),
        ("sum(early) / sum(x)", ["[alerting] no_series_yet", ""]),
    ],
)
def test_selectors_that_may_be_empty_have_a_reason(expression: str, reasons: list[str]) -> None:
    found = selectors(expression, ["early"])

    assert [selector.may_be_empty for selector in found] == reasons


def test_one_side_of_or_is_enough() -> None:
    old, new = selectors("(old_name or new_name) > 1")

    assert old.either == new.either != ""


def test_a_range_of_a_subquery_is_not_one_of_a_selector() -> None:
    found = selectors("max_over_time(rate(x[1m])[1h:30s]) > 1 and increase(y[2h]) > 3")

    assert [(s.text, s.range_s) for s in found] == [("x", 60), ("y", 7200)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("x > 3", ["> 3"]),
        ("x > 3 * 1000", ["> 3000"]),
        ("0.75 < x", ["> 0.75"]),
        ("3 >= x", ["<= 3"]),
        ("x > bool 3", ["> bool 3"]),
        ("x > 3 < 10", ["> 3", "< 10"]),
        ("x > 3 and on () y == 1", ["> 3", "== 1"]),
        ("x > 3 or (y < 2)", ["> 3", "< 2"]),
        ("x > 3 unless y > 9", ["> 3"]),
        ("x > y", []),
        ("vector(1)", []),
        ("absent(x)", []),
        ("count(x > 3) > 2", ["> 2"]),
        ("x > -(1 + 2)", ["> -3"]),
        ("x > 1h", ["> 3600"]),
        ("x > vector(2)", ["> 2"]),
        ("1 > bool 2", []),
    ],
)
def test_bounds_of_an_expression(expression: str, expected: list[str]) -> None:
    assert [str(bound) for bound in bounds(expression)] == expected


def test_a_bound_says_what_it_compares_and_on_which_side() -> None:
    (bound,) = bounds("0.75 < 1 - a / b")

    assert bound.direction == "above"
    assert bound.subject == "1 - a / b"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("sum(x) > 1", set()),
        ("sum by (job, instance) (x) > 1", {"job", "instance"}),
        ("vector(1)", set()),
        ('absent(up{job="a",instance=~"b"})', {"job"}),
        ("sum by (a) (x) / on (a) sum by (a) (y) > 1", {"a"}),
        ("topk(3, sum by (a) (x))", {"a"}),
        ("sum by (a) (x) or sum by (b) (y)", {"a", "b"}),
        ("sum without (a) (x)", None),
        ("x > 1", None),
        ("x * on (a) group_left (b) y", None),
        ("label_replace(sum(x), 'a', '$1', 'b', '(.*)')", None),
        ("rate(x[5m]) > 1", None),
        ("histogram_quantile(0.9, sum by (le, a) (rate(x[5m])))", {"le", "a"}),
    ],
)
def test_the_labels_that_a_result_can_have(expression: str, expected: set[str] | None) -> None:
    assert possible_labels(expression) == expected


def test_the_labels_that_a_text_writes_out() -> None:
    text = '{{ $labels.instance }} on {{ .Labels.node }} {{ index $labels "a.b" }} {{ $value }}'

    guarded = (
        "{{ if $labels.team }}of {{ $labels.team }}{{ end }}{{ with $labels.x }}{{ . }}{{ end }}"
    )

    assert referenced_labels(text + guarded) == {"instance", "node", "a.b"}


@pytest.mark.parametrize("expression", ["sum(", "x{", "", "rate(x[2*5m])", "x\x1b[31m("])
def test_unreadable_expression_is_an_error(expression: str) -> None:
    with pytest.raises(NoData, match="cannot be read") as caught:
        selectors(expression)

    assert "\x1b" not in str(caught.value)


def test_a_function_of_prometheus_2_is_known() -> None:
    assert selectors("holt_winters(x[5m], 0.5, 0.5)")[0].range_s == 300


_NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)
_NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda n: n not in {"and", "or", "unless", "inf", "nan", "by", "on", "bool", "offset",
                        "ignoring", "group_left", "group_right", "without", "sum", "min", "max",
                        "avg", "count", "group", "topk", "bottomk", "quantile", "atan2", "start",
                        "end", "limitk", "step", "range", "fill", "fill_left", "fill_right",
                        "anchored", "smoothed", "stddev", "stdvar"}
)  # fmt: skip
_VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)


@given(_NAMES, st.sampled_from([">", "<", ">=", "<=", "==", "!="]), _NUMBERS)
def test_a_bound_reads_the_same_from_both_sides(name: str, op: str, value: float) -> None:
    mirrored = {">": "<", "<": ">", ">=": "<=", "<=": ">="}.get(op, op)

    (right,) = bounds(f"{name} {op} {value!r}")
    (left,) = bounds(f"{value!r} {mirrored} {name}")

    assert (right.op, right.value, right.subject) == (left.op, left.value, left.subject)
    assert right.value == value


@given(_NAMES, _NAMES, _VALUES)
def test_written_label_matcher_is_parsed_again(metric: str, label: str, value: str) -> None:
    (found,) = selectors(f"{metric}{{{Match(label, '=', value)}}}" if value else metric)

    if value:
        assert found.equal(label) == value
    assert selectors(found.text)[0] == found


@given(st.recursive(_NUMBERS.map(repr), lambda inner: st.tuples(inner, inner).map(
    lambda pair: f"({pair[0]} + -({pair[1]}))")))  # fmt: skip
def test_numbers_are_calculated_as_python_does(text: str) -> None:
    found = number(parse(text))

    assert found is not None
    assert math.isclose(found, eval(text), rel_tol=1e-9, abs_tol=1e-9)  # noqa: S307 - our own text


def driven(expression: str, value: float) -> dict[str, Line]:
    inputs = drive(expression, bounds(expression)[0], value)
    return {str(key): line for key, line in inputs.items()}


def test_a_selector_gets_a_series_with_the_labels_that_all_scraped_ones_have() -> None:
    assert driven('x{a="b"} > 3', 4) == {'x{a="b",instance="readiness",job="readiness"}': Line(4.0)}


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
def test_single_series_is_solved_for_the_value(expression: str, value: float, line: Line) -> None:
    assert list(driven(expression, value).values()) == [line]


def test_further_conditions_are_made_to_hold() -> None:
    found = driven("x > 3 and on (instance) up == 1 unless on () maintenance > 0", 4)

    assert sorted(line.start for line in found.values()) == [1, 4]
    assert not any("maintenance" in series for series in found)


def test_repeated_selector_gets_one_series() -> None:
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
def test_unsupported_expression_is_an_error(expression: str) -> None:
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


def test_values_lie_next_to_the_bound() -> None:
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


def test_series_of_a_lost_job_end() -> None:
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


def test_units_of_different_kinds_cannot_be_converted() -> None:
    with pytest.raises(NoData, match="ms cannot be converted to ratio"):
        converted(1, "ms", "ratio")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("query_seconds > 3", "query_seconds"),
        ("3 < query_seconds", "query_seconds"),
        ("(up == 0) and on (instance) (uptime > 60)", "up"),
        ("errors / requests > 0.05", "errors / requests"),
        ("rate(errors[5m]) > 0 or vector(0) > 1", "(rate(errors[5m])) or (vector(1))"),
        ("sum by (job) (up == 0) > 2", "group by (job) (up)"),
        ("count without (pod) (up == 0)", "group without (pod) (up)"),
        ("topk(3, load > 1)", "load"),
        ("used > on (disk) limit", "group by (disk) (used)"),
        ("used > ignoring (mode) limit", "group without (mode) (used)"),
        ("used > on (disk) group_left (team) limit", "used"),
        ("absent(up)", "vector(1)"),
        (
            'absent(up{job="shop", env=~"a.*"})',
            'label_replace(vector(1), "job", "shop", "", "")',
        ),
        ("vector(1)", "vector(1)"),
        ("increase(errors[1h]) > bool 1", "increase(errors[1h])"),
    ],
)
def test_sources_have_the_labels_of_every_alert(expression: str, expected: str) -> None:
    assert sources(expression) == expected
    parse(expected)
