"""Compose files are read as compose reads them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from readiness.areas.deployment.config import Order
from readiness.areas.deployment.probes.start_order import read_order
from readiness.lib.compose_file import (
    UnreadableError,
    env_file,
    interpolated,
    read,
)
from readiness.model.errors import ReadinessError
from tests.support.drilled_target import programs

GIVEN = {"SET": "x", "EMPTY": "", "OTHER": "y"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$SET-${SET}-${NONE}-$NONE.", "x-x--."),
        ("$$SET $${SET} $ 5", "$SET ${SET} $ 5"),
        ("${NONE:-a} ${EMPTY:-a} ${SET:-a}", "a a x"),
        ("${NONE-a} ${EMPTY-a} ${SET-a}", "a  x"),
        ("${SET:+a} ${EMPTY:+a} ${NONE:+a} ${EMPTY+a}", "a   a"),
        ("${NONE:-${OTHER:-z}} ${NONE:-${NO:-${NEVER-z}}}", "y z"),
        ("${SET:?must be set} ${EMPTY?must}", "x "),
        ("${NONE:-http://a:1/b?c}", "http://a:1/b?c"),
    ],
)
def test_variables_are_filled_in(text: str, value: str) -> None:
    assert interpolated(text, GIVEN) == value


@pytest.mark.parametrize("text", ["${NONE:?say so}", "${EMPTY:?}", "${NONE?}", "${SET", "${1}"])
def test_what_compose_refuses_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableError):
        interpolated(text, GIVEN)


def test_env_file_is_read_as_compose_does(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "# first\nA=1\nexport B = two words # not this\nC='$A #'\nD=\"${A}1\"\nE=a#b\nF=\n"
        "not a line\n"
    )
    assert env_file(tmp_path / ".env") == {
        "A": "1", "B": "two words", "C": "$A #", "D": "11", "E": "a#b", "F": ""
    }  # fmt: skip


HEALTHY = "{test: [CMD, pg_isready], interval: 10s, retries: 30}"
WAITS = "{db: {condition: service_healthy}}"
LISTED = f"services: {{app: {{depends_on: [x]}}, x: {{}}, db: {{healthcheck: {HEALTHY}}}}}"
# Name -> the files, and what is found in them: loose, unchecked and unknown dependencies.
PROJECTS: dict[str, tuple[dict[str, str], tuple[int, int, int]]] = {
    "one file": (
        {"c.yaml": f"services: {{app: {{depends_on: {WAITS}}}, db: {{healthcheck: {HEALTHY}}}}}"},
        (0, 0, 0),
    ),
    "tags in one file": (
        {"c.yaml": f"services:\n  app:\n    ports: !reset []\n    depends_on: !override {WAITS}\n"
                   f"  db: {{healthcheck: {HEALTHY}}}\n"},
        (0, 0, 0),
    ),
    "the health check is in the second file": (
        {"a.yaml": f"services: {{app: {{depends_on: {WAITS}}}, db: {{image: postgres}}}}",
         "b.yaml": f"services: {{db: {{healthcheck: {HEALTHY}}}}}"},
        (0, 0, 0),
    ),
    "the second file adds a dependency to a list": (
        {"a.yaml": LISTED,
         "b.yaml": f"services: {{app: {{depends_on: {WAITS}}}}}"},
        (1, 0, 0),
    ),
    "the second file overrides the dependencies": (
        {"a.yaml": LISTED,
         "b.yaml": f"services: {{app: {{depends_on: !override {WAITS}}}}}"},
        (0, 0, 0),
    ),
    "the second file resets the health check": (
        {"a.yaml": f"services: {{app: {{depends_on: {WAITS}}}, db: {{healthcheck: {HEALTHY}}}}}",
         "b.yaml": "services: {db: {healthcheck: !reset null}}"},
        (0, 1, 0),
    ),
    "the second file replaces the test": (
        {"a.yaml": f"services: {{app: {{depends_on: {WAITS}}}, db: {{healthcheck: {HEALTHY}}}}}",
         "b.yaml": "services: {db: {healthcheck: {test: [CMD, 'true']}}}"},
        (0, 1, 0),
    ),
    "extends a service of the file": (
        {"c.yaml": f"services: {{base: {{healthcheck: {HEALTHY}}}, db: {{extends: base}},"
                   f" app: {{depends_on: {WAITS}}}}}"},
        (0, 0, 0),
    ),
    "extends twice, in another folder": (
        {"c.yaml": f"services: {{db: {{extends: {{file: sub/a.yaml, service: db}}}},"
                   f" app: {{depends_on: {WAITS}}}}}",
         "sub/a.yaml": "services: {db: {extends: {file: b.yaml, service: any}, image: x}}",
         "sub/b.yaml": f"services: {{any: {{healthcheck: {HEALTHY}}}}}"},
        (0, 0, 0),
    ),
    "includes": (
        {"c.yaml": f"include: [db/compose.yaml]\nservices: {{app: {{depends_on: {WAITS}}}}}",
         "db/compose.yaml": f"services: {{db: {{healthcheck: {HEALTHY}}}}}"},
        (0, 0, 0),
    ),
    "includes with variables of its folder": (
        {"c.yaml": "include: [{path: [db/compose.yaml, db/more.yaml]}]\n"
                   f"services: {{app: {{depends_on: {WAITS}}}}}",
         "db/.env": "READINESS_TEST_HC=pg_isready\n",
         "db/compose.yaml": "services: {db: {image: x}}",
         "db/more.yaml": "services: {db: {healthcheck: {test: '${READINESS_TEST_HC:-true}'}}}"},
        (0, 0, 0),
    ),
    "variables of .env": (
        {".env": "READINESS_TEST_C=service_healthy\n",
         "c.yaml": "services: {app: {depends_on: {db: {condition: '${READINESS_TEST_C}'}}},"
                   f" db: {{healthcheck: {HEALTHY}}}}}"},
        (0, 0, 0),
    ),
    "a default": (
        {"c.yaml": f"services: {{app: {{depends_on: {WAITS}}}, db: {{healthcheck: "
                   "{test: pg_isready, interval: '${READINESS_TEST_I:-10s}'}}}"},
        (0, 0, 0),
    ),
    "not required": (
        {"c.yaml": "services: {app: {depends_on: {db: {condition: service_healthy,"
                   " required: false}}}}"},
        (0, 0, 0),
    ),
    "an anchor and an extension field": (
        {"c.yaml": f"x-hc: &hc {HEALTHY}\nservices: {{app: {{depends_on: {WAITS}}},"
                   " db: {healthcheck: {<<: *hc, retries: 2}}}"},
        (0, 0, 0),
    ),
}  # fmt: skip


def put(folder: Path, files: dict[str, str]) -> list[Path]:
    """Write the files; returns those of the project itself."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return [folder / name for name in files if "/" not in name and name != ".env"]


