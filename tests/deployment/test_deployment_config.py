"""Invalid tables of [deployment], and the subjects that valid ones declare."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from readiness.areas.deployment.config import Deployment
from readiness.config.loading import load
from readiness.config.models import Config
from readiness.config.subjects import subjects, undeclared
from readiness.model.errors import ConfigError

HEAD = """
[target]
name = "shop"
release = "1.5.0"
[deployment]
url = "http://shop.example.com/version"
"""
OLD = "previous = '1'\n[deployment.compatibility]\ndatabase = 'x'\nstart = ['x']\n"
TABLES = ("adapter", "host", "files", "order", "artifact", "compatibility")


def config(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "readiness.toml"
    path.write_text(HEAD + text)
    return load(path, {}).config


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[deployment.files]\n", "needs `parse` or `commands`"),
        ("[deployment.host]\ndisk_paths = []\n", "disk_paths"),
        ("[deployment.host]\nmin_runtime = '20.x'\n", "min_runtime"),
        ("previous = '1'\n[deployment.artifact]\ncommand = ['ls']\n", "must contain {release}"),
        (
            "previous = '1'\n[deployment.artifact]\ncommand = ['{release}']\nprints = '{release}('",
            "is not a valid regular expression",
        ),
        (
            "[deployment.artifact]\ncommand = ['{release}']\n",
            "needs `previous`, the release to roll back to",
        ),
        (
            OLD + "smoke = ['/']",
            "[databases.x] does not exist",
        ),
        (OLD, "smoke"),
    ],
)
def test_invalid_tables_are_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config(tmp_path, text)
    assert told in str(refused.value)


def test_a_missing_table_declares_no_subject(tmp_path: Path) -> None:
    bare = config(tmp_path, "")
    assert [s.name for s in subjects(bare, "deployment")] == ["deployment"]
    assert [subjects(bare, "deployment", [key]) for key in TABLES] == [[]] * len(TABLES)
    assert undeclared(bare, "deployment", ["host"]) == "add [deployment.host]"
    host = config(tmp_path, "[deployment.host]\n")
    assert [s.name for s in subjects(host, "deployment", ["host"])] == ["deployment"]


def test_each_layer_is_a_subject(tmp_path: Path) -> None:
    text = "[deployment.layers.{0}]\npath = '/{0}'\n"
    found = config(tmp_path, text.format("files") + text.format("database"))
    assert [s.name for s in subjects(found, "saved_layer")] == ["database", "files"]


def test_files_and_order_need_no_url() -> None:
    found = Deployment.model_validate(
        {"order": {"compose": ["compose.yaml", "prod.yaml"]}, "files": {"parse": ["*.cfg"]}}
    )
    assert found.url == ""
    assert found.order is not None
    assert found.order.files == ["compose.yaml", "prod.yaml"]
    with pytest.raises(ValidationError, match="`slow_request` needs `url`"):
        Deployment.model_validate({"slow_request": {"path": "/x", "stop_one": ["x"]}})
