"""deployment.*, what observes before a deployment: real files, real commands, a shim for ssh."""

import os
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.config_before import Host
from readiness.areas.deployment.probes import host as probe
from readiness.config.models import Config
from readiness.model.errors import CouldNotMeasure, NoData, Unreachable
from readiness.model.evidence import Evidence
from tests.support.monitored_service import misses, suite

pytestmark = pytest.mark.contract

MACHINE = """\
/proc/meminfo:MemTotal: 16777216 kB
/proc/meminfo:MemAvailable: 12582912 kB
/proc/self/cgroup:0::/x
/sys/fs/cgroup/memory.max:1073741824
"""
GIB = 1 << 30


def target(**tables: Any) -> Config:
    described = {"url": "http://127.0.0.1:1/version", "release": "1.5.0", **tables}
    deployment = Deployment.model_validate(described)
    return Config.model_validate({"target": {"name": "t"}, "deployment": deployment}).named()


def judged(check: str, table: str, **tables: Any) -> Evidence:
    evidence = Evidence()
    subject = getattr(target(**tables).deployment, table)
    getattr(suite("deployment.test_before"), f"test_{check}")(subject, evidence)
    return evidence


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


@pytest.fixture
def ssh(tmp_path: Path) -> Path:
    """A machine of 16 GiB, 1 GiB of it in its cgroup, with 3 GiB free on its disk."""
    path = tmp_path / "ssh"
    path.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"machine = {MACHINE!r}\n"
        "if sys.argv[2] == 'grep': sys.stdout.write(machine); sys.exit(2)\n"
        "elif sys.argv[2] == 'df':\n"
        "    print('Filesystem 1024-blocks Used Available Capacity Mounted on')\n"
        "    print('/dev/mapper/a b 9999999 5 3145728 1% /var/lib')\n"
        "elif sys.argv[2] != 'true': sys.exit(7)\n"
    )
    path.chmod(0o755)
    return path


def test_room_on_each_path(tmp_path: Path) -> None:
    paths = [str(tmp_path), "/"]
    here = {"disk_paths": paths, "min_disk_bytes": 1}
    evidence = judged("disk_space", "host", host=here)
    assert misses(evidence) == ""
    assert [m.name for m in evidence.measurements] == [f"free on {p}" for p in paths]
    assert "free on /" in misses(judged("disk_space", "host", host={"min_disk_bytes": 1 << 60}))


def test_a_path_that_is_not_there_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(CouldNotMeasure, match="No such file"):
        judged("disk_space", "host", host={"disk_paths": [f"{tmp_path}/no"]})


def test_another_machine_is_asked_there(ssh: Path) -> None:
    there = {"run_on": [str(ssh), "host"], "min_disk_bytes": 3 * GIB}
    assert misses(judged("disk_space", "host", host=there)) == ""
    assert "free on" in misses(
        judged("disk_space", "host", host={**there, "min_disk_bytes": 4 * GIB})
    )
    assert misses(judged("memory", "host", host={**there, "min_memory_bytes": GIB})) == ""
    found = misses(judged("memory", "host", host={**there, "min_memory_bytes": 2 * GIB}))
    assert "memory that may be used 1073741824" in found


@pytest.mark.parametrize("check", ["disk_space", "memory", "container_runtime"])
@pytest.mark.parametrize("run_on", [["false"], ["/no/such/ssh"], python("print('Welcome!')")])
def test_a_machine_that_is_away_is_no_answer(check: str, run_on: list[str]) -> None:
    with pytest.raises(CouldNotMeasure):
        judged(check, "host", host={"run_on": run_on, "runtime": ["docker", "info"]})


def test_the_memory_of_this_machine() -> None:
    found = misses(judged("memory", "host", host={"min_memory_bytes": 1 << 60}))
    assert "memory that may be used" in found
    assert "available" not in found
    assert misses(judged("memory", "host", host={"min_memory_bytes": 1 << 20})) == ""
    few = {"min_memory_bytes": 1, "min_available_bytes": 1 << 60}
    assert "memory available now" in misses(judged("memory", "host", host=few))


def test_it_is_the_same_by_way_of_a_command() -> None:
    """`env` runs what stands behind it."""
    here, there = probe.memory_of(Host()), probe.memory_of(Host(run_on=["env"]))
    assert (there.total, there.source) == (here.total, here.source)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("print('24.0.7')", ""),
        ("print('Python 20.10.0+dfsg1')", ""),
        ("print('20.9')", "20.9 runs, and 20.10 is the oldest"),
        ("import sys; sys.exit('Cannot connect')", "exit status of asking the runtime 1"),
    ],
)
def test_a_runtime_that_answers(script: str, told: str) -> None:
    found = misses(judged("container_runtime", "host", host={"runtime": python(script)}))
    assert (told in found) if told else (found == "")


@pytest.mark.parametrize("script", ["pass", "print('Docker')", "print('5')"])
def test_a_runtime_that_tells_no_version_is_no_answer(script: str) -> None:
    with pytest.raises(NoData, match="told no version"):
        judged("container_runtime", "host", host={"runtime": python(script)})


def test_a_runtime_that_hangs_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_TIMEOUT_S", 0.2)
    with pytest.raises(CouldNotMeasure, match="not done after"):
        judged("container_runtime", "host", host={"runtime": ["sleep", "30"]})


def files(folder: Path, **named: str) -> str:
    for name, text in named.items():
        (folder / name.replace("_", ".")).write_text(text)
    return f"{folder}/*"


def test_files_that_parse(tmp_path: Path) -> None:
    parse = [files(tmp_path, a_yaml="a: 1\n", b_json="{}", c_toml="a = 1\n", d_ini="[a]\nx = 1\n")]
    evidence = judged("configuration_valid", "files", files={"parse": parse})
    assert misses(evidence) == ""
    assert evidence.measurements[0].samples == 4


