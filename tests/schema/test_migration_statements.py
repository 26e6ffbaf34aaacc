"""SQL text is cut into statements, whatever a semicolon stands in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readiness.lib.migrations.scripts import script, split


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" ; ;\n-- only; this\n/* and; this */", []),
        ("select 1", ["select 1"]),
        ("select 1; select 2;", ["select 1;", "select 2;"]),
        ("select 'a;b'; select \"c;d\"", ["select 'a;b';", 'select "c;d"']),
        ("select 'it''s; so'; x", ["select 'it''s; so';", "x"]),
        (r"select E'a\';b'; x", [r"select E'a\';b';", "x"]),
        (r"select 'a\'; x", [r"select 'a\';", "x"]),
        ("select 1 -- a;b\n; x", ["select 1 -- a;b\n;", "x"]),
        ("select /* a; /* b; */ c; */ 1; x", ["select /* a; /* b; */ c; */ 1;", "x"]),
        ("do $$ begin; end $$; x", ["do $$ begin; end $$;", "x"]),
        ("do $a$ ; $$ ; $b$ ; $a$; x", ["do $a$ ; $$ ; $b$ ; $a$;", "x"]),
        ("select $1; x", ["select $1;", "x"]),
        ("select 'never closed; x", ["select 'never closed; x"]),
        ("select $$never closed; x", ["select $$never closed; x"]),
        ("/* never closed; x", ["/* never closed; x"]),
    ],
)
def test_statements(text: str, expected: list[str]) -> None:
    found = list(split(text))
    assert found == expected


@pytest.mark.parametrize(
    ("text", "count", "transactional"),
    [
        ("begin; create table t (i int); commit;", 1, True),
        ("START TRANSACTION ISOLATION LEVEL SERIALIZABLE; select 1; END;", 1, True),
        ("-- x\nbegin;\nselect 1;\n-- y\nrollback;", 1, True),
        ("create index concurrently i on t (a);", 1, False),
        ("select 'create index'; -- concurrently\n", 1, True),
        ("vacuum t; select 1", 2, False),
        ("create function f() returns int begin atomic select 1; select 2; end; x", 2, True),
        (
            "create function f() returns int begin atomic select case when 1=1 then 1 end;end",
            1,
            True,
        ),
    ],
)
def test_transactions_are_ours(text: str, count: int, *, transactional: bool) -> None:
    found = script(text)
    assert len(found.statements) == count
    assert found.transactional is transactional


@given(st.text(alphabet="'\"$;-/*aE\\\n ", max_size=40))
def test_it_always_ends_and_only_cuts(text: str) -> None:
    place = 0
    for statement in split(text):
        place = text.index(statement, place) + len(statement)
