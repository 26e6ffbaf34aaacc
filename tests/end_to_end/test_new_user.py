"""As a new user does it: install the wheel, run it from an empty folder, read the page."""

import json
import os
import re
import signal
import site
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from readiness.config.loading import load
from readiness.lib import bundle
from readiness.reference.parts import PARTS
from readiness.run.safety import fingerprint
from readiness.servers.postgres import SCRATCH, PrivatePostgres
from readiness.servers.programs import WITHOUT
from tests.parts import EVERY
from tests.support.monitored_service import MonitoredService
from tests.support.processes import eventually

ROOT = Path(__file__).parents[2]
FILES = {
    f"readiness.{kind}" for kind in ("html", "json", "xml", "md", "pr.md", "ctrf.json", "prom")
}


def clean_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "READINESS_"))}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `readiness` command of the wheel, in an environment without a checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    _build(ROOT, folder)
    (wheel,) = folder.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "readiness/_bundle/conftest.py" in names
    assert "readiness/_bundle/suites/ids.txt" in names
    assert "readiness/_bundle/suites/catalogue.json" in names
    assert not any(name.startswith(("suites/", "tests/", "fixtures/")) for name in names)
    home = folder / "venv"
    venv.create(home, with_pip=False)
    (packages,) = home.glob("lib/python*/site-packages")
    # The dependencies come from here; a .pth inside of a .pth is not followed, so that the
    # checkout does not come along.
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--no-compile", "--target", packages,
         "--quiet", "--disable-pip-version-check", wheel],
        check=True,
    )  # fmt: skip
    command = home / "bin" / "readiness"
    command.write_text(
        f"#!{home / 'bin' / 'python'}\n"
        "from readiness.cli.main import main\n"
        "main(prog_name='readiness')\n"
    )
    command.chmod(0o755)
    return command


def _build(sources: Path, folder: Path, *kinds: str) -> None:
    """A wheel and an archive of sources, or only the kinds named with `-t`."""
    command = [sys.executable, "-m", "hatchling", "build", *kinds, "-d", str(folder)]
    subprocess.run(command, cwd=sources, check=True, capture_output=True)


def test_the_archive_of_sources_makes_the_same_wheel(installed: Path, tmp_path: Path) -> None:
    built = installed.parents[2]
    (archive,), (wheel,) = built.glob("*.tar.gz"), built.glob("*.whl")
    subprocess.run(["tar", "-xzf", archive, "-C", tmp_path], check=True)
    (sources,) = tmp_path.iterdir()
    _build(sources, tmp_path / "again", "-t", "wheel")
    (again,) = (tmp_path / "again").glob("*.whl")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert len(one.namelist()) > 500
        assert {i.filename: i.CRC for i in one.infolist()} == {
            i.filename: i.CRC for i in other.infolist()
        }


def test_the_wheel_has_every_file_that_the_checkout_has(installed: Path) -> None:
    (bundled,) = installed.parent.parent.glob("lib/python*/site-packages/readiness")
    for room, there in (("readiness", bundled), ("suites", bundled / "_bundle/suites")):
        found = (path for path in (ROOT / room).rglob("*") if path.is_file())
        files = [path for path in found if "__pycache__" not in path.parts]
        assert files
        assert [f for f in files if not (there / f.relative_to(ROOT / room)).exists()] == []


