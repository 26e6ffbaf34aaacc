"""What an expression selects, at which values it fires, and which labels it can have."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readiness.areas.alerting.promql import (
    bounds,
    parse,
    possible_labels,
    ranges,
    referenced_labels,
    selectors,
)
from readiness.areas.alerting.promql.selectors import Match
from readiness.areas.alerting.promql.tree import number
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
def test_a_selector_is_written_so_that_it_selects_the_same(expression: str, text: str) -> None:
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
def test_what_may_rightly_be_empty_is_told_apart(expression: str, reasons: list[str]) -> None:
    found = selectors(expression, ["early"])

    assert [selector.may_be_empty for selector in found] == reasons


def test_of_two_names_for_the_same_thing_one_is_enough() -> None:
    old, new = selectors("(old_name or new_name) > 1")

    assert old.either == new.either != ""


def test_ranges_are_those_of_scraped_series() -> None:
    found = ranges("max_over_time(rate(x[1m])[1h:30s]) > 1 and increase(y[2h]) > 3")

    assert [(r.selector.text, r.seconds) for r in found] == [("x", 60), ("y", 7200)]


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
def test_the_bounds_of_an_expression(expression: str, expected: list[str]) -> None:
    assert [str(bound) for bound in bounds(expression)] == expected


def test_a_bound_says_what_it_compares_and_on_which_side() -> None:
    (bound,) = bounds("0.75 < 1 - a / b")

    assert bound.number_on_left
    assert bound.direction == "above"
    assert bound.subject == "1 - a / b"
    assert not bound.joined
    assert [b.joined for b in bounds("x > 3 and y == 1")] == ["and", "and"]


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

    assert referenced_labels(text) == {"instance", "node", "a.b"}


@pytest.mark.parametrize("expression", ["sum(", "x{", "", "rate(x[2*5m])", "x\x1b[31m("])
def test_what_cannot_be_read_is_named(expression: str) -> None:
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
def test_a_matcher_survives_being_written(metric: str, label: str, value: str) -> None:
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
