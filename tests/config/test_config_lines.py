from hypothesis import given, settings
from hypothesis import strategies as st

from readiness.config.source import scan

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


def test_a_path_that_stands_nowhere_has_the_line_of_what_is_around_it() -> None:
    found = scan(TEXT)
    assert found.of(("arr", 1, "gone", "too")) == 14
    assert found.of(("gone",)) is None


def test_what_is_given_twice() -> None:
    assert scan("[t]\nk = 1\n[u]\nk = 1\n[t]\nk = 2\n").twice == [
        (("t",), 1, 5),
        (("t", "k"), 2, 6),
    ]


def test_empty_headers() -> None:
    assert scan("[]\n[]\n[[]]\n[[]]\n[" + "a." * 40 + "a]\n" * 2).twice == []


@settings(deadline=None)
@given(st.text(alphabet="ab.=[]{}\",'\n #0\\", max_size=60))
def test_any_text(text: str) -> None:
    last = text.count("\n") + 1
    assert all(1 <= line <= last for line in scan(text).at.values())