def test_the_wheel_judges_a_reference_system_without_most_parts(
    installed: Path, tmp_path: Path
) -> None:
    """It is READY, and says what this machine cannot have; `.ci/bare` judges it with all parts."""
    run = subprocess.run(
        [installed, "run", "--reference", "--provider", "wheel"],
        cwd=tmp_path,
        env=clean_environment() | {WITHOUT: f"apt-get,postgres,{EVERY}"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    record = json.loads((tmp_path / "reports/readiness.json").read_text())
    assert record["verdict"] == "READY"
    assert {check["outcome"] for check in record["checks"]} == {"pass", "not-applicable"}
    assert all(c["message"] for c in record["checks"] if c["outcome"] == "not-applicable")
    assert {path.name for path in (tmp_path / "reports").iterdir()} == FILES | {"history"}
    assert "WAL archive (" in record["target"]["note"]
    first, last = " ".join(run.stdout.split()).split(" checks planned")
    assert "fleet (haproxy is disabled" in first
    assert f" parts of {len(PARTS)}; without: " in last


def test_readiness_without_a_file_judges_nothing_and_says_what_to_do(
    installed: Path, tmp_path: Path
) -> None:
    run = subprocess.run(
        [installed], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert "readiness init" in run.stderr
    assert "--reference" in run.stderr
    assert not (tmp_path / "reports").exists()


OWN = """
from fixtures import MINE
from suites.mine import MINE as OF_SUITES
from tests import MINE as OF_TESTS
from readiness import Measurement, check, equal_to


@check("mine.packages", title="Own packages", why="w", fix="f")
def test_packages(evidence):
    mine = [MINE, OF_SUITES, OF_TESTS].count("mine")
    evidence.judge("value", Measurement("own packages", mine, "1", source="import"), equal_to(3))
"""
TARGET = """
[target]
name = "shop"
environment = "test"

[gate]
profile = "full"
suites = ["checks"]
"""


def own_packages(folder: Path) -> None:
    for name in ("fixtures", "tests", "suites/mine"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text('MINE = "mine"\n')


@pytest.mark.parametrize(
    ("place", "how"),
    [
        ("wheel", "in the suite"),
        ("wheel", "on PYTHONPATH"),
        ("checkout", "beside the suite"),
    ],
)
def test_user_packages_with_our_names_keep_working(
    request: pytest.FixtureRequest, tmp_path: Path, place: str, how: str
) -> None:
    """A user's `fixtures`, `suites` and `tests` are theirs, and the shipped suites use ours."""
    command = [sys.executable, "-m", "readiness"]
    if place == "wheel":
        command = [str(request.getfixturevalue("installed"))]
    (tmp_path / "readiness.toml").write_text(TARGET)
    checks = tmp_path / "checks"
    checks.mkdir()
    (checks / "test_packages.py").write_text(OWN)
    environment = clean_environment()
    if how == "beside the suite":
        (checks / "__init__.py").touch()
    if how == "on PYTHONPATH":
        environment["PYTHONPATH"] = str(tmp_path / "lib")
    own_packages({"in the suite": checks, "beside the suite": tmp_path}.get(how, tmp_path / "lib"))
    before = {path.name for path in tmp_path.iterdir()}
    run = subprocess.run(
        [*command, "run", "-n", "0"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    record = json.loads((tmp_path / "reports/readiness.json").read_text())
    outcomes = {check["id"]: check["outcome"] for check in record["checks"]}
    assert outcomes["mine.packages"] == "pass", run.stdout + run.stderr
    # Every shipped check was collected, too: those of ours import our fixtures.
    assert bundle.known_ids() <= outcomes.keys()
    assert not [i for i in record["incidents"] if "collect" in str(i)]
    left = {path.name for path in tmp_path.iterdir()} - before
    assert left == {"reports"}
    listed = subprocess.run(
        [*command, "explain", "--config", "readiness.toml", "mine.packages"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Own packages" in listed.stdout, listed.stdout + listed.stderr


# Two services and one query: each phase of a run has something to do.
SMALL = """
[target]
name = "small"
release = "1.0"
allow = ["observe", "write", "load"]
allow_in_production = ["observe", "write", "load"]
[services.orders]
url = "{orders}"
[services.orders.truth]
path = "/work"
counter = 'hits_total{{path="/work"}}'
error_path = "/broken"
error_counter = 'errors_total{{path="/broken"}}'
[services.stock]
url = "{stock}"
private = ["/metrics"]
[[performance.queries]]
name = "one"
dsn = "${{SMALL_DSN}}"
sql = "select 1"
"""


def test_plain_pytest_gives_the_same_as_the_command(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        MonitoredService() as orders,
        MonitoredService() as stock,
        PrivatePostgres.start(tmp_path_factory.mktemp("small"), settings=SCRATCH) as server,
    ):
        path = tmp_path / "readiness.toml"
        path.write_text(SMALL.format(orders=orders.url, stock=stock.url))
        judged = {
            name: _judged(name, path, clean_environment() | {"SMALL_DSN": server.dsn()})
            for name in ("command", "pytest")
        }
    by_command, by_pytest = judged["command"], judged["pytest"]
    assert by_command == by_pytest
    outcomes = {(c["id"], c["subject"]): c["outcome"] for c in by_command["checks"]}
    # One that nobody may see is seen; the query is measured when all else is quiet.
    assert outcomes["monitoring.metrics-truth", "orders"] == "pass"
    assert outcomes["performance.query-latency", "one"] == "pass"
    assert {"pass", "fail", "not-run"} <= set(outcomes.values())
    assert by_command["verdict"] == "NOT READY"
    assert {p.name for p in (tmp_path / "command").iterdir()} == {
        p.name for p in (tmp_path / "pytest").iterdir()
    }


def _judged(how: str, config: Path, environment: dict[str, str]) -> dict[str, Any]:
    """What is the same however it is run: verdict, reasons, and the outcome of each check."""
    loaded = load(config, environment)
    seal = fingerprint(loaded.config, "production")
    reports = config.parent / how
    command: list[str | Path]
    if how == "command":
        command = [
            *(sys.executable, "-m", "readiness", "run", "--config", config, "-n", "1"),
            *("--allow", "load", "--confirm", seal, "--reports", reports),
        ]
    else:
        command = [
            *(sys.executable, "-m", "pytest", "suites", "--readiness-config", config, "-n", "1"),
            *("--readiness-allow", "load", "--readiness-confirm", seal),
            *("--readiness-reports", reports),
        ]
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 1, run.stdout + run.stderr
    record = json.loads((reports / "readiness.json").read_text())
    kept = ("id", "subject", "outcome")
    return {
        "verdict": record["verdict"],
        "reasons": sorted(record["reasons"]),
        "checks": [{key: check[key] for key in kept} for check in record["checks"]],
    }


# `readiness run --reference` with few parts: test_reference_system.py kills a system with all.
SMALLER = """
from functools import partial
from readiness.cli.main import main
from readiness.reference.system import ReferenceSystem
ReferenceSystem.start = partial(ReferenceSystem.start, parts={"standby", "fleet"})
main(["run", "--reference", "-n", "2"])
"""


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder that another account may pass through; pytest keeps its own to itself."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found through /proc")
def test_a_run_that_is_killed_leaves_nothing_behind(tmp_path: Path, scratch: Path) -> None:
    environment = clean_environment() | {"TMPDIR": str(scratch)}
    run = subprocess.Popen(
        [sys.executable, "-c", SMALLER],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert run.stdout
    assert any("checks planned" in line for line in run.stdout), "it ended before"
    assert len(_mine(scratch)) > 10
    in_memory = _in_memory(scratch)
    assert in_memory or not os.access("/dev/shm", os.W_OK)
    run.send_signal(signal.SIGKILL)
    run.wait(10)
    run.stdout.close()

    def left() -> list[object]:
        kept = [path for path in in_memory if path.exists()]
        return [*_mine(scratch), *scratch.iterdir(), *kept]

    eventually(lambda: not left(), 60)
    assert left() == []


def _in_memory(folder: Path) -> set[Path]:
    """What the processes of a run keep outside of its temporary folder."""
    named = re.findall(r"/dev/shm/readiness-[\w-]+", " ".join(_mine(folder)))
    return set(map(Path, named))


def _mine(folder: Path) -> list[str]:
    """Processes of a run whose temporary folder it is: their environment and command line."""
    found: list[str] = []
    for path in Path("/proc").iterdir():
        if not path.name.isdecimal() or int(path.name) == os.getpid():
            continue
        try:
            marks = (path / "environ").read_bytes() + (path / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in marks:
            found.append(marks.replace(b"\0", b" ").decode(errors="replace"))
    return found
