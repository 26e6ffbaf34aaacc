"""One reader for all YAML: the same answer everywhere, and none that depends on who reads."""

import ast
import math
import subprocess
import sys
from typing import Any

import pytest

from readiness.areas.deployment.probes.files import mistakes
from readiness.lib import bundle
from readiness.lib.kubernetes.inventory import documents
from readiness.lib.yaml_reader import BrokenYaml, Scalars, read_all, read_one
from readiness.model.errors import NoData

EVERY = list(Scalars)


@pytest.mark.parametrize("scalars", EVERY)
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{yes: 1, true: 2}", "line 1: duplicate key 'true' (first on line 1)"),
        ("yes: 1\n'true': 2", "line 2: duplicate key 'true' (first on line 1)"),
        ("on: 1\ny: 2", "line 2: duplicate key 'y' (first on line 1)"),
        ("1: a\n'1': b", "line 2: duplicate key '1' (first on line 1)"),
        ("1: a\n0x1: b", "line 2: duplicate key '0x1' (first on line 1)"),
        ("8: a\n010: b", "line 2: duplicate key '010' (first on line 1)"),
        ("1: a\n1.0: b", "line 2: duplicate key '1.0' (first on line 1)"),
        ("~: a\nnull: b", "line 2: duplicate key 'null' (first on line 1)"),
        ("a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a", "line 4: duplicate key '<<' (first on line 3)"),
        ("a: {<<: 5}", "line 1: `<<` merges neither"),
        ("a: &a {b: *a}", "line 1: an anchor contains itself"),
        ("a: *nope", "line 1: found undefined alias"),
        ("a: 1\nb: [", "line 2: did not find expected node content"),
        ("a: 1\n? [b]\n: 1", "line 2: a key is a list or a mapping"),
        ("a: \x01", "control characters are not allowed"),
        ("a: \ud800", "not Unicode"),
        ("[" * 100_000, "line 1: is nested too deeply"),
        ("- " * 100_000, "line 1: is nested too deeply"),
    ],
)
def test_invalid_yaml_is_refused_for_every_reader(scalars: Scalars, text: str, told: str) -> None:
    with pytest.raises(BrokenYaml) as caught:
        read_all(text, scalars)
    assert told in str(caught.value)


@pytest.mark.parametrize("scalars", EVERY)
@pytest.mark.parametrize(
    "text",
    ["{yes: 1, 'no': 2}", "x: 1\ny: 2\nz: 3", "1: a\n2: b", "01: a\n2: b", "a: {b: 1}\nc: {b: 1}",
     "a: 1\nA: 2", "1.0: a\n'1.00': b", "? |\n  a\n: 1\na: 2"],
)  # fmt: skip
def test_different_keys_are_not_duplicates(scalars: Scalars, text: str) -> None:
    assert isinstance(read_one(text, scalars), dict)


def test_two_readers_agree() -> None:
    text = "apiVersion: v1\nkind: A\nspec: {yes: 1, true: 2}\n"
    assert mistakes(text.encode(), ".yaml") == ["line 3: duplicate key 'true' (first on line 3)"]
    with pytest.raises(NoData, match=r"line 3: duplicate key 'true' \(first on line 3\)"):
        documents(text, "file")


CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec:
  matchType: {enum: ["!=", =, =~, "!~"], default: =}
