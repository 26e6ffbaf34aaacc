from hypothesis import given
from hypothesis import strategies as st

from readiness.lib.text import clean, worst


@given(st.text(), st.integers(min_value=1, max_value=300))
def test_cleaned_text_is_one_short_printable_line(text: str, longest: int) -> None:
    found = clean(text, longest)

    assert len(found) <= longest
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in found)
    assert len(found.splitlines()) <= 1


def test_terminal_codes_and_bidirectional_marks_are_removed() -> None:
    assert clean("a\x1b[31mb\r\nc\u202ed") == "a [31mb c d"


def test_long_text_ends_with_an_ellipsis() -> None:
    assert clean("abcdef", 4) == "abc…"
    assert clean("abcd", 4) == "abcd"


def test_a_statement_has_one_semicolon_between_it_and_what_follows() -> None:
    assert worst(["a: drop index a;", "b: drop index b;"]) == "a: drop index a; b: drop index b;"
