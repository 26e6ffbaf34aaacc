"""Which checks a backup gets, by what its table declares."""

from pathlib import Path
from typing import Final

import pytest

from readiness.config.loading import load
from readiness.config.subjects import subjects, undeclared
from readiness.model.errors import ConfigError
from readiness.run import catalogue

BASE: Final = """
[target]
name = "shop"
[databases.shop]
dsn = "postgresql://me@127.0.0.1:1/shop"
[backup.{name}]
database = "shop"
path = "/backups"
"""
WAL: Final = BASE.format(name="wal") + 'tool = "{tool}"\n{more}[backup.wal.physical]\n{physical}\n'
COMMAND: Final = 'command = ["tool"]\n'
DSN: Final = 'dsn = "postgresql://drill@127.0.0.1:1/shop"\n'
RESTORE: Final = """[backup.wal.physical.commands]
list = ["list"]
verify = ["verify"]
segments = ["segments"]
restore = ["restore"]
"""
ALWAYS: Final = {"fresh", "tool-verified"}
RESTORED: Final = {"restores", "recovery-objectives"}


def checks(tmp_path: Path, text: str) -> set[str]:
    """The checks of this area that have a subject."""
    path = tmp_path / "readiness.toml"
    path.write_text(text)
    config = load(path, {}).config.named()
    return {
        spec.id.removeprefix("backup.")
        for spec in (entry.spec for entry in catalogue.entries())
        if spec.id.startswith("backup.") and subjects(config, spec.each, spec.needs)
    }


@pytest.mark.parametrize(
    ("tool", "physical", "expected"),
    [
        ("pgbackrest", COMMAND, {"wal"} | RESTORED),
        ("barman", COMMAND, {"wal"} | RESTORED),
        ("wal-g", COMMAND, {"wal"}),
        ("wal-g", COMMAND + RESTORE, {"wal"} | RESTORED),
        ("basebackup", "", RESTORED),
        # A role for the drills declares them.
        (
            "pgbackrest",
            COMMAND + DSN,
            {"wal", "archive-end-to-end", "point-in-time"} | RESTORED,
        ),
        ("wal-g", COMMAND + DSN, {"wal", "archive-end-to-end"}),
        ("basebackup", DSN, RESTORED),
    ],
)
def test_tool_declares_its_checks(
    tmp_path: Path, tool: str, physical: str, expected: set[str]
) -> None:
    text = WAL.format(tool=tool, physical=physical, more="")
    assert checks(tmp_path, text) == ALWAYS | expected


def test_key_declares_a_check(tmp_path: Path) -> None:
    text = BASE.format(name="dumps")
    assert checks(tmp_path, text) == {"fresh"} | RESTORED
    more = 'retention_days = 7\nencrypted = true\n[backup.dumps.copies.far]\nfolder = "/far"\n'
    assert checks(tmp_path, text + more) == (
        {"fresh", "retention", "encrypted", "off-site"} | RESTORED
    )


def test_missing_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "readiness.toml"
    path.write_text(BASE.format(name="dumps"))
    config = load(path, {}).config.named()
    assert undeclared(config, "backup", ["retention_days"]) == (
        "set `retention_days` in [backup.dumps]"
    )
    assert undeclared(config, "backup", ["archives_wal"]) == (
        "in [backup.dumps], set `tool` to one that archives WAL:"
        " pgbackrest, barman, wal-g or command"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (WAL.format(tool="dump", physical=COMMAND, more=""), "need each other"),
        (BASE.format(name="dumps") + "restore_level = 6", "needs the table `application`"),
        (
            BASE.format(name="dumps") + "restore_level = 7\n[backup.dumps.application]\n"
            'role = "app"\nreads = ["select 1"]\nwrites = ["select 1"]',
            "needs `rpo_s`",
        ),
    ],
)
def test_contradicting_keys_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        checks(tmp_path, text)


def test_dumped_from_names_a_database(tmp_path: Path) -> None:
    path = tmp_path / "readiness.toml"
    path.write_text(BASE.format(name="shop") + 'dumped_from = "replica"\n')
    with pytest.raises(ConfigError, match="replica"):
        load(path, {})