def test_every_mistake_is_told_with_its_file(tmp_path: Path) -> None:
    parse = [files(tmp_path, a_yaml="a: 1\na: 2\n", b_json='{"a": 1, "a": 2}')]
    found = misses(judged("configuration_valid", "files", files={"parse": parse}))
    assert "a.yaml: line 2: duplicate key 'a' (first on line 1)" in found
    assert "b.json: the key 'a' stands twice" in found


def test_no_file_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(NoData, match="no file fits"):
        judged("configuration_valid", "files", files={"parse": [f"{tmp_path}/*.yaml"]})


def test_a_kind_that_nobody_knows_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(CouldNotMeasure, match=r"nobody here can parse nginx\.conf"):
        judged("configuration_valid", "files", files={"parse": [files(tmp_path, nginx_conf="a")]})


def test_a_file_that_may_not_be_read_or_is_far_too_large_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b" " * (5 << 20))
    with pytest.raises(CouldNotMeasure, match="larger than"):
        judged("configuration_valid", "files", files={"parse": [f"{tmp_path}/*"]})


def test_commands_that_check() -> None:
    commands = [python("pass"), python("import sys; sys.exit('broken at line 3')")]
    found = misses(judged("configuration_valid", "files", files={"commands": commands}))
    assert found.count("exit status") == 1
    assert "broken at line 3" in found
    with pytest.raises(CouldNotMeasure, match="cannot be started"):
        judged("configuration_valid", "files", files={"commands": [["/no/such/nginx", "-t"]]})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A copy that was made now, with its sum."""
    copy = tmp_path / "a.dump"
    copy.write_text("rows")
    told = sha256(b"rows").hexdigest()
    copy.with_name("a.dump.sha256").write_text(f"{told}  a.dump\n")
    return copy


def layer(saved: Path, **settings: Any) -> str:
    described = {"path": str(saved.parent), "pattern": "*.dump", **settings}
    deployment = target(layers={"database": described}).deployment
    assert deployment is not None
    evidence = Evidence()
    found = deployment.layers["database"]
    suite("deployment.test_before").test_backup_before_deploy(found, evidence)
    return misses(evidence)


def made(saved: Path, ago: timedelta) -> None:
    moment = (datetime.now(UTC) - ago).timestamp()
    os.utime(saved, (moment, moment))


def test_what_was_saved_now(saved: Path) -> None:
    assert layer(saved) == ""
    assert layer(saved, pattern="*") == ""


def test_what_is_wrong_with_a_copy_is_told_apart(saved: Path) -> None:
    made(saved, timedelta(minutes=61))
    assert "age of the newest copy 61" in layer(saved)
    assert layer(saved, max_age_min=90) == ""
    made(saved, timedelta(minutes=-30))
    with pytest.raises(CouldNotMeasure, match="from the future"):
        layer(saved)
    saved.write_bytes(b"")
    assert "the newest copy is empty" in layer(saved)
    saved.unlink()
    assert "nothing was saved" in layer(saved)
    with pytest.raises(Unreachable):
        layer(saved, path=f"{saved.parent}/no")


def test_an_empty_copy_hides_no_older_one(saved: Path) -> None:
    made(saved, timedelta(minutes=5))
    saved.with_name("b.dump").touch()
    assert "the newest copy is empty" in layer(saved)


def test_the_sum_must_fit(saved: Path) -> None:
    assert layer(saved, sha256=True) == ""
    saved.write_text("row")
    assert "copies that their sum does not fit 1" in layer(saved, sha256=True)
    sums = saved.with_name("a.dump.sha256")
    sums.write_text("not a sum\n")
    with pytest.raises(NoData, match="no SHA-256"):
        layer(saved, sha256=True)
    sums.unlink()
    with pytest.raises(NoData, match="no SHA-256"):
        layer(saved, sha256=True)


def compose(tmp_path: Path, text: str) -> str:
    path = tmp_path / "docker-compose.yml"
    path.write_text(text)
    return misses(judged("start_order", "order", order={"compose": str(path)}))


def test_a_service_that_is_given_up_too_soon(tmp_path: Path) -> None:
    path = tmp_path / "docker-compose.yml"
    path.write_text(
        "services:\n"
        "  a: { depends_on: { b: { condition: service_healthy } } }\n"
        "  b: { healthcheck: { test: pg_isready, interval: 10s, retries: 30 } }\n"
    )

    def order(**patience_s: float) -> Evidence:
        settings = {"compose": str(path), "patience_s": patience_s}
        return judged("start_order", "order", order=settings)

    assert misses(order(b=300)) == ""
    assert "patience with b 300 s" in misses(order(b=301))
    for service in ("a", "ghost"):
        with pytest.raises(NoData, match=service):
            order(**{service: 1})


def test_what_is_wrong_with_the_order_is_told(tmp_path: Path) -> None:
    found = compose(tmp_path, "services:\n  a: { depends_on: [b, c] }\n  b: { depends_on: [a] }\n")
    assert "a waits for b: service_started" in found
    assert "dependencies on nobody 1" in found
    assert "circles 1" in found


@pytest.mark.parametrize(
    "text",
    ["services: { a: {} }\n", "services: {}\n", "a: 1\na: 2\n", "a: [\n", "include: [x]\n",
     "services: { a: !x { depends_on: [b] } }\n"],
)  # fmt: skip
def test_a_file_that_does_not_tell_the_order_is_no_answer(tmp_path: Path, text: str) -> None:
    with pytest.raises(CouldNotMeasure):
        compose(tmp_path, text)
