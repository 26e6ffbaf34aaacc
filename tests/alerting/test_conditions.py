"""Matchers in both syntaxes, Go's regular expressions, and time intervals to the minute."""

import re
import string
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from readiness.areas.alerting.conditions import (
    GoRegex,
    Matcher,
    Op,
    TimeInterval,
    all_match,
    common,
    merged,
    muted,
    parse_classic,
    parse_matchers,
    parse_utf8,
    rest,
)
from readiness.model.errors import NoData


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('severity="critical"', [Matcher("severity", "=", "critical")]),
        ("severity = critical", [Matcher("severity", "=", "critical")]),
        ('{a="b", c!~"d|e",}', [Matcher("a", "=", "b"), Matcher("c", "!~", "d|e")]),
        ('a!="",b=~x', [Matcher("a", "!=", ""), Matcher("b", "=~", "x")]),
        ('a="b,c"', [Matcher("a", "=", "b,c")]),
        ("", []),
        ("{}", []),
        (r'a="say \"hi\" \\ \n"', [Matcher("a", "=", 'say "hi" \\ \n')]),
    ],
)
def test_both_syntaxes_agree_on_common_matchers(text: str, expected: list[Matcher]) -> None:
    assert list(parse_classic(text)) == expected
    assert list(parse_utf8(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=~'b'", Matcher("a", "=~", "'b'")),
        (r'a=~"\d+"', Matcher("a", "=~", r"\d+")),
        ("a=", Matcher("a", "=", "")),
        ("a=b c", Matcher("a", "=", "b c")),
        ("a=~(b)", Matcher("a", "=~", "(b)")),
        ("a=b=c", Matcher("a", "=", "b=c")),
    ],
)
def test_classic_syntax_accepts_unquoted_values(text: str, expected: Matcher) -> None:
    assert parse_matchers(text) == (expected,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"a b"="c"', Matcher("a b", "=", "c")),
        ("größe=1", Matcher("größe", "=", "1")),
        (r'"a\"b"=~"\u00e4\x41\101"', Matcher('a"b', "=~", "äAA")),
    ],
)
def test_utf8_names_need_the_new_syntax(text: str, expected: Matcher) -> None:
    with pytest.raises(NoData):
        parse_classic(text)
    assert parse_matchers(text) == (expected,)


@pytest.mark.parametrize(
    "text", ["severity", "=x", 'a="b', 'a=b"c', 'a="b"c"', "a==b==", "{a=b", "a=b}}", ",", "a b=c"]
)
def test_new_syntax_refuses_invalid_matchers(text: str) -> None:
    with pytest.raises(NoData, match="cannot read the matcher"):
        parse_utf8(text)


@pytest.mark.parametrize("text", ["a", "=x", 'a="b', 'a=b"c', 'a="b"c"', r'a="b\"', "1a=b"])
def test_classic_syntax_refuses_invalid_matchers(text: str) -> None:
    with pytest.raises(NoData, match="cannot read the matcher"):
        parse_classic(text)


