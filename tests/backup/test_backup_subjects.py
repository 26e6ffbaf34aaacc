"""Which checks a backup gets, by what its table declares."""

from pathlib import Path

import pytest

from readiness.config.loading import load
from readiness.config.subjects import subjects
from readiness.model.errors import ConfigError

BASE = """
[target]
name = "shop"
[databases.shop]
dsn = "postgresql://me@127.0.0.1:1/shop"
[backup.dumps]
database = "shop"
path = "/backups"
[backup.wal]
database = "shop"
path = "/repository"
tool = "{tool}"
{more}
[backup.wal.physical]
{physical}
"""
COMMAND = 'command = ["tool"]'
DSN = 'dsn = "postgresql://drill@127.0.0.1:1/shop"'


def kinds(tmp_path: Path, tool: str, physical: str = COMMAND, more: str = "") -> set[str]:
    """The kinds that the physical backup is a subject of."""
    path = tmp_path / "readiness.toml"
    path.write_text(BASE.format(tool=tool, physical=physical, more=more))
    config = load(path, {}).config.named()
    names = (
        "backup", "dump_backup", "restorable_backup", "encrypted_backup", "promised_backup",
        "physical_backup", "archived_backup", "drilled_backup", "drilled_restorable_backup",
        "controlled_backup",
    )  # fmt: skip
    return {kind for kind in names if "wal" in {s.name for s in subjects(config, kind)}}


def test_what_every_tool_gets(tmp_path: Path) -> None:
    common = {"backup", "physical_backup"}
    archive = {"archived_backup", "controlled_backup"}
    assert kinds(tmp_path, "pgbackrest") == common | archive | {"restorable_backup"}
    assert kinds(tmp_path, "barman") == common | archive | {"restorable_backup"}
    assert kinds(tmp_path, "wal-g") == common | archive
    assert kinds(tmp_path, "basebackup") == common | {"restorable_backup"}


def test_a_role_for_the_drills_brings_them(tmp_path: Path) -> None:
    drilled = {"drilled_backup", "drilled_restorable_backup"}
    assert drilled <= kinds(tmp_path, "pgbackrest", f"{COMMAND}\n{DSN}")
    assert kinds(tmp_path, "wal-g", f"{COMMAND}\n{DSN}") & drilled == {"drilled_backup"}
    assert not kinds(tmp_path, "basebackup", DSN) & drilled


def test_an_rpo_needs_something_that_measures_it(tmp_path: Path) -> None:
    assert "promised_backup" not in kinds(tmp_path, "pgbackrest", more="rpo_s = 60")
    heartbeat = COMMAND + chr(10) + 'heartbeat_sql = "table heartbeat"'
    assert "promised_backup" in kinds(tmp_path, "pgbackrest", heartbeat, "rpo_s = 60")


def test_a_tool_and_its_table_need_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="need each other"):
        kinds(tmp_path, "dump")
