"""Migrations as files: their order, what was applied, and SQL cut into statements."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readiness.config.base.migrations import Migrations
from readiness.lib.migrations import files
from readiness.lib.migrations.model import (
    Applied,
    Migration,
    forks_of,
    heads_of,
    in_order,
    state,
    without_replaced,
)
from readiness.lib.migrations.scripts import (
    OneWayError,
    down_of,
    not_printed,
    one_way,
    script,
    split,
    up_of,
    without_transactions,
)
from readiness.model.errors import CouldNotMeasure, NoData


def versions(migrations: list[Migration]) -> list[str]:
    return [migration.version for migration in migrations]


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_text("select 1;")
    return folder


def test_plain_files_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write(tmp_path, "10_c.up.sql", "2_b.up.sql", "2_b.down.sql", "1_a.sql", "seed.sql", "x.txt")
    found = files.plain(tmp_path)
    assert versions(found) == ["1", "2", "10"]
    assert [m.down.name if m.down else None for m in found] == [None, "2_b.down.sql", None]


def test_duplicate_version_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "0001_a.up.sql", "0001_b.up.sql")
    with pytest.raises(CouldNotMeasure, match="duplicate version 0001"):
        files.plain(tmp_path)


def test_one_version_in_two_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "V1__a.sql", "V1.0__b.sql")
    with pytest.raises(CouldNotMeasure, match="duplicate version"):
        files.flyway(tmp_path)
    for name in ("a", "copy_of_a"):
        (tmp_path / f"{name}.py").write_text('revision = "a"\ndown_revision = None\n')
    with pytest.raises(CouldNotMeasure, match="duplicate version a"):
        files.alembic(tmp_path)


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    for read in (files.plain, files.flyway, files.alembic, files.django):
        with pytest.raises(CouldNotMeasure, match="the folder does not exist"):
            read(tmp_path / "gone")


def test_flyway_sorts_versions_as_numbers_and_repeats_last(tmp_path: Path) -> None:
    write(tmp_path, "R__views.sql", "V1_10__c.sql", "V1.2__b.sql", "V1__a.sql", "U1.2__b.sql")
    found = files.flyway(tmp_path)
    assert versions(found) == ["1", "1.2", "1.10", "views"]
    assert found[1].down
    assert files.is_repeatable(found[3])


def test_flyway_checksum_ignores_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "V1__a.sql"
    path.write_bytes(b"create table a (i int);\r\ncreate table b (i int);\r\n")
    other = tmp_path / "V2__a.sql"
    other.write_bytes(b"\xef\xbb\xbfcreate table a (i int);\ncreate table b (i int);")
    assert files.flyway_checksum(path) == files.flyway_checksum(other) == "-510823241"


def test_flyway_placeholders_are_filled_in(tmp_path: Path) -> None:
    path = tmp_path / "V1__a.sql"
    path.write_text("create table ${owner}.a (f text default '${flyway:filename}');")
    settings = {"tool": "flyway", "folder": str(tmp_path)}
    with pytest.raises(CouldNotMeasure, match=r"the placeholder \$\{owner\} has no value") as told:
        up_of(Migrations.model_validate(settings), Migration("1", path))
    assert """placeholders = { "owner" = 'VALUE' }""" in told.value.remedy
    filled = Migrations.model_validate({**settings, "placeholders": {"owner": "shop"}})
    assert (
        up_of(filled, Migration("1", path)) == "create table shop.a (f text default 'V1__a.sql');"
    )


def test_flyway_sums_up_repeatable_files_with_their_values(tmp_path: Path) -> None:
    (tmp_path / "R__a.sql").write_text("select '${x}';")
    (tmp_path / "R__b.sql").write_text("select 'y';")
    unknown, plain = files.flyway(tmp_path)
    assert unknown.checksum is None
    assert files.flyway(tmp_path, {"x": "y"})[0].checksum == plain.checksum


def alembic(folder: Path, revision: str, down: str) -> None:
    (folder / f"{revision}_x.py").write_text(
        f'"""x"""\nrevision: str = "{revision}"\ndown_revision = {down}\n'
        "def upgrade():\n    raise SystemExit('it was run')\n"
    )


def test_the_folder_may_be_that_of_an_installed_package(tmp_path: Path) -> None:
    folder = tmp_path / "site-packages" / "app" / "versions"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text('revision = "a"\ndown_revision = None\n')
    assert versions(files.alembic(folder)) == ["a"]


def test_alembic_files_are_read_and_not_run(tmp_path: Path) -> None:
    alembic(tmp_path, "b", '"a"')
    alembic(tmp_path, "a", "None")
    alembic(tmp_path, "c", '"a"')
    alembic(tmp_path, "d", '("b", "c")')
    (tmp_path / "helper.py").write_text("x = 1")
    found = in_order(files.alembic(tmp_path), "here")
    assert versions(found) == ["a", "b", "c", "d"]
    assert heads_of(found) == ("d",)
    assert heads_of(found[:3]) == ("b", "c")


@pytest.mark.parametrize("down", ["other()", "5", ""])
def test_unreadable_down_revision_is_an_error(tmp_path: Path, down: str) -> None:
    text = f'revision = "a"\ndown_revision = {down}\n' if down else 'revision = "a"\n'
    (tmp_path / "a.py").write_text(text)
    with pytest.raises(CouldNotMeasure, match="cannot read its down_revision"):
        files.alembic(tmp_path)


def test_circular_and_missing_dependencies_are_errors(tmp_path: Path) -> None:
    alembic(tmp_path, "a", '"b"')
    alembic(tmp_path, "b", '"a"')
    with pytest.raises(CouldNotMeasure, match="in a circle"):
        in_order(files.alembic(tmp_path), "here")
    (tmp_path / "b_x.py").unlink()
    with pytest.raises(CouldNotMeasure, match="a depends on b, which does not exist"):
        in_order(files.alembic(tmp_path), "here")
    with pytest.raises(NoData, match="no migrations were found"):
        in_order([], "here")


def test_django_files_are_read_with_what_they_replace(tmp_path: Path) -> None:
    folder = tmp_path / "shop" / "migrations"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    head = "from django.db import migrations\nclass Migration(migrations.Migration):\n"
    (folder / "0001_initial.py").write_text(
        f"{head}    dependencies = [migrations.swappable_dependency(settings.X),"
        " ('auth', '0001_initial')]\n"
    )
    (folder / "0002_b.py").write_text(f"{head}    dependencies = [('shop', '0001_initial')]\n")
    (folder / "0002_squashed.py").write_text(
        f"{head}    replaces = [('shop', '0001_initial'), ('shop', '0002_b')]\n"
    )
    found = {m.version: m for m in files.django(tmp_path)}
    assert found["shop.0001_initial"].after == ()
    assert found["shop.0002_b"].after == ("shop.0001_initial",)
    assert found["shop.0002_squashed"].replaces == ("shop.0001_initial", "shop.0002_b")


def graph(**steps: tuple[str, str, str]) -> list[Migration]:
    """Migrations by version: what each is after, what it needs, and its labels."""
    return [
        Migration(
            version,
            Path(version),
            after=tuple(after.split()),
            needs=tuple(needs.split()),
            labels=tuple(labels.split()),
        )
        for version, (after, needs, labels) in steps.items()
    ]


@pytest.mark.parametrize(
    ("steps", "forks"),
    [
        # Two lines with labels, and a line beside that without one.
        ({"a1": ("", "", "billing"), "a2": ("a1", "", ""), "b1": ("", "", "mail")}, ()),
        ({"a1": ("", "", "billing"), "b1": ("", "", "")}, ()),
        # A head that another one needs is applied with it.
        ({"a1": ("", "", ""), "b1": ("", "", ""), "b2": ("b1", "a1", "")}, ()),
        # A label where the lines part, and where they have come together again.
        ({"a": ("", "", ""), "b": ("a", "", ""), "c": ("a", "", "c")}, ()),
        ({"a": ("", "", ""), "b": ("a", "", ""), "c": ("a", "", ""), "d": ("b c", "", "")}, ()),
        # A label that both have says nothing about either.
        ({"a": ("", "", "x"), "b": ("a", "", ""), "c": ("a", "", "")}, ("c",)),
        ({"a": ("", "", ""), "b": ("a", "", ""), "c": ("a", "", ""), "d": ("c", "", "")}, ("d",)),
        # Nobody declared the second base.
        ({"a": ("", "", ""), "b": ("", "", "")}, ("b",)),
    ],
)
def test_only_heads_that_nobody_declared_are_forks(
    steps: dict[str, tuple[str, str, str]], forks: tuple[str, ...]
) -> None:
    assert forks_of(graph(**steps)) == forks


def test_a_squashed_migration_is_run_in_place_of_those_it_replaces() -> None:
    squashed = Migration("s", Path("s"), replaces=("a", "b"))
    found = [*some("a", "b"), squashed, *some("c")]
    assert versions(without_replaced(found)) == ["s", "c"]
    assert versions(without_replaced(found, {"a", "b", "s", "c"})) == ["s", "c"]
    assert versions(without_replaced(found, {"a"})) == ["a", "b", "c"]


def some(*names: str, **options: str) -> list[Migration]:
    return [Migration(name, Path(name), checksum=options.get(name)) for name in names]


def applied(*names: str, **checksums: str) -> Applied:
    return Applied(frozenset(names), "select", (), checksums)


def test_state_without_differences_is_empty() -> None:
    found = state(some("1", "2"), applied("1", "2"), ["2"])
    assert (found.pending, found.unknown, found.failed, found.altered) == ((), (), (), ())


def test_pending_unknown_and_altered_are_found() -> None:
    found = state(some("a", "b", "c", a="1", b="2"), applied("a", "b", "z", a="1", b="3"), ["c"])
    assert found.pending == ("c",)
    assert found.unknown == ("z",)
    assert found.altered == ("b",)


def test_a_squashed_migration_counts_as_applied_either_way() -> None:
    squashed = Migration("s", Path("s"), replaces=("a", "b"))
    later = Migration("c", Path("c"), after=("s",))
    for done in (("a", "b", "c"), ("s", "c"), ("a", "b", "s", "c")):
        found = state([squashed, later], applied(*done), ["c"])
        assert (found.pending, found.unknown) == ((), ())
    assert state([squashed, later], applied("a"), ["c"]).pending == ("s", "c")


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
def test_transaction_statements_are_removed(text: str, count: int, *, transactional: bool) -> None:
    found = script(text)
    assert len(found.statements) == count
    assert found.transactional is transactional


_DBMATE = "-- migrate:up{}\ncreate table a ();\n\n-- migrate:down\ndrop table a;\n"
_GOOSE = """-- +goose Up
-- +goose StatementBegin
create function f() returns int language plpgsql as $$ begin return 1; end; $$;
-- +goose StatementEnd
-- +goose Down
drop function f();
"""


@pytest.mark.parametrize(
    ("text", "up", "down"),
    [
        ("select 1;", ["select 1;"], None),
        (_DBMATE.format(""), ["create table a ();"], ["drop table a;"]),
        (
            _DBMATE.replace("migrate:", "+migrate ").format(" notransaction"),
            None,
            ["drop table a;"],
        ),
        (_DBMATE.replace("migrate:", "+goose ").format(""), None, ["drop table a;"]),
        (_GOOSE, 1, ["drop function f();"]),
        ("-- +goose Up\nselect 1;", ["select 1;"], None),
        # Prose about a marker is none.
        ("-- then migrate:down\nselect 1;", ["select 1;"], None),
    ],
)
def test_up_and_down_in_one_file_are_told_apart(
    tmp_path: Path, text: str, up: list[str] | int | None, down: list[str] | None
) -> None:
    path = tmp_path / "1_a.sql"
    path.write_text(text)
    settings = Migrations.model_validate({"tool": "sql", "folder": str(tmp_path)})
    step = Migration("1", path)
    statements = [*script(up_of(settings, step)).statements]
    assert not any("drop" in statement for statement in statements)
    if up is not None:
        assert len(statements) == (up if isinstance(up, int) else len(up))
    back = down_of(settings, step)
    assert (back and [s.rpartition("\n")[2] for s in script(back).statements]) == down


@pytest.mark.parametrize(
    ("text", "transactional"),
    [
        (_DBMATE.format(" transaction:false"), False),
        (
            _DBMATE.replace("create table a ()", "create index concurrently i on a (b)").format(""),
            True,
        ),
        (f"-- +goose NO TRANSACTION\n{_GOOSE}", False),
        (_DBMATE.replace("migrate:", "+migrate ").format(" notransaction"), False),
    ],
)
def test_a_marker_decides_on_the_transaction(text: str, *, transactional: bool) -> None:
    assert script(one_way(text, "up") or "").transactional is transactional


def test_transactions_are_left_out_and_lines_stay() -> None:
    text = "BEGIN;\n\ncreate table t ();\nCOMMIT;\ndo $$\nbegin\nend;\n$$;"
    assert without_transactions(text) == ("\n\ncreate table t ();\n\ndo $$\nbegin\nend;\n$$;")


@pytest.mark.parametrize("error", ["NotImplementedError", "IrreversibleError", "KeyError"])
def test_a_migration_may_say_that_it_has_no_way_back(tmp_path: Path, error: str) -> None:
    path = tmp_path / "a.py"
    path.write_text("select '100 %'")
    program = f"class IrreversibleError(Exception): pass\nraise {error}('{{version}}')"
    settings = Migrations.model_validate({
        "tool": "alembic", "folder": str(tmp_path), "down": [sys.executable, "-c", program],
        "up": [sys.executable, "-c", "print('select 100 %%')"],
    })  # fmt: skip
    with pytest.raises(CouldNotMeasure) as told:
        down_of(settings, Migration("a", path))
    assert isinstance(told.value, OneWayError) == (error != "KeyError")
    assert up_of(settings, Migration("a", path)).strip() == "select 100 %"


def test_what_django_cannot_print_is_noticed() -> None:
    assert not_printed("--\n-- THIS OPERATION CANNOT BE WRITTEN AS SQL\n--")
    assert not not_printed("select 1;")


@given(st.text(alphabet="'\"$;-/*aE\\\n ", max_size=40))
def test_split_ends_and_only_cuts(text: str) -> None:
    place = 0
    for statement in split(text):
        place = text.index(statement, place) + len(statement)
