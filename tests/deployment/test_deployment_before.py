"""What [deployment.*] refuses, and which checks its tables declare."""

from pathlib import Path

import pytest

from readiness.config.loading import load
from readiness.config.models import Config
from readiness.config.subjects import subjects
from readiness.model.errors import ConfigError

HEAD = """
[target]
name = "shop"
release = "1.5.0"
[deployment]
url = "http://shop.example.com/version"
"""
OLD = "previous = '1'\n[deployment.compatibility]\ndatabase = 'x'\nstart = ['x']\n"
KINDS = ("deployment_host", "runtime_host", "deployment_files", "saved_layer", "start_order",
         "kept_deployment", "reported_deployment", "compatible_deployment")  # fmt: skip


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
            "is no regular expression",
        ),
        ("[deployment.artifact]\ncommand = ['{release}']\n", "says what to go back to"),
        (
            OLD + "smoke = ['/']",
            "[databases.x] does not exist",
        ),
        (OLD, "smoke"),
    ],
)
def test_what_would_judge_nothing_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config(tmp_path, text)
    assert told in str(refused.value)


def test_a_table_that_is_not_there_declares_nothing(tmp_path: Path) -> None:
    bare = config(tmp_path, "")
    assert [subjects(bare, kind) for kind in KINDS] == [[]] * len(KINDS)
    host = config(tmp_path, "[deployment.host]\n")
    assert [s.name for s in subjects(host, "deployment_host")] == ["host"]
    assert subjects(host, "runtime_host") == []


def test_each_layer_is_a_subject(tmp_path: Path) -> None:
    text = "[deployment.layers.{0}]\npath = '/{0}'\n"
    found = config(tmp_path, text.format("files") + text.format("database"))
    assert [s.name for s in subjects(found, "saved_layer")] == ["database", "files"]