"""


def test_an_equals_sign_is_text() -> None:
    """As in the CustomResourceDefinitions of prometheus-operator."""
    assert mistakes(CRD.encode(), ".yaml") == []
    (found,) = documents(CRD, "file")
    spec: Any = found.body["spec"]
    assert spec["matchType"] == {"enum": ["!=", "=", "=~", "!~"], "default": "="}
    assert read_one("=: =", Scalars.GO_V3) == {"=": "="}


@pytest.mark.parametrize(
    ("text", "go_v2", "go_v3"),
    [
        ("yes", True, "yes"), ("Off", False, "Off"), ("n", False, "n"), ("yEs", "yEs", "yEs"),
        ("true", True, True), ("FALSE", False, False), ("'yes'", "yes", "yes"),
        ("!!str yes", "yes", "yes"), ("", None, None), ("~", None, None), ("Null", None, None),
        ("12", 12, 12), ("-0x1F", -31, -31), ("0o17", 15, 15), ("017", 15, 15), ("0b11", 3, 3),
        ("08", 8.0, 8.0), ("1_000", 1000, 1000), ("1e3", 1000.0, 1000.0), (".5", 0.5, 0.5),
        ("+1.", 1.0, 1.0), ("-.inf", -math.inf, -math.inf), ("1:30", "1:30", "1:30"),
        ("12:30:45", "12:30:45", "12:30:45"), ("2026-01-01", "2026-01-01", "2026-01-01"),
        ("18446744073709551615", 2**64 - 1, 2**64 - 1), ("18446744073709551616", 2.0**64, 2.0**64),
        ("9" * 5000, "9" * 5000, "9" * 5000), ("1.2.3", "1.2.3", "1.2.3"), ("0x", "0x", "0x"),
        ("!!int '7'", 7, 7), ("!!float 7", 7, 7), ("=", "=", "="), ("<<", "<<", "<<"),
    ],
)  # fmt: skip
def test_scalars(text: str, go_v2: object, go_v3: object) -> None:
    assert read_one(f"a: {text}", Scalars.GO_V2) == {"a": go_v2}
    assert read_one(f"a: {text}", Scalars.GO_V3) == {"a": go_v3}


def test_not_a_number_is_a_float() -> None:
    found: Any = read_one("a: .NaN", Scalars.GO_V2)
    assert math.isnan(found["a"])


def test_keys_have_the_names_of_the_reader() -> None:
    text = "yes: 1\n0x10: 2\n1.0: 3\nnull: 4\n"
    assert list(read_one(text, Scalars.GO_V2)) == ["true", "16", "1", "null"]  # type: ignore[call-overload]
    assert list(read_one(text, Scalars.GO_V3)) == ["yes", "0x10", "1.0", "null"]  # type: ignore[call-overload]


def test_texts_are_kept_as_written() -> None:
    text = "a: yes\nb: 017\nc:\nd: 2026-01-01\ne: [1.0, ~]\n"
    assert read_one(text, Scalars.TEXTS) == {
        "a": "yes", "b": "017", "c": "", "d": "2026-01-01", "e": ["1.0", "~"],
    }  # fmt: skip


@pytest.mark.parametrize("scalars", EVERY)
def test_own_keys_override_merged_ones_and_the_first_overrides_the_rest(scalars: Scalars) -> None:
    text = (
        "a: &a {x: a, v: a}\nb: &b {<<: *a, v: b, z: b}\n"
        "one: {v: own, <<: *b}\ntwo: {<<: [*a, *b]}\n"
    )
    found: Any = read_one(text, scalars)
    assert found["one"] == {"x": "a", "v": "own", "z": "b"}
    assert found["two"] == {"x": "a", "v": "a", "z": "b"}


def test_empty_documents_are_none() -> None:
    assert read_all("---\na: 1\n---\n---\nb: 2\n...\n", Scalars.GO_V2) == [
        {"a": 1}, None, {"b": 2},
    ]  # fmt: skip
    assert read_all("", Scalars.GO_V2) == read_all("# nothing\n", Scalars.GO_V2) == []
    assert read_one("", Scalars.GO_V2) is None
    with pytest.raises(BrokenYaml, match="has 2 documents, where one is expected"):
        read_one("a: 1\n---\nb: 1\n", Scalars.GO_V2)


@pytest.mark.parametrize("tag", ["!Ref", "!!binary", "!!python/name:os.system", "!reset"])
def test_an_unknown_tag_is_an_error(tag: str) -> None:
    for body in (f"a: {tag} b", f"a: {tag} [b]"):
        with pytest.raises(BrokenYaml, match="line 1: "):
            read_all(body, Scalars.GO_V2)


def laughs(levels: int, each: int) -> str:
    lines = [f"a0: &a0 [{', '.join(['ha'] * each)}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * each)}]" for n in range(1, levels + 1)]
    return "\n".join(lines)


@pytest.mark.parametrize("scalars", EVERY)
def test_excessive_aliases_are_refused_and_some_allowed(scalars: Scalars) -> None:
    """The bounds are those of go-yaml, whose own tests have these two."""
    assert read_one(laughs(levels=2, each=10), scalars)
    with pytest.raises(BrokenYaml, match="its aliases expand to too much"):
        read_one(laughs(levels=9, each=9), scalars)


def test_aliases_do_not_nest_without_end() -> None:
    lines = ["a0: &a0 [1]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 250)]
    with pytest.raises(BrokenYaml, match="is nested too deeply, with its aliases"):
        read_one("\n".join(lines), Scalars.GO_V2)


def test_deep_nesting_does_not_crash_the_process() -> None:
    """libyaml's composer recurses on the C stack: this was a segmentation fault, and no report."""
    program = (
        "from readiness.lib.yaml_reader import *\n"
        "try: read_one('[' * 1_000_000, Scalars.TEXTS)\n"
        "except BrokenYaml: print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout.strip() == "refused", done.stderr


def test_no_other_module_parses_yaml() -> None:
    root = bundle.root()
    readers = set()
    for folder in ("readiness", "suites"):
        for path in sorted((root / folder).glob("**/*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import) and any(a.name == "yaml" for a in node.names):
                    readers.add(path.name)
    assert readers == {"yaml_reader.py"}
