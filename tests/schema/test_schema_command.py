"""`readiness schema save` against a real server."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from readiness.cli.main import main
from readiness.model.secrets import Dsn

pytestmark = pytest.mark.contract

Run = Callable[[str], None]


@pytest.fixture
def config(dsn: Dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEST_DSN", dsn.reveal())
    path = tmp_path / "readiness.toml"
    path.write_text(
        '[target]\nname = "t"\n[databases.orders]\ndsn = "${TEST_DSN}"\n'
        f'[databases.orders.schema]\nmanifest = "{tmp_path / "schema.json"}"\n'
    )
    return path


def save(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["schema", "save", *arguments, "--config", str(config)])


def test_what_was_saved_is_compared_with_what_is(config: Path, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    run("create table a (i integer)")
    assert save(config, "--check").exit_code == 2, "there is nothing to compare with"
    first = save(config)
    assert (first.exit_code, "wrote" in first.output) == (0, True)
    assert "table public.a" in json.loads(path.read_text())["objects"]
    assert save(config, "orders", "--check").exit_code == 0

    run("alter table a add column j integer")
    checked = save(config, "--check")
    assert checked.exit_code == 1
    assert "column j on public.a was not expected" in checked.output
    again = save(config)
    assert "1 differ from before" in again.output
    assert save(config, "--check").exit_code == 0
    assert [file.name for file in tmp_path.iterdir() if "partial" in file.name] == []


def test_it_is_written_where_it_is_asked_for(config: Path, tmp_path: Path) -> None:
    assert save(config, "--to", str(tmp_path / "other.json")).exit_code == 0
    assert (tmp_path / "other.json").exists()
    gone = save(config, "--to", str(tmp_path / "gone" / "other.json"))
    assert gone.exit_code == 2
    assert "cannot be written: No such file" in gone.stderr


def test_a_database_that_is_not_there(config: Path) -> None:
    found = save(config, "order")
    assert found.exit_code == 2
    assert "no database order is configured. Did you mean 'orders'?" in found.stderr


def test_a_file_that_is_something_else_is_not_overwritten(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text("precious")
    assert save(config).exit_code == 2
    assert path.read_text() == "precious"
