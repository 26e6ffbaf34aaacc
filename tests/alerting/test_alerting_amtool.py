"""Computed routes against Alertmanager's own tool, on many trees."""

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.alerting.alertmanager_config import parse
from readiness.areas.alerting.reach import routes_of
from readiness.servers import programs
from tests.support.processes import needed

pytestmark = pytest.mark.contract

NAMES = ("severity", "team", "env")
VALUES = ("critical", "warning", "a", "b", "A", "a,b", 'q"q', "")
REGEXES = (
    "critical|warning", "a.*", "[ab]+", "(?i)a", ".+", "", "b?", "[^a]+", r"\w+", "a|",
    r"\pL+", "[[:^lower:]]+", "(?i)größe", r"\PL|a\z", "(?U)a+b?",
)  # fmt: skip
TREES, ALERTS = 60, 4


def matcher(chance: random.Random) -> str:
    op = chance.choice(["=", "!=", "=~", "!~"])
    value = chance.choice(REGEXES if "~" in op else VALUES)
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{chance.choice(NAMES)}{op}"{quoted}"'


def route(chance: random.Random, depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {"routes": []}
    if chance.random() < 0.8:
        made["receiver"] = f"r{chance.randrange(6)}"
    made["continue"] = chance.random() < 0.4
    style = chance.choice(["matchers", "match", "match_re", "both"])
    if style in {"matchers", "both"}:
        made["matchers"] = [matcher(chance) for _ in range(chance.randrange(3))]
    if style in {"match", "both"}:
        made["match"] = {chance.choice(NAMES): chance.choice(VALUES)}
    if style == "match_re":
        made["match_re"] = {chance.choice(NAMES): chance.choice(REGEXES)}
    if depth:
        made["routes"] = [route(chance, depth - 1) for _ in range(chance.randrange(4))]
    return made


def tree(chance: random.Random) -> dict[str, Any]:
    return {
        "route": {"receiver": "r0", "routes": [route(chance, 2) for _ in range(4)]},
        "receivers": [{"name": f"r{number}"} for number in range(6)],
    }


def labels(chance: random.Random) -> dict[str, str]:
    values = ("critical", "warning", "a", "b", "A", "ab", "c", "GRÖßE", "1")
    return {name: chance.choice(values) for name in NAMES if chance.random() < 0.7}


@pytest.mark.parametrize("seed", range(TREES))
@pytest.mark.fast
def test_every_alert_takes_the_routes_that_amtool_names(tmp_path: Path, seed: int) -> None:
    amtool = needed(programs.AMTOOL)
    chance = random.Random(seed)  # noqa: S311 - the same trees each time
    file = tmp_path / "alertmanager.yml"
    file.write_text(json.dumps(tree(chance)))
    config = parse(file.read_text())
    for _ in range(ALERTS):
        alert = labels(chance)
        ended = subprocess.run(
            [amtool, "config", "routes", "test", f"--config.file={file}",
             *(f"{name}={value}" for name, value in alert.items())],
            capture_output=True, text=True, check=True, timeout=20,
        )  # fmt: skip
        ours = [hop.receiver for hop in routes_of(config, alert)]
        assert ended.stdout.strip().split(",") == ours, (file.read_text(), alert)
