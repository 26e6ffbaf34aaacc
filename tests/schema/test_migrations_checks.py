"""schema.migrations-*: files and tables of all tools, and what a scratch server shows."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from readiness.areas.schema.config import Database
from readiness.config.base.migrations import Migrations
from readiness.lib.migrations.scratch import Scratch, scratch
from readiness.model.errors import (
    CouldNotMeasure,
    NoData,
    NotPermitted,
    SafetyRefusal,
    Unreachable,
)
from readiness.model.evidence import Evidence, Outcome
from readiness.model.secrets import Dsn
from readiness.servers import programs
from readiness.servers.postgres import SCRATCH, PrivatePostgres
from tests.support.monitored_service import suite
from tests.support.processes import needed

pytestmark = pytest.mark.contract

Run = Callable[[str], None]
_NO_SCRATCH = "no scratch server"
_TABLES = "create table public.a (i bigint primary key, t text);\ninsert into a values (1, 'x');\n"
_INDEX = "set lock_timeout = '200ms';\ncreate index a_t on public.a (t);\n"


def says(found: str, expected: str) -> bool:
    """Whether a check says this; it must say nothing if nothing is expected."""
    return expected in found and bool(found) == bool(expected)


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dsn]:
    """A scratch server, empty."""
    folder = tmp_path_factory.mktemp("scratch")
    with PrivatePostgres.start(folder, settings=SCRATCH) as running:
        yield Dsn(running.dsn())


@pytest.fixture
def plain(tmp_path: Path, run: Run) -> Path:
    """Two migrations as SQL files, and a database that had both."""
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "01_a.up.sql").write_text(_TABLES)
    (folder / "01_a.down.sql").write_text("drop table public.a;")
    (folder / "02_i.up.sql").write_text(_INDEX)
    (folder / "02_i.down.sql").write_text("drop index public.a_t;")
    run(_TABLES)
    run(_INDEX)
    run("create table schema_migrations (version text); insert into schema_migrations values"
        " ('01'), ('02')")  # fmt: skip
    return folder


def subject(dsn: Dsn, **settings: Any) -> Database:
    made = Migrations.model_validate({"newest": 1, "max_blocked_s": 1.0, **settings})
    return Database(name="db", dsn=dsn, migrations=made)


def sql(dsn: Dsn, folder: Path, **settings: Any) -> Database:
    return subject(dsn, tool="sql", folder=str(folder), **settings)


def judged(name: str, database: Database, spare: Dsn | None) -> Evidence:
    """What a check judges, and what it could not; without a scratch server nothing is tried."""

    def scratch_beside(asked: Database) -> AbstractContextManager[Scratch]:
        if spare is None:
            raise CouldNotMeasure(_NO_SCRATCH)
        return scratch(spare, asked.dsn)

    function = getattr(suite("schema.test_migrations"), name)
    evidence = Evidence(function.__readiness_check__.judgements)
    with evidence.attempt():
        function(database, scratch_beside, evidence)
    return evidence


def at_head(database: Database) -> str:
    """What is wrong by the files and the table alone."""
    evidence = judged("test_migrations_drift", database, None)
    if evidence.lost[0].message != _NO_SCRATCH:
        raise evidence.lost[0]
    return "; ".join(evidence.failures)


def on_scratch(name: str, database: Database, spare: Dsn) -> str:
    """What is wrong when it is tried; squawk has tests of its own."""
    evidence = judged(name, database, spare)
    for error in evidence.lost:
        if "squawk" not in error.message:
            raise error
    assert any(m.key and m.key != "lint" for m in evidence.measurements)
    return "; ".join(text for text in evidence.failures if not text.startswith("squawk warns"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("select 1", ""),
        ("update schema_migrations set version = '1' where version = '01'", ""),
        (
            "delete from schema_migrations where version = '02'",
            "1 migrations of the release are not applied: 02",
        ),
        (
            "insert into schema_migrations values ('77')",
            "1 applied migrations are not in the repository: 77",
        ),
    ],
)
def test_plain_files(dsn: Dsn, run: Run, plain: Path, change: str, expected: str) -> None:
    run(change)
    found = at_head(sql(dsn, plain))
    assert says(found, expected), found


def test_dirty_row_is_half_done(dsn: Dsn, run: Run, plain: Path) -> None:
    run("drop table schema_migrations; create table schema_migrations (version bigint, dirty"
        " boolean); insert into schema_migrations values (2, false)")  # fmt: skip
    assert at_head(sql(dsn, plain)) == ""
    run("update schema_migrations set dirty = true")
    assert "1 migrations began and did not finish: 02" in at_head(sql(dsn, plain))


def test_goose_keeps_a_line_for_each_run(dsn: Dsn, run: Run, tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"0000{number}_x.sql").write_text("-- +goose Up\nselect 1;\n-- +goose Down\n")
    run("create table goose_db_version (id serial, version_id bigint, is_applied boolean);"
        " insert into goose_db_version (version_id, is_applied) values"
        " (0, true), (1, true), (2, true)")  # fmt: skip
    migrations = sql(dsn, tmp_path, table="goose_db_version")
    assert at_head(migrations) == ""
    run("insert into goose_db_version (version_id, is_applied) values (2, false)")
    assert at_head(migrations) == "1 migrations of the release are not applied: 00002"


def test_missing_history_is_an_error(dsn: Dsn, role: Dsn, run: Run, plain: Path) -> None:
    with pytest.raises(NotPermitted):
        at_head(sql(role, plain))
    run("delete from schema_migrations")
    with pytest.raises(NoData, match="lists no applied migration"):
        at_head(sql(dsn, plain))
    run("drop table schema_migrations")
    with pytest.raises(CouldNotMeasure, match="the table schema_migrations does not exist"):
        at_head(sql(dsn, plain))
    (plain / "empty").mkdir()
    with pytest.raises(NoData, match="no migrations were found"):
        at_head(sql(dsn, plain / "empty"))


def test_alembic_knows_the_ancestors_of_a_head(dsn: Dsn, run: Run, tmp_path: Path) -> None:
    for name, down in (("a", "None"), ("b", '"a"'), ("c", '"b"')):
        (tmp_path / f"{name}.py").write_text(f'revision = "{name}"\ndown_revision = {down}\n')
    run("create table alembic_version (version_num text); insert into alembic_version values ('c')")
    migrations = subject(dsn, tool="alembic", folder=str(tmp_path))
    assert at_head(migrations) == ""
    run("update alembic_version set version_num = 'b'")
    assert "1 migrations of the release are not applied: c" in at_head(migrations)
    (tmp_path / "d.py").write_text('revision = "d"\ndown_revision = "b"\n')
    assert "1 branches of migrations are not merged" in at_head(migrations)


def test_django_apps_outside_the_folder_are_ignored(dsn: Dsn, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "shop" / "migrations"
    folder.mkdir(parents=True)
    for name in ("0001_initial", "0002_more"):
        (folder / f"{name}.py").write_text("class Migration:\n    dependencies = []\n")
    needs = "[('shop', '0001_initial'), ('auth', '0001_initial')]"
    (folder / "0002_more.py").write_text(f"class Migration:\n    dependencies = {needs}\n")
    run(
        "create table django_migrations (app text, name text); insert into django_migrations"
        " values ('auth', '0001_initial'), ('shop', '0001_initial'), ('shop', '0002_more')"
    )
    migrations = subject(dsn, tool="django", folder=str(tmp_path))
    assert at_head(migrations) == ""
    (folder / "0002_other.py").write_text(
        "class Migration:\n    dependencies = [('shop', '0001_initial')]\n"
    )
    found = at_head(migrations)
    assert "shop.0002_other" in found
    assert "1 branches of migrations are not merged" in found


def test_flyway_checksums_and_failures_are_compared(dsn: Dsn, run: Run, tmp_path: Path) -> None:
    (tmp_path / "V1__a.sql").write_text("create table a (i int);\ncreate table b (i int);\n")
    (tmp_path / "V2__b.sql").write_text("select 1;")
    run("create table flyway_schema_history (installed_rank int, version text, description text,"
        " type text, checksum int, success boolean); insert into flyway_schema_history values"
        " (1, '1', 'a', 'SQL', -510823241, true), (2, '2', 'b', 'SQL', null, true)")  # fmt: skip
    migrations = subject(dsn, tool="flyway", folder=str(tmp_path))
    assert at_head(migrations) == ""
    run("update flyway_schema_history set version = '01.0' where version = '1'")
    assert at_head(migrations) == ""
    (tmp_path / "V1__a.sql").write_text("create table a (i bigint);")
    assert "1 migrations differ from the file that was applied: 1" in at_head(migrations)
    run("update flyway_schema_history set success = false where version = '2'")
    assert "1 migrations began and did not finish: 2" in at_head(migrations)


_NOT_APPLIED = "migrations of the release are not applied"


@pytest.mark.parametrize(
    ("names", "rows", "expected"),
    [
        # One of another number than any file, as `flyway baseline` writes it.
        ("V1__a V2__b V3__c", "2.5 BASELINE, 3 SQL", ""),
        ("V1__a V3__c", "2 BASELINE", f"1 {_NOT_APPLIED}: 3"),
        # A base of all before it: on a new database, on an old one, without their files.
        ("V1__a V2__b B2__all V3__c", "2 SQL_BASELINE, 3 SQL", ""),
        ("V1__a V2__b B2__all V3__c", "1 SQL, 2 SQL, 3 SQL", ""),
        ("B2__all V3__c", "2 SQL_BASELINE, 3 SQL", ""),
        ("B2__all V3__c", "1 SQL, 2 SQL, 3 SQL", "2 applied migrations are not in the repository"),
        ("V1__a B2__all V3__c", "1 SQL", f"1 {_NOT_APPLIED}: 3"),
        # Java has no file here.
        ("V1__a V3__c", "1 SQL, 2 JDBC, 3 SQL", ""),
    ],
)
def test_flyway_begins_with_a_base(
    dsn: Dsn, run: Run, tmp_path: Path, names: str, rows: str, expected: str
) -> None:
    for name in names.split():
        (tmp_path / f"{name}.sql").write_text("select 1;")
    run("create table flyway_schema_history (installed_rank serial, version text,"
        " description text, type text, checksum int, success boolean)")  # fmt: skip
    for version, kind in (row.split() for row in rows.split(", ")):
        run(f"insert into flyway_schema_history values (default, '{version}', 'x', '{kind}',"  # noqa: S608
            " null, true)")  # fmt: skip
    found = at_head(subject(dsn, tool="flyway", folder=str(tmp_path)))
    assert says(found, expected), found


def test_alembic_lists_no_version_beneath_another(dsn: Dsn, run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('revision = "a"\ndown_revision = None\n')
    (tmp_path / "b.py").write_text('revision = "b"\ndown_revision = "a"\n')
    (tmp_path / "c.py").write_text(
        'revision = "c"\ndown_revision = None\nbranch_labels = "c"\ndepends_on = "b"\n'
    )
    run("create table alembic_version (version_num text);"
        " insert into alembic_version values ('b'), ('c')")  # fmt: skip
    migrations = subject(dsn, tool="alembic", folder=str(tmp_path))
    assert at_head(migrations) == ""
    run("insert into alembic_version values ('a')")
    assert "alembic upgrades no further: its table lists a" in at_head(migrations)


def test_django_keeps_lines_of_what_was_squashed(dsn: Dsn, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "shop_core" / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / "shop_core" / "apps.py").write_text(
        "class ShopConfig(AppConfig):\n    name = 'shop_core'\n    label = 'shop'\n"
    )
    (folder / "0001_squashed_0002_b.py").write_text("class Migration:\n    dependencies = []\n")
    run(
        "create table django_migrations (app text, name text); insert into django_migrations"
        " values ('shop', '0001_a'), ('shop', '0002_b'), ('shop', '0001_squashed_0002_b')"
    )
    migrations = subject(dsn, tool="django", folder=str(tmp_path))
    assert at_head(migrations) == ""
    run("insert into django_migrations values ('shop', '0003_c')")
    assert "1 applied migrations are not in the repository: shop.0003_c" in at_head(migrations)


@pytest.mark.clients
def test_drift_is_named_by_object(dsn: Dsn, run: Run, plain: Path, spare: Dsn) -> None:
    check = "test_migrations_drift"
    assert on_scratch(check, sql(dsn, plain), spare) == ""
    run("drop index a_t; create table by_hand (i integer); grant select on a to pg_monitor")
    run("create schema own; alter table schema_migrations set schema own")
    settings = {"ignore": ["* public.by_hand"], "table": "own.schema_migrations"}
    found = on_scratch(check, sql(dsn, plain, **settings), spare)
    assert "1 object differs from the schema that the migrations create" in found
    assert ": index a_t on public.a is missing" in found


def test_pending_migration_is_not_drift(dsn: Dsn, plain: Path, spare: Dsn) -> None:
    (plain / "03_x.up.sql").write_text("create table x (i integer);")
    assert (
        on_scratch("test_migrations_drift", sql(dsn, plain), spare)
        == "1 migrations of the release are not applied: 03"
    )


def test_migration_that_fails_on_an_empty_database_is_an_error(
    dsn: Dsn, plain: Path, spare: Dsn
) -> None:
    (plain / "01_a.up.sql").write_text("create extension readiness_none;")
    with pytest.raises(CouldNotMeasure, match="01 fails on a scratch server") as problem:
        on_scratch("test_migrations_drift", sql(dsn, plain), spare)
    assert "`base`" in problem.value.remedy


def test_judged_server_is_refused_as_scratch(dsn: Dsn, plain: Path) -> None:
    server = Dsn(make_conninfo(dsn.reveal(), dbname="template1"))
    with pytest.raises(SafetyRefusal, match="is the server of the database that is judged"):
        on_scratch("test_migrations_drift", sql(dsn, plain), server)


def test_nothing_is_left_on_the_scratch_server(dsn: Dsn, run: Run, plain: Path, spare: Dsn) -> None:
    run("create role readiness_only_here")
    try:
        on_scratch("test_migrations_reversible", sql(dsn, plain), spare)
    finally:
        run("drop role readiness_only_here")
    with psycopg.connect(spare.reveal()) as connection:
        query = "select datname from pg_database union select rolname from pg_roles"
        names = {name for (name,) in connection.execute(query)}
    assert not any(name.startswith("readiness") for name in names)


@pytest.mark.parametrize(
    ("down", "expected"),
    [
        ("drop index public.a_t;", ""),
        ("drop index public.a_t; delete from a;", "after its rollback the rows of public.a differ"),
        ("select 1;", "02: after its rollback index a_t on public.a was not expected"),
        ("drop index public.a_s;", "its rollback fails"),
        (None, "02: it has no rollback script"),
    ],
)
def test_rollback(dsn: Dsn, plain: Path, spare: Dsn, down: str | None, expected: str) -> None:
    file = plain / "02_i.down.sql"
    file.unlink() if down is None else file.write_text(down)
    found = on_scratch("test_migrations_reversible", sql(dsn, plain), spare)
    assert says(found, expected), found


def test_a_migration_that_can_run_nowhere_fails(dsn: Dsn, plain: Path, spare: Dsn) -> None:
    (plain / "02_i.up.sql").write_text(
        "create type m as enum ('a'); alter type m add value 'b'; create table e (m m);"
        "create type n as enum ('a');"
    )
    (plain / "03_e.up.sql").write_text(
        "alter type n add value 'b'; alter table e add n n default 'b';"
    )
    (plain / "03_e.down.sql").write_text("alter table e drop n;")
    found = on_scratch("test_migrations_reversible", sql(dsn, plain), spare)
    assert "03: fails on a scratch server: unsafe use of new value" in found


_LEFT_OUT = "select 1; -- THIS OPERATION CANNOT BE WRITTEN AS SQL"


@pytest.mark.parametrize(
    ("change", "accepted", "drift"),
    [
        ("select 1", True, ""),
        ("select 1", False, ""),
        ("alter table x drop j", True, "column j on public.x is missing"),
        ("create table by_python (i integer)", True, None),
    ],
)
def test_drift_is_judged_without_what_is_not_sql(
    dsn: Dsn,
    run: Run,
    tmp_path: Path,
    spare: Dsn,
    change: str,
    *,
    accepted: bool,
    drift: str | None,
) -> None:
    """What Python code alone can have made is no finding, but an error."""
    (tmp_path / "a.py").write_text('revision = "a"\ndown_revision = None\n')
    run("create table x (i integer, j integer); create table alembic_version (version_num text);"
        " insert into alembic_version values ('a')")  # fmt: skip
    run(change)
    migrations = subject(
        dsn,
        tool="alembic",
        folder=str(tmp_path),
        up=[shutil.which("echo") or "echo", f"create table x (i int, j int); {_LEFT_OUT}"],
        down=[shutil.which("echo") or "echo", "drop table x"],
        irreversible=["a"] if accepted else [],
    )
    if drift is None:
        with pytest.raises(CouldNotMeasure, match="a cannot be written as SQL in full"):
            on_scratch("test_migrations_drift", migrations, spare)
    else:
        assert says(on_scratch("test_migrations_drift", migrations, spare), drift)
    for check in ("test_migrations_reversible", "test_migrations_locks"):
        errors = [e.message for e in judged(check, migrations, spare).lost]
        untried = "a has a part that its tool cannot write as SQL, which was not tried"
        assert (untried in errors) != accepted


def test_accepted_irreversible_migration_is_not_tried(dsn: Dsn, plain: Path, spare: Dsn) -> None:
    (plain / "02_i.down.sql").unlink()
    migrations = sql(dsn, plain, irreversible=["02"])
    assert on_scratch("test_migrations_reversible", migrations, spare) == ""


@pytest.mark.parametrize(
    ("up", "expected"),
    [
        (_INDEX, ""),
        ("create table b (i integer);", ""),
        ("create index concurrently a_t on public.a (t);", ""),
        (
            "create index a_t on public.a (t);",
            "Other sessions wait behind migration 02 for more than 1 s",
        ),
        (
            """create table b (i int); set lock_timeout = '100ms';
            drop index concurrently if exists x; alter table a add v int;""",
            "Migration 02 gave up and left 1 object behind: table public.b was not expected",
        ),
    ],
)
def test_locks(dsn: Dsn, plain: Path, spare: Dsn, up: str, expected: str) -> None:
    (plain / "02_i.up.sql").write_text(up)
    found = on_scratch("test_migrations_locks", sql(dsn, plain), spare)
    assert says(found, expected), found


def test_rewrite_of_a_large_table_fails(dsn: Dsn, plain: Path, run: Run, spare: Dsn) -> None:
    (plain / "02_i.up.sql").write_text(
        "set lock_timeout = '100ms'; alter table a add b bigint default (random() * 9)::bigint;"
    )
    assert on_scratch("test_migrations_locks", sql(dsn, plain), spare) == ""
    run("insert into a select n, repeat('x', 500) from generate_series(2, 3000) n")
    found = on_scratch("test_migrations_locks", sql(dsn, plain, rewrite_max_mb=1.0), spare)
    assert "Migration 02 rewrites public.a (" in found


def lint(database: Database) -> str:
    """What squawk finds."""
    evidence = judged("test_migrations_locks", database, None)
    locks, *others = evidence.lost
    assert locks.message == _NO_SCRATCH
    if others:
        raise others[0]
    return "; ".join(evidence.failures)


@pytest.mark.parametrize(
    ("up", "rules"),
    [
        ("begin;\nalter table a add b bigint;\ncommit;", []),
        (
            """begin; commit;
            create index concurrently if not exists a_t on public.a (t);
            begin; commit;""",
            [],
        ),
        ("create index concurrently if not exists a_t on public.a (t);", []),
        (
            """-- migrate:up transaction:false
            create index concurrently if not exists a_t on public.a (t);
            -- migrate:down
            drop table a;""",
            [],
        ),
        ("begin;\nalter table a alter t type varchar(9);\ncommit;", ["changing-column-type"]),
        ("alter type e add value if not exists 'b';", []),
    ],
)
def test_squawk_is_told_about_transactions(
    dsn: Dsn, run: Run, plain: Path, up: str, rules: list[str]
) -> None:
    """What the tool or the file says to begin and end them is no finding."""
    needed(programs.SQUAWK)
    for limit in ("lock_timeout", "statement_timeout"):
        statement = f"alter database %I set {limit} = ''2s''"
        run(f"do $$ begin execute format('{statement}', current_database()); end $$")
    (plain / "02_i.up.sql").write_text(up)
    found = lint(sql(dsn, plain))
    assert [rule for rule in rules if rule in found] == rules
    assert bool(found) == bool(rules), found


def test_timeout_of_the_migrating_role_counts(
    dsn: Dsn, role: Dsn, plain: Path, run: Run, spare: Dsn
) -> None:
    (plain / "02_i.up.sql").write_text("create index a_t on public.a (t);")
    migrator = str(role.words["user"])
    waits = "Other sessions wait behind migration 02 for more than 1 s"
    assert waits in on_scratch("test_migrations_locks", sql(dsn, plain, role=migrator), spare)
    accepted = sql(dsn, plain, role=migrator, lint_exclude=["require-timeout-settings"])
    assert waits not in on_scratch("test_migrations_locks", accepted, spare)
    run(f"alter role {migrator} set lock_timeout = '200ms'")
    assert on_scratch("test_migrations_locks", sql(dsn, plain, role=migrator), spare) == ""


def test_squawk_findings_fail(dsn: Dsn, plain: Path) -> None:
    needed(programs.SQUAWK)
    assert "02, line 2: require-concurrent-index-creation" in lint(sql(dsn, plain))
    rules = ["require-concurrent-index-creation", "require-statement-timeout"]
    assert lint(sql(dsn, plain, lint_exclude=rules)) == ""


@pytest.mark.parametrize("lint", [True, False])
def test_locks_are_judged_without_squawk(
    dsn: Dsn, plain: Path, spare: Dsn, monkeypatch: pytest.MonkeyPatch, lint: bool
) -> None:
    """The missing program is an error with its remedy, unless `lint = false` declares it."""

    def none(program: programs.Program) -> str:
        raise programs.AbsentError("squawk is not installed", remedy=program.remedy)

    monkeypatch.setattr(programs, "find", none)
    evidence = judged("test_migrations_locks", sql(dsn, plain, lint=lint), spare)
    assert "wait" in {m.key for m in evidence.measurements}
    if not lint:
        assert evidence.conclude() is Outcome.PASS
        return
    with pytest.raises(Unreachable, match="squawk is not installed") as problem:
        evidence.conclude()
    assert problem.value.remedy == "pip install squawk-cli"


@pytest.mark.parametrize("said", ["#!/bin/sh\nexit 0\n", "#!/bin/sh\necho oh; exit 1\n"])
def test_squawk_without_a_list_of_findings_is_an_error(
    dsn: Dsn, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    program = tmp_path / "squawk"
    program.write_text(said)
    program.chmod(0o755)
    monkeypatch.setattr(programs, "find", lambda _: str(program))
    with pytest.raises(CouldNotMeasure, match="printed no list of findings"):
        lint(sql(dsn, plain))


def test_sql_printed_by_a_tool_is_run(dsn: Dsn, run: Run, tmp_path: Path, spare: Dsn) -> None:
    """A command that prints stands for alembic: `upgrade base:a --sql`."""
    (tmp_path / "a.py").write_text('revision = "a"\ndown_revision = None\n')
    echo = shutil.which("echo") or "echo"
    run("create table x (i integer); create table alembic_version (version_num text);"
        " insert into alembic_version values ('a')")  # fmt: skip
    migrations = subject(
        dsn,
        tool="alembic",
        folder=str(tmp_path),
        up=[echo, "create table x (i integer); comment on table x is '{previous}:{version}'"],
        down=[echo, "drop table x"],
    )
    assert on_scratch("test_migrations_drift", migrations, spare) == ""
    assert on_scratch("test_migrations_reversible", migrations, spare) == ""
