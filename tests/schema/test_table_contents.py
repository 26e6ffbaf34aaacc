"""In which tables two databases differ."""

from hypothesis import given
from hypothesis import strategies as st

from readiness.lib.postgres.contents import TableContent, differences

contents = st.dictionaries(
    st.sampled_from(["a.a", "a.b", "b.a", "b.b"]),
    st.builds(TableContent, st.integers(0, 3), st.sampled_from(["0", "1"])),
)


@given(contents, contents)
def test_every_table_that_differs_is_named_once(
    expected: dict[str, TableContent], found: dict[str, TableContent]
) -> None:
    named = [difference.table for difference in differences(expected, found)]
    assert sorted(named) == sorted(
        t for t in expected.keys() | found.keys() if expected.get(t) != found.get(t)
    )


def test_the_worst_comes_first_and_says_what_is_wrong() -> None:
    expected = {
        "s.few": TableContent(10, "1"),
        "s.gone": TableContent(500, "2"),
        "s.other": TableContent(7, "3"),
        "s.same": TableContent(9, "4"),
    }
    found = {
        "s.few": TableContent(7, "1"),
        "s.other": TableContent(7, "0"),
        "s.same": TableContent(9, "4"),
        "s.strange": TableContent(1, "5"),
    }
    assert [str(difference) for difference in differences(expected, found)] == [
        "s.gone is missing (500 rows)",
        "s.few has 7 rows, expected 10",
        "s.strange was not expected",
        "s.other has 7 rows as expected, but other contents",
    ]
