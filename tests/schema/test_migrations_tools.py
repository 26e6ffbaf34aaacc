"""What is read of migrations, against what the tools themselves would run next."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from readiness.areas.schema.config import Database
from readiness.config.base.migrations import Migrations
from readiness.lib.migrations.model import State
from readiness.lib.migrations.reading import state_of
from readiness.lib.migrations.scratch import scratch
from readiness.lib.postgres import connect
from readiness.model.evidence import Evidence
from readiness.model.secrets import Dsn
from readiness.servers.postgres import SCRATCH, PrivatePostgres
from tests.support.monitored_service import suite

pytestmark = [pytest.mark.contract, pytest.mark.server]

ALEMBIC_ENV = """
import os, psycopg, sqlalchemy
from alembic import context
print(*(f"head {head}" for head in context.script.get_heads()), sep="\\n")
engine = sqlalchemy.create_engine(
    "postgresql+psycopg://", creator=lambda: psycopg.connect(os.environ["TEST_DSN"])
)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        on_version_apply=lambda step, **_: print("ran", step.up_revision_id),
    )
    with context.begin_transaction():
        context.run_migrations()
"""
EITHER_ENV = """
from alembic import context
if context.is_offline_mode():
    context.configure(dialect_name="postgresql")
    with context.begin_transaction():
        context.run_migrations()
else:
"""
REVISION = """
from typing import Sequence, Union
revision: str = {version!r}
down_revision: Union[str, Sequence[str], None] = {down!r}
branch_labels: Union[str, Sequence[str], None] = {label!r}
depends_on: Union[str, Sequence[str], None] = {needs!r}
def upgrade() -> None: pass
def downgrade() -> None: pass
"""
SETTINGS = """
import os, psycopg.conninfo
words = psycopg.conninfo.conninfo_to_dict(os.environ["TEST_DSN"])
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": words["dbname"], "USER": words.get("user"),
    "PASSWORD": words.get("password"), "HOST": words.get("host"), "PORT": words.get("port"),
}}
INSTALLED_APPS = ["shop", "stock"]
"""
DRIVE_ALEMBIC = """
import sys
from alembic.config import main
for line in sys.argv[1:]: main(argv=line.split())
"""
DRIVE_DJANGO = """
import sys, django
from django.core.management import call_command
django.setup()
for line in sys.argv[1:]:
    try: call_command(*line.split())
    except SystemExit as ended: print("ended with", ended.code)
"""
MIGRATION = """
from django.db import migrations
class Migration(migrations.Migration):
    dependencies = {needs!r}
    replaces = {replaces!r}
"""
Down = str | tuple[str, ...] | None


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dsn]:
    """A scratch server, empty."""
    folder = tmp_path_factory.mktemp("scratch")
    with PrivatePostgres.start(folder, settings=SCRATCH) as running:
        yield Dsn(running.dsn())


def told(dsn: Dsn, folder: Path, program: str, *lines: str) -> list[str]:
    """The lines that a tool prints when it is called in a folder, once for each line."""
    ended = subprocess.run(
        [sys.executable, "-c", program, *lines],
        cwd=folder,
        env={**os.environ, "TEST_DSN": dsn.reveal(), "DJANGO_SETTINGS_MODULE": "settings"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout.splitlines()


def read(dsn: Dsn, **settings: Any) -> State:
    with connect(dsn, timeout_s=10) as connection:
        return state_of(connection, Migrations.model_validate(settings))[0]


@pytest.mark.parametrize(
    ("reached", "needed"),
    [
        (["d"], None),
        (["b", "c", "x"], "c"),
        (["y"], "c"),
        (["y"], "e"),
        (["e"], "line"),
    ],
)
def test_alembic_runs_exactly_what_is_pending(
    dsn: Dsn, tmp_path: Path, reached: list[str], needed: Down
) -> None:
    graph: dict[str, tuple[Down, Down]] = {
        "a": (None, None),
        "b": ("a", None),
        "c": ("a", None),
        "d": (("b", "c"), None),
        "e": ("d", None),
        # A branch of its own, which needs what the other one makes.
        "x": (None, None),
        "y": ("x", needed),
    }
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(ALEMBIC_ENV)
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s\n")
    for version, (down, needs) in graph.items():
        label = ("line",) if version == "a" else None
        text = REVISION.format(version=version, down=down, label=label, needs=needs)
        (tmp_path / "versions" / f"{version}.py").write_text(text)
    told(dsn, tmp_path, DRIVE_ALEMBIC, *(f"upgrade {version}" for version in reached))

    before = read(dsn, tool="alembic", folder=str(tmp_path / "versions"))
    said = told(dsn, tmp_path, DRIVE_ALEMBIC, "upgrade heads")
    after = read(dsn, tool="alembic", folder=str(tmp_path / "versions"))

    ours = [f"ran {version}" for version in before.pending]
    assert {*ours, *(f"head {version}" for version in before.heads)} == {*said}
    assert (after.pending, before.unknown, after.unknown) == ((), (), ())


_STEP = "    op.execute({!r})\n"
_ALONE = """    with op.get_context().autocommit_block():
        op.execute({!r})
