"""What parsers swallow, and what is no mistake."""

import pytest

from readiness.areas.deployment.probes.files import kinds, mistakes

DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (".yaml", "a: 1\nb: [1, 2]\n---\na: 2\n"),
        (".yml", "x: &x { b: 1 }\ny:\n  <<: *x\n  b: 2\n"),
        (".yaml", "a: !Ref other\nwhen: 2026-13-45\n"),
        (".yaml", 'a: "a\tb"\n'),
        (".json", '{"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}'),
        (".toml", "a = 1\n[b]\na = 2\n"),
        (".ini", "[a]\nx = 1\n[b]\nx = %(nothing)s\n"),
        (".cfg", "[a]\nx: 1\n  and more\n"),
        (".cnf", "[mysqld]\nskip-name-resolve\nport = 1\n"),
    ],
)
def test_valid_files_have_no_mistakes(ending: str, text: str) -> None:
    assert mistakes(text.encode(), ending) == []


@pytest.mark.parametrize(
    ("ending", "text", "told"),
    [
        (".yaml", "a: 1\nb: 2\na: 3\n", "line 3: duplicate key 'a' (first on line 1)"),
        (".yaml", "a:\n  - { b: 1, b: 2 }\n", "line 2: duplicate key 'b' (first on line 2)"),
        (".yaml", "'a': 1\na: 2\n", "line 2: duplicate key 'a' (first on line 1)"),
        (".yaml", "yes: 1\ntrue: 2\n", "line 2: duplicate key 'true' (first on line 1)"),
        (".yaml", "1: a\n0x1: b\n", "line 2: duplicate key '0x1' (first on line 1)"),
        (".yaml", "ok: 1\n---\na: 1\na: 1\n", "line 4: duplicate key 'a' (first on line 3)"),
        (".yaml", "? { c: 1, c: 2 }\n: 1\n", "line 1: duplicate key 'c' (first on line 1)"),
        (".yaml", "a:\n\tb: 1\n", "line 2: a tab where YAML expects spaces"),
        (".yaml", "a: &x 1\nb: &x 2\n", "line 2: duplicate anchor"),
        (".yaml", "a: [1, 2\n", "line 2: did not find expected ',' or ']'"),
        (".yaml", "a: &a [*a]\n", "line 1: an anchor contains itself"),
        (".yaml", "port:8080\n", "is one plain value without a key"),
        (".yaml", "# nothing\n", "has only comments"),
        (".yaml", DEEP, "is nested too deeply"),
        (".json", '{"a": 1, "b": {"c": 1, "c": 2}}', "duplicate key 'c' in one object"),
        (".json", '{"a": NaN}', "NaN is not valid in JSON"),
        (".json", '{"a": 1,}', "line 1: Expecting property name"),
        (".json", "{} {}", "line 1: Extra data"),
        (".json", DEEP, "is nested too deeply"),
        (".json", "1" * 5000, "more digits"),
        (".toml", "a = 1\na = 2\n", "Cannot overwrite a value (at line 2"),
        (".toml", "[a]\n[a]\n", "Cannot declare"),
        (".ini", "[a]\nx = 1\nX = 2\n", "line 3: duplicate key 'x' in its section"),
        (".ini", "[a]\nx = 1\n[a]\n", "line 3: duplicate section ['a']"),
        (".ini", "x = 1\n", "line 1: is before the first section"),
        (".ini", "[a]\nwhat is this\n", "line 2: is neither a section nor KEY = VALUE"),
        (".cnf", "[a]\nx\n[b\n", "line 3: the header of a section has no closing bracket"),
    ],
)
def test_mistakes_are_found(ending: str, text: str, told: str) -> None:
    found = mistakes(text.encode(), ending)
    assert len(found) == 1
    assert found[0].startswith(told) or told in found[0]


@pytest.mark.parametrize("ending", kinds())
def test_an_empty_file_is_a_mistake(ending: str) -> None:
    assert mistakes(b"", ending) == mistakes(b" \n\n", ending) == ["is empty"]
    assert mistakes(b"a\n\xff\n", ending) == ["line 2: is not UTF-8"]


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (".yaml", "password: 'correct-horse\n"),
        (".yaml", "password: correct-horse: battery\n"),
        (".yaml", "password: correct-horse\npassword: correct-horse\n"),
        (".yaml", "password: *correct-horse\n"),
        (".yaml", "password: !correct!horse x\n"),
        (".yaml", "password: &correct 1\nother: &correct 2\n"),
        (".yaml", "password: %correct-horse\n"),
        (".json", '{"password": "correct-horse}'),
        (".json", '{"password": correct-horse}'),
        (".toml", "password = correct-horse\n"),
        (".toml", 'password = "correct-horse\n'),
        (".ini", "[a]\npassword correct-horse\n"),
        (".ini", "password = correct-horse\n"),
        (".ini", "[a]\npassword = correct-horse\npassword = correct-horse\n"),
    ],
)
def test_no_value_is_shown(ending: str, text: str) -> None:
    found = mistakes(text.encode(), ending)
    assert found
    assert "correct" not in " ".join(found)
