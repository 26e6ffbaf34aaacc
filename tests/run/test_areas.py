"""An area can be taken away: the engine names none, and the others do not need it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from readiness.areas.registry import NAMES
from readiness.lib import bundle

CONFIG = """
[target]
name = "small"
release = "1.0"
deployer = "bot"

[services.web]
url = "http://127.0.0.1:9"

[databases.shop]
dsn = "postgresql://nobody@127.0.0.1:9/shop"

[signoffs]
required = ["uat"]
"""


def without(area: str, folder: Path) -> Path:
    """A copy of the product in which this area never was."""
    copy = folder / "copy"
    for name in ("readiness", "suites", "fixtures"):
        # With its bytecode: nine copies would take a minute to compile.
        ignore = shutil.ignore_patterns("fixtures") if name == "readiness" else None
        shutil.copytree(bundle.root() / name, copy / name, ignore=ignore)
    (copy / "readiness" / "fixtures").symlink_to("../fixtures")
    shutil.copy(bundle.root() / "conftest.py", copy)
    shutil.rmtree(copy / "readiness" / "areas" / area)
    shutil.rmtree(copy / "suites" / area)
    registry = copy / "readiness" / "areas" / "registry.py"
    registry.write_text(registry.read_text().replace(f'    "{area}",\n', "", 1))
    ids = copy / "suites" / bundle.IDS
    kept = [line for line in ids.read_text().splitlines() if not line.startswith(f"{area}.")]
    ids.write_text("\n".join(kept))
    return copy


def readiness(copy: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "readiness", *arguments],
        cwd=copy.parent, env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("area", NAMES)
def test_without_an_area_the_rest_runs(area: str, tmp_path: Path) -> None:
    copy = without(area, tmp_path)
    (tmp_path / "readiness.toml").write_text(CONFIG)
    listed = readiness(copy, "list", "--format", "json")
    assert listed.returncode == 0, listed.stderr
    suites = {check["suite"] for check in json.loads(listed.stdout)}
    assert suites == set(NAMES) - {area}
    ended = readiness(
        copy, "run", "-n", "0", "--suite", "signoff" if area != "signoff" else "schema"
    )
    assert ended.returncode in {1, 3}, ended.stderr
    record = json.loads((tmp_path / "reports" / "readiness.json").read_text())
    assert {check["suite"] for check in record["checks"]}.isdisjoint({area})