"""


def test_what_alembic_prints_of_a_graph_leads_to_its_schema(
    dsn: Dsn, tmp_path: Path, spare: Dsn
) -> None:
    """Labels, a dependency, a merge, and an index that is built outside of a transaction."""
    index = "create index concurrently if not exists ta_i on ta (i)"
    graph: dict[str, tuple[Down, str, str]] = {
        "a1": (None, _STEP.format("create table ta (i int)"), _STEP.format("drop table ta")),
        "b1": (None, _STEP.format("create table tb (i int)"), _STEP.format("drop table tb")),
        "b2": ("b1", _STEP.format("create table tc (i int)"), _STEP.format("drop table tc")),
        "m": (("a1", "b2"), _ALONE.format(index), _ALONE.format("drop index concurrently ta_i")),
    }
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(EITHER_ENV + indent(ALEMBIC_ENV, "    "))
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s\n")
    for version, (down, up, back) in graph.items():
        needs = "a1" if version == "b2" else None
        label = {"a1": ("billing",), "b1": ("mail",)}.get(version)
        text = REVISION.format(version=version, down=down, label=label, needs=needs)
        head, _, _ = text.partition("def upgrade")
        (tmp_path / "versions" / f"{version}.py").write_text(
            f"from alembic import op{head}def upgrade() -> None:\n{up}"
            f"def downgrade() -> None:\n{back}"
        )
    told(dsn, tmp_path, DRIVE_ALEMBIC, "upgrade heads")
    tool = [sys.executable, "-m", "alembic", "-c", str(tmp_path / "alembic.ini")]
    settings: dict[str, Any] = {
        "tool": "alembic",
        "folder": str(tmp_path / "versions"),
        "up": [*tool, "upgrade", "{previous}:{version}", "--sql"],
        "down": [*tool, "downgrade", "{version}:{previous}", "--sql"],
        "newest": 1,
    }
    assert failures("test_migrations_drift", dsn, spare, settings) == []
    assert failures("test_migrations_reversible", dsn, spare, settings) == []


def failures(name: str, dsn: Dsn, spare: Dsn, settings: dict[str, Any]) -> list[str]:
    """What a check of migrations finds, with a scratch server; all of it must be measured."""
    function = getattr(suite("schema.test_migrations"), name)
    evidence = Evidence(function.__readiness_check__.judgements)
    made = Migrations.model_validate(settings)
    database = Database(name="db", dsn=dsn, migrations=made)
    function(database, lambda asked: scratch(spare, asked.dsn), evidence)
    assert not evidence.lost
    return [*evidence.failures]


@pytest.mark.parametrize(
    ("reached", "squashed", "removed"),
    [
        (["shop 0001"], False, False),
        (["stock 0001"], False, False),
        (["shop 0003", "stock 0001"], False, False),
        (["shop 0002"], True, False),
        (["shop 0003"], True, False),
        (["shop 0003", "stock"], True, True),
    ],
)
def test_django_runs_exactly_what_is_pending(
    dsn: Dsn, tmp_path: Path, reached: list[str], *, squashed: bool, removed: bool
) -> None:
    def write(version: str, *needs: str, replaces: tuple[str, ...] = ()) -> Path:
        app, _, name = version.partition(".")
        folder = tmp_path / app / "migrations"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
        path = folder / f"{name}.py"
        pairs = [tuple(need.split(".")) for need in needs]
        path.write_text(
            MIGRATION.format(needs=pairs, replaces=[tuple(r.split(".")) for r in replaces])
        )
        return path

    (tmp_path / "settings.py").write_text(SETTINGS)
    write("shop.0001_a")
    old = [write("shop.0002_b", "shop.0001_a"), write("shop.0003_c", "shop.0002_b")]
    write("stock.0001_a", "shop.0002_b")
    write("stock.0002_b", "stock.0001_a", "shop.0003_c")
    told(dsn, tmp_path, DRIVE_DJANGO, *(f"migrate {target}" for target in reached))
    if squashed:
        write("shop.0002_s", "shop.0001_a", replaces=("shop.0002_b", "shop.0003_c"))
    if removed:
        for path in old:
            path.unlink()

    before = read(dsn, tool="django", folder=str(tmp_path))
    said = told(dsn, tmp_path, DRIVE_DJANGO, "showmigrations --plan", "migrate --check", "migrate")
    after = read(dsn, tool="django", folder=str(tmp_path))

    # One that replaces others counts as applied as soon as they are.
    planned = {line.split()[2] for line in said if line.startswith("[ ]")}
    assert {*before.pending} - {"shop.0002_s"} == planned
    assert ("ended with 1" in said) == bool(before.pending)
    assert (after.pending, before.unknown, after.unknown) == ((), (), ())


MANAGE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
OPERATIONS = {
    "0001_a": "migrations.CreateModel('Part', [('id', models.BigAutoField(primary_key=True))])",
    "0002_b": "migrations.AddField('Part', 'k', models.IntegerField(null=True))",
    "0003_c": "migrations.AddField('Part', 'l', models.IntegerField(null=True))",
    "0002_s": "migrations.AddField('Part', 'k', models.IntegerField(null=True)),"
    " migrations.AddField('Part', 'l', models.IntegerField(null=True))",
    "0004_d": "migrations.RunPython(lambda apps, editor: None, migrations.RunPython.noop)",
}
NEEDS = {"0002_b": "0001_a", "0003_c": "0002_b", "0002_s": "0001_a", "0004_d": "0003_c"}


def test_what_django_prints_leads_to_its_schema(
    dsn: Dsn, tmp_path: Path, spare: Dsn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With those that were squashed still beside the squashed one, and Python code that fills."""
    monkeypatch.setenv("TEST_DSN", dsn.reveal())
    folder = tmp_path / "shop" / "migrations"
    folder.mkdir(parents=True)
    for path in (folder, folder.parent):
        (path / "__init__.py").touch()
    (tmp_path / "settings.py").write_text(SETTINGS.replace(', "stock"', ""))
    manage = tmp_path / "manage.py"
    manage.write_text(MANAGE)
    for name, operations in OPERATIONS.items():
        needs = [("shop", NEEDS[name])] if name in NEEDS else []
        replaces = [("shop", "0002_b"), ("shop", "0003_c")] if name == "0002_s" else []
        (folder / f"{name}.py").write_text(
            f"from django.db import models\n{MIGRATION.format(needs=needs, replaces=replaces)}"
            f"    operations = [{operations}]\n"
        )
    told(dsn, tmp_path, DRIVE_DJANGO, "migrate")
    settings = {
        "tool": "django",
        "folder": str(tmp_path),
        "up": [sys.executable, str(manage), "sqlmigrate", "{app}", "{version}"],
    }
    assert failures("test_migrations_drift", dsn, spare, settings) == []
