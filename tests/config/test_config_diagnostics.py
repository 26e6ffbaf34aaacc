"""Mistakes have a line, and are described in the terms of readiness.toml."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from readiness.config.base.mistakes import Path
from readiness.config.diagnostics import mistakes_of
from readiness.config.interpolation import Interpolation
from readiness.config.source import Source, scan
from readiness.model.secrets import register

TEXT = '''a = 1
"b.c" = "x" # k = 2
d.e.f = [ 1,
  2, # c
  { x = 1, y = [3] },
]
s = """
k = 1 " ""\\"
""""
[t]
k = {a = 1, b = {c = 2}}
[[arr]]
n = 1
[[arr]]
n = 2
[arr.sub]
z = 1
[[arr.q]]
z = 5
[ u . "v w" ]
e = \'\'\'it's [x]\'\'\'
f = 'x#y'
'''


def test_every_kind_of_key() -> None:
    found = scan(TEXT)
    assert found.twice == []
    assert {path: line for path, line in found.at.items() if path[0] != "d"} == {
        ("a",): 1,
        ("b.c",): 2,
        ("s",): 7,
        ("t",): 10,
        ("t", "k"): 11,
        ("t", "k", "a"): 11,
        ("t", "k", "b"): 11,
        ("t", "k", "b", "c"): 11,
        ("arr",): 12,
        ("arr", 0): 12,
        ("arr", 0, "n"): 13,
        ("arr", 1): 14,
        ("arr", 1, "n"): 15,
        ("arr", 1, "sub"): 16,
        ("arr", 1, "sub", "z"): 17,
        ("arr", 1, "q"): 18,
        ("arr", 1, "q", 0): 18,
        ("arr", 1, "q", 0, "z"): 19,
        ("u",): 20,
        ("u", "v w"): 20,
        ("u", "v w", "e"): 21,
        ("u", "v w", "f"): 22,
    }
    assert found.at["d", "e", "f", 1] == 4
    assert found.at["d", "e", "f", 2, "y", 0] == 5


def test_an_unknown_path_has_the_line_of_its_table() -> None:
    found = scan(TEXT)
    assert found.of(("arr", 1, "gone", "too")) == 14
    assert found.of(("gone",)) is None


def test_duplicate_keys_have_both_lines() -> None:
    assert scan("[t]\nk = 1\n[u]\nk = 1\n[t]\nk = 2\n").twice == [
        (("t",), 1, 5),
        (("t", "k"), 2, 6),
    ]


def test_empty_headers_are_not_duplicates() -> None:
    assert scan("[]\n[]\n[[]]\n[[]]\n[" + "a." * 40 + "a]\n" * 2).twice == []


@given(st.text(alphabet="ab.=[]{}\",'\n #0\\", max_size=60))
def test_every_line_of_any_text_exists(text: str) -> None:
    last = text.count("\n") + 1
    assert all(1 <= line <= last for line in scan(text).at.values())


SOURCE = Source("f.toml", {"target": {"name": "x"}}, scan("[target]\nname = 'x'\n"))


def told(kind: str | PydanticCustomError, loc: Path, input_: object, **ctx: object) -> str:
    details = InitErrorDetails(type=kind, loc=loc, input=input_, ctx=ctx)
    error = ValidationError.from_exception_data("Config", [details])
    [problem] = SOURCE.problems(mistakes_of(error, SOURCE, Interpolation()))
    return f"{problem.where}: {problem.message}"


@pytest.mark.parametrize("path", [(), ("target",), ("target", "name")])
def test_the_message_of_a_validator_is_kept(path: Path) -> None:
    where = {0: "f.toml", 1: "f.toml:1 [target]", 2: "f.toml:2 [target] name"}[len(path)]
    said = PydanticCustomError("ours", "a and b exclude each other")
    assert told(said, path, {}) == f"{where}: a and b exclude each other"
    assert told("value_error", path, {}, error=ValueError("no")) == f"{where}: no"


def test_an_untranslated_error_type_shows_expected_and_found() -> None:
    assert told("time_type", ("target", "name"), 5) == (
        "f.toml:2 [target] name: expected a valid time, found 5"
    )


def test_a_known_secret_is_hidden() -> None:
    register("correct-horse-battery")
    assert "horse" not in told("int_type", ("target", "name"), "correct-horse-battery")
    said = PydanticCustomError("ours", "correct-horse-battery is wrong")
    assert "horse" not in told(said, ("target", "name"), {})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("postgresql://u:pw@h/d", "'postgresql://…@h/d'"),
        ("host=h password=pw", "'host=h password=…'"),
        ("x" * 100, f"'{'x' * 60}…'"),
        ("\x1b[31m", "'\\x1b[31m'"),
        (True, "true"),
    ],
)
def test_the_found_value_is_short_and_has_no_password(value: object, shown: str) -> None:
    assert told("int_type", ("target", "name"), value).endswith(f"found {shown}")
