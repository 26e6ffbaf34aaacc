import pytest

from readiness.model.clean import clean, line


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain text", "plain text"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://evil\x07link\x1b]8;;\x07", "link"),
        ("\x1b]0;never ended", ""),
        ("a\x00b\x08c\x7fd", "abcd"),
        ("\x9b31mred", "red"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("user\u202egpj.exe", "usergpj.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("lone \ud800 surrogate \uffff", "lone \ufffd surrogate \ufffd"),
        ("grüße 名前", "grüße 名前"),
    ],
)
def test_nothing_invisible_is_left(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_an_escape_is_not_put_together_by_the_cleaning() -> None:
    assert "\x1b" not in clean("\x1b\x00[31m\x1b\x1b[[31m")


def test_what_is_cut_is_counted() -> None:
    assert clean("x" * 1500, 500) == "x" * 500 + "… [1,000 more characters in readiness.json]"


def test_a_line_is_one_line() -> None:
    assert line(" a\n\tb  c ") == "a b c"
