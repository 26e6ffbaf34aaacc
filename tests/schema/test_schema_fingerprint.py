"""In which objects two schemas differ."""

from hypothesis import given
from hypothesis import strategies as st

from readiness.lib.postgres.fingerprint import ROLES, differences, kind_of

_NAMES = [
    "table s.t",
    "column a on s.t",
    "owner of table s.t",
    "grant to r on table s.t",
    "view s.v",
]
schemas = st.dictionaries(st.sampled_from(_NAMES), st.sampled_from(["x", "y"]))


@given(schemas, schemas)
def test_equal_schemas_and_only_those_have_no_difference(
    one: dict[str, str], other: dict[str, str]
) -> None:
    assert bool(differences(one, other)) == (one != other)


@given(schemas, schemas)
def test_what_is_left_out_decides_nothing(one: dict[str, str], other: dict[str, str]) -> None:
    def kept(schema: dict[str, str]) -> dict[str, str]:
        return {name: text for name, text in schema.items() if kind_of(name) not in ROLES}

    assert differences(one, other, without=ROLES) == differences(kept(one), kept(other))
    assert differences(one, other, ignore=["*"]) == []


def test_what_came_or_went_with_its_table_is_counted_there() -> None:
    table = {
        "table s.t": "plain",
        "column a on s.t": "integer",
        "index i on s.t": "…",
        "owner of table s.t": "o",
        "grant to app on table s.t": "select",
        "grant to app on column a of s.t": "update",
    }
    assert [str(change) for change in differences(table, {})] == [
        "table s.t is missing (and 5 objects of it)"
    ]
    assert [str(change) for change in differences({}, table)] == [
        "table s.t was not expected (and 5 objects of it)"
    ]
    other = table | {"column a on s.t": "bigint"}
    assert [str(change) for change in differences(table, other)] == [
        "column a on s.t is `bigint`, expected `integer`"
    ]


def test_what_is_missing_is_told_first() -> None:
    told = differences({"view s.a": "1", "view s.b": "1"}, {"view s.a": "2", "view s.c": "1"})
    assert [change.what for change in told] == ["missing", "changed", "unexpected"]
