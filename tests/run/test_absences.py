"""What a target can be seen not to have need not be declared, and is not judged."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from readiness.areas.registry import areas
from readiness.lib import bundle
from readiness.model.secrets import Dsn
from readiness.run import gate

CHECKS = (
    "backup.wal",
    "database.standby-connected",
    "database.timescale",
    "schema.row-security",
)
CONFIG = """
[target]
name = "shop"

[gate]
profile = "full"

[databases.shop]
dsn = "${SHOP}"
"""


def outcomes(folder: Path, dsn: str) -> dict[str, tuple[str, str]]:
    """Outcome and message of the checks, by a run of the shipped suites in the full profile."""
    (folder / "readiness.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "pytest", str(bundle.suites()), "-p", "no:cacheprovider"]
    command += ["-c", str(gate.INI), "-n", "0", "--readiness-record-only"]
    command += ["--rootdir", str(bundle.root()), "--confcutdir", str(bundle.root())]
    command += [word for check in CHECKS for word in ("--readiness-select", check)]
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "SHOP": dsn},
        capture_output=True,
        text=True,
        check=False,
    )
    record = folder / "reports/readiness.json"
    assert record.exists(), ended.stdout + ended.stderr
    found = json.loads(record.read_text())["checks"]
    return {one["id"]: (one["outcome"], one["message"]) for one in found if one["id"] in CHECKS}


def test_what_does_not_exist_is_not_applicable_with_the_query_that_shows_it(
    shop: Dsn, run: Callable[[str], None], tmp_path: Path
) -> None:
    found = outcomes(tmp_path, shop.reveal())
    assert {outcome for outcome, _ in found.values()} == {"not-applicable"}
    told = found["database.standby-connected"][1]
    assert told.startswith("shop has no standby: 0 by select count(*) from")

    run("alter table shop.orders enable row level security")
    found = outcomes(tmp_path, shop.reveal())
    assert found["schema.row-security"][0] == "not-run"
    assert found["database.timescale"][0] == "not-applicable"


def test_a_database_that_does_not_answer_shows_nothing(tmp_path: Path) -> None:
    found = outcomes(tmp_path, "postgresql://nobody@127.0.0.1:1/shop")
    assert {outcome for outcome, _ in found.values()} == {"not-run"}


def test_every_absence_is_of_a_check_that_exists() -> None:
    named = {check for area in areas() for check in area.absences}
    assert named >= set(CHECKS)
    assert named <= bundle.known_ids()
