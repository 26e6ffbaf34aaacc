"""Matchers in both syntaxes, and Go's regular expressions."""

import re
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from readiness.areas.alerting.routes.matchers import (
    GoRegex,
    Matcher,
    Op,
    all_match,
    parse,
    parse_classic,
    parse_utf8,
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
def test_what_both_syntaxes_read_alike(text: str, expected: list[Matcher]) -> None:
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
def test_what_the_classic_syntax_tolerates(text: str, expected: Matcher) -> None:
    assert parse(text) == (expected,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"a b"="c"', Matcher("a b", "=", "c")),
        ("größe=1", Matcher("größe", "=", "1")),
        (r'"a\"b"=~"\u00e4\x41\101"', Matcher('a"b', "=~", "äAA")),
    ],
)
def test_what_only_the_new_syntax_reads(text: str, expected: Matcher) -> None:
    with pytest.raises(NoData):
        parse_classic(text)
    assert parse(text) == (expected,)


@pytest.mark.parametrize(
    "text", ["severity", "=x", 'a="b', 'a=b"c', 'a="b"c"', "a==b==", "{a=b", "a=b}}", ",", "a b=c"]
)
def test_what_neither_reads_the_new_syntax_refuses(text: str) -> None:
    with pytest.raises(NoData, match="cannot read the matcher"):
        parse_utf8(text)


@pytest.mark.parametrize("text", ["a", "=x", 'a="b', 'a=b"c', 'a="b"c"', r'a="b\"', "1a=b"])
def test_what_the_classic_syntax_refuses(text: str) -> None:
    with pytest.raises(NoData, match="cannot read the matcher"):
        parse_classic(text)


@given(
    st.text(string.ascii_letters + "_", min_size=1),
    st.sampled_from(["=", "!="]),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_what_is_written_is_read_back(name: str, op: Op, value: str) -> None:
    matcher = Matcher(name, op, value)

    assert parse_utf8(str(matcher)) == parse_classic(str(matcher)) == (matcher,)


def test_a_label_that_is_not_there_is_empty() -> None:
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
def test_expressions_of_go_mean_the_same(regex: str, matching: list[str], other: list[str]) -> None:
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
def test_what_is_not_valid_is_refused(
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


def test_an_expression_made_to_be_slow_is_not() -> None:
    # Some 2 ** 5000 steps where it is matched by going back.
    assert not GoRegex("(a+)+b").matches("a" * 5000)


def test_as_many_names_are_read_as_go_reads() -> None:
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