@pytest.mark.parametrize("name", PROJECTS)
def test_projects_are_read_as_a_whole(name: str, tmp_path: Path) -> None:
    files, counts = PROJECTS[name]
    paths = [str(path) for path in put(tmp_path, files)]
    found = read_order(Order(compose=paths if len(paths) > 1 else paths[0]))
    assert (len(found.loose), len(found.unchecked), len(found.unknown)) == counts


@pytest.mark.parametrize(
    "files",
    [
        {"c.yaml": "services: {a: {extends: b}, b: {extends: a}}"},
        {"c.yaml": "services: {a: {extends: {service: gone}}}"},
        {"c.yaml": "services: {a: {extends: {file: gone.yaml, service: a}}}"},
        {"c.yaml": "include: [c.yaml]\nservices: {a: {}}"},
        {"c.yaml": "include: [b/d.yaml]\nservices: {a: {}}", "b/d.yaml": "services: {a: {}}"},
        {"c.yaml": "services: {a: {image: '${READINESS_TEST_NONE:?say}'}}"},
        {"c.yaml": "- a\n"},
    ],
)
def test_what_compose_would_refuse(files: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UnreadableError):
        read(put(tmp_path, files))


@pytest.mark.contract
@pytest.mark.parametrize(
    "services",
    [
        [
            {"a": {"image": "x", "command": ["1", "2"], "environment": {"A": "1", "B": "1"}}},
            {"a": {"command": ["3"], "environment": {"B": "2"}}},
        ],
        [{"a": {"image": "${READINESS_TEST_I:-i}:${READINESS_TEST_T-1}"}}],
        [{"a": {"extends": {"service": "b"}, "image": "y"}, "b": {"image": "x", "hostname": "h"}}],
        [
            {"a": {"image": "x", "healthcheck": {"test": ["CMD", "a"], "retries": 3}}},
            {"a": {"healthcheck": {"test": ["CMD", "b"]}}},
        ],
    ],
)
def test_the_project_is_the_one_that_compose_reads(
    services: list[dict[str, Any]], tmp_path: Path
) -> None:
    try:
        programs()
    except ReadinessError as error:
        pytest.skip(error.sentence)
    files = {f"{n}.yaml": {"version": "2.4", "services": one} for n, one in enumerate(services)}
    paths = put(tmp_path, {name: json.dumps(document) for name, document in files.items()})
    argv = [word for path in paths for word in ("-f", str(path))]
    said = subprocess.run(
        ["docker-compose", *argv, "config"], check=True, capture_output=True, text=True
    )
    assert read(paths)["services"] == yaml.safe_load(said.stdout)["services"]