@given(
    st.text(string.ascii_letters + "_", min_size=1),
    st.sampled_from(["=", "!="]),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_written_matcher_is_parsed_again(name: str, op: Op, value: str) -> None:
    matcher = Matcher(name, op, value)

    assert parse_utf8(str(matcher)) == parse_classic(str(matcher)) == (matcher,)


def test_missing_label_is_empty() -> None:
    assert Matcher("a", "=", "").matches({})
    assert Matcher("a", "!=", "x").matches({})
    assert Matcher("a", "=~", ".*").matches({})
    assert not Matcher("a", "=~", ".+").matches({})
    assert Matcher("a", "!~", "x").matches({})
    assert all_match([], {})


@pytest.mark.parametrize(
    ("regex", "matching", "other"),
    [
        ("crit", ["crit"], ["critical", "crit\n", ""]),
        ("a|b", ["a", "b"], ["ab", ""]),
        ("a.c", ["abc"], ["a\nc"]),
        (r"\d+", ["12"], ["١٢", "x"]),
        (r"[[:alpha:]_]+x", ["abx", "_x"], ["1x"]),
        (r"\Qa.b\E+", ["a.b", "a.bb"], ["axb"]),
        (r"a{2,}b{,2}", ["aab{,2}"], ["aabb"]),
        ("(?i)CRIT", ["crit", "CrIt"], ["cri"]),
        ("a(?i)b|c", ["aB", "C", "ab"], ["AB"]),
        ("x(?:(?i)y|z)w", ["xYw", "xZw"], ["xyW"]),
        ("(?P<n>a)(?P<m>b)", ["ab"], ["a"]),
        ("[]a]+", ["]a"], ["b"]),
        ("[a&&b-]+", ["a&-"], ["c"]),
        (r"[^\s]+", ["a\v"], ["a b"]),
        ("(?U)a+", ["aaa"], ["b"]),
        (r"\x{41}\x42\103", ["ABC"], ["abc"]),
        ("[a-c-]", ["-", "b"], ["d"]),
        ("(?s).", ["\n"], [""]),
        (r"a\z", ["a"], ["a\n"]),
        (r"\pL+", ["aä"], ["1"]),
        (r"\p{Greek}", ["λ"], ["l"]),
        ("[[:^alpha:]]", ["1"], ["a"]),
        ("(?i)k", ["k", "K", "\N{KELVIN SIGN}"], ["c"]),
        ("(?i)straße", ["STRAßE", "STRA\N{LATIN CAPITAL LETTER SHARP S}E"], ["STRASSE"]),
        ("a)|(b", ["a", "ax", "xb"], ["x"]),
    ],
)
def test_go_expression_matches_as_in_go(regex: str, matching: list[str], other: list[str]) -> None:
    for text in matching:
        assert GoRegex(regex).matches(text), text
    for text in other:
        assert not GoRegex(regex).matches(text), text


@pytest.mark.parametrize(
    ("regex", "why"),
    [
        ("(?=a)", r"invalid perl operator: (?="),
        (r"\1", r"invalid escape sequence: \1"),
        (r"\p{Elvish}", r"invalid character class range: \p{Elvish}"),
        ("(", "missing ): ^(?:()$"),
        ("a)", "unexpected ): ^(?:a))$"),
        ("[", "missing ]: [)$"),
        ("a**", "bad repetition operator: **"),
        ("a*+", "bad repetition operator: *+"),
        ("a{1001}", "invalid repetition size: {1001}"),
        ("\ud800", "it is not UTF-8"),
    ],
)
def test_invalid_expression_is_refused(
    capfd: pytest.CaptureFixture[str], regex: str, why: str
) -> None:
    with pytest.raises(NoData, match="cannot be evaluated") as caught:
        GoRegex(regex)
    assert why in str(caught.value)
    assert "amtool check-config" in caught.value.remedy
    assert capfd.readouterr().err == ""


def test_a_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(NoData, match="is not UTF-8"):
        GoRegex(".*").matches("\ud800")


def test_nested_repetition_is_matched_in_linear_time() -> None:
    # Some 2 ** 5000 steps where it is matched by going back.
    assert not GoRegex("(a+)+b").matches("a" * 5000)


def test_alternative_of_20000_names_is_accepted() -> None:
    regex = GoRegex("|".join(f"some-service-name-{number}" for number in range(20_000)))

    assert regex.matches("some-service-name-19999")
    assert not regex.matches("some-service-name-20000")


@given(
    st.lists(st.sampled_from("ab|.*+?()[]^-c"), max_size=8).map("".join), st.text("abc", max_size=4)
)
def test_plain_expressions_match_as_in_python(regex: str, text: str) -> None:
    # Python's possessive repetition, which Go refuses.
    assume(not re.search(r"[*+?]\+", regex))
    try:
        expected = re.compile(f"^(?:{regex})\\Z").search(text) is not None
    except (re.error, FutureWarning):
        return
    assert GoRegex(regex).matches(text) is expected


MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def interval(**written: Any) -> TimeInterval:
    return TimeInterval.parse(written)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "inside", "outside"),
    [
        # The examples of Alertmanager's documentation.
        ({"times": [{"start_time": "06:00", "end_time": "17:00"}]},
         ["2026-03-02T06:00", "2026-03-02T16:59"], ["2026-03-02T05:59", "2026-03-02T17:00"]),
        ({"weekdays": ["monday:wednesday", "saturday", "sunday"]},
         ["2026-03-02", "2026-03-04", "2026-03-07", "2026-03-08"], ["2026-03-05", "2026-03-06"]),
        ({"days_of_month": ["1:5", "-3:-1"]},
         ["2026-03-01", "2026-03-05T23:59", "2026-03-29", "2026-02-26"],
         ["2026-03-06", "2026-03-28T23:59", "2026-02-25"]),
        ({"months": ["1:3", "may:august", "December"]},
         ["2026-01-01", "2026-03-31", "2026-05-01", "2026-12-31"], ["2026-04-01", "2026-11-30"]),
        ({"years": ["2020:2022", "2030"]}, ["2022-12-31", "2030-06-01"], ["2023-01-01"]),
        ({"times": [{"start_time": "09:00", "end_time": "17:00"}], "weekdays": ["monday:friday"]},
         ["2026-03-02T09:00"], ["2026-03-07T09:00", "2026-03-02T17:00"]),
        # A day that the month does not have is none; an end beyond it is its last day.
        ({"days_of_month": ["31"]}, ["2026-03-31"], ["2026-02-28", "2026-04-30"]),
        ({"days_of_month": ["28:31"]}, ["2026-02-28"], ["2026-02-27"]),
        ({"days_of_month": ["-31:-31"]}, ["2026-03-01"], ["2026-04-01", "2026-03-02"]),
        ({"location": "Australia/Sydney", "weekdays": ["sunday"]},
         ["2026-02-28T13:00"], ["2026-02-28T12:59", "2026-03-01T13:00"]),
    ],
)  # fmt: skip
def test_interval_contains_exactly_these_times(
    written: dict[str, Any], inside: list[str], outside: list[str]
) -> None:
    found = interval(**written)
    assert [text for text in inside if not found.contains(at(text))] == []
    assert [text for text in outside if found.contains(at(text))] == []


