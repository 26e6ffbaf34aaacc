"""The fix of a check: its parts, and which of them a failure shows."""

import pytest

from readiness.model.check import CheckSpec, check, spec_of


def declared(fix: str, judgements: tuple[str, ...] = ("names", "days", "key")) -> CheckSpec:
    @check("own.check", title="t", why="w", fix=fix, judgements=judgements)
    def function() -> None: ...

    spec = spec_of(function)
    assert spec
    return spec


FIX = """Look:
      show it
    names, key: issue another, which
      is what clients ask for:
      issue --name NAME
    days: renew it;
    and see that it is scheduled"""


@pytest.mark.parametrize(
    ("missed", "told"),
    [
        (["key"], ["Look:", "    show it", "", "names, key: issue another, which",
                   "    is what clients ask for:", "    issue --name NAME"]),
        (["days"], ["Look:", "    show it", "", "days: renew it;", "and see that it is scheduled"]),
    ],
)  # fmt: skip
def test_a_failure_shows_the_parts_about_what_was_missed(
    missed: list[str], told: list[str]
) -> None:
    assert declared(FIX).fix_of(missed).splitlines() == told


@pytest.mark.parametrize("missed", [[], ["else"], ["names", "days"]])
def test_all_of_a_fix_is_shown_where_no_part_is_about_it_or_each_is(missed: list[str]) -> None:
    spec = declared(FIX)
    assert spec.fix_of(missed) == spec.fix


def test_a_key_of_a_file_is_no_part() -> None:
    fix = "In the rule:\n    expr: up == 0\n    for: 5m\n    labels: {severity: page}"
    spec = declared(fix, ("for", "other"))
    assert spec.fix == fix
    assert declared(f"{fix}\nother: see there", ("for", "other")).fix_of(["for"]).startswith(fix)