def test_spans_follow_the_clock_change() -> None:
    night = interval(times=[{"start_time": "01:00", "end_time": "05:00"}], location="Europe/Berlin")
    spring = night.spans(at("2026-03-28T12:00"), at("2026-03-29T12:00"))
    autumn = night.spans(at("2026-10-24T12:00"), at("2026-10-25T12:00"))

    assert spring == [(at("2026-03-29T00:00"), at("2026-03-29T03:00"))]
    assert autumn == [(at("2026-10-24T23:00"), at("2026-10-25T04:00"))]


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]
DAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
written_intervals = st.fixed_dictionaries(
    {},
    optional={
        "times": st.lists(
            st.tuples(st.integers(0, 23), st.integers(0, 59)).map(
                lambda t: {"start_time": f"{t[0]:02}:{t[1]:02}", "end_time": "24:00"}
            ),
            min_size=1,
            max_size=2,
        ),
        "weekdays": st.lists(st.sampled_from(DAYS), min_size=1, max_size=2),
        "days_of_month": st.lists(st.sampled_from(["1:7", "-5:-1", "29", "31"]), min_size=1),
        "months": st.lists(st.sampled_from(["march", "10:11", "2"]), min_size=1, max_size=2),
        "location": st.sampled_from(ZONES),
    },
)
changes = st.sampled_from(["2026-03-07", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24"])


@settings(max_examples=60)
@given(written_intervals, changes, st.integers(0, 47))
def test_spans_and_contains_agree(written: dict[str, Any], around: str, hour: int) -> None:
    found = interval(**written)
    start = at(around) + timedelta(hours=hour)
    end = start + timedelta(hours=20)
    spans = found.spans(start, end)
    minute = start
    while minute < end:
        assert found.contains(minute) is any(a <= minute < b for a, b in spans), minute
        minute += timedelta(minutes=7)


def test_spans_are_merged_intersected_and_inverted() -> None:
    a, b, c, d = (MONDAY + timedelta(hours=n) for n in (1, 2, 3, 4))

    assert merged([(c, d), (a, b), (b, c)]) == [(a, d)]
    assert rest([(b, c)], a, d) == [(a, b), (c, d)]
    assert common([[(a, c)], [(b, d)]], a, d) == [(b, c)]
    assert common([], a, d) == []


def test_route_is_muted_in_mute_and_outside_active_intervals() -> None:
    intervals = {
        "night": (interval(times=[{"start_time": "00:00", "end_time": "06:00"}]),),
        "office": (interval(times=[{"start_time": "04:00", "end_time": "18:00"}]),),
    }
    day = MONDAY, MONDAY + timedelta(days=1)

    assert muted(intervals, (), (), *day) == []
    assert muted(intervals, ("night",), (), *day) == [(MONDAY, MONDAY + timedelta(hours=6))]
    assert muted(intervals, (), ("office",), *day) == [
        (MONDAY, MONDAY + timedelta(hours=4)),
        (MONDAY + timedelta(hours=18), day[1]),
    ]
    both = muted(intervals, ("night",), ("office",), *day)
    assert [begin.hour for begin, _ in both] == [0, 18]


@pytest.mark.parametrize(
    "written",
    [
        {"location": "Middle/Earth"},
        {"weekdays": ["someday"]},
        {"times": [{"start_time": "soon", "end_time": "later"}]},
        {"months": ["brumaire"]},
        {"centuries": ["21"]},
    ],
)
def test_what_is_not_understood_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(NoData):
        interval(**written)


def test_undefined_interval_is_refused() -> None:
    with pytest.raises(NoData, match="'night' is not defined"):
        muted({}, ("night",), (), MONDAY, MONDAY + timedelta(days=1))
