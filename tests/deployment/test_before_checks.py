"""The checks before a deployment, on real files and commands, with a fake ssh."""

import os
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.deployment.config import Deployment, Host
from readiness.areas.deployment.probes import host as probe
from readiness.config.models import Config
from readiness.model.errors import CouldNotMeasure, Unreachable
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
ENOUGH = {"min_disk_bytes": 1, "min_memory_bytes": 1}


def target(**tables: Any) -> Config:
    described = {"url": "http://127.0.0.1:1/version", "release": "1.5.0", **tables}
    deployment = Deployment.model_validate(described)
    return Config.model_validate({"target": {"name": "t"}, "deployment": deployment}).named()


def judged(check: str, **tables: Any) -> Evidence:
    evidence = Evidence()
    getattr(suite("deployment.test_before"), f"test_{check}")(target(**tables).deployment, evidence)
    return evidence


def host_misses(**settings: Any) -> str:
    """The misses of a host that has enough of everything, unless `settings` say otherwise."""
    evidence = judged("host_ready", host={**ENOUGH, **settings})
    assert not evidence.lost
    return misses(evidence)


def lost(evidence: Evidence) -> str:
    """What could not be measured, so that the check does not pass."""
    with pytest.raises(CouldNotMeasure) as told:
        evidence.conclude()
    return str(told.value)


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


def test_free_space_is_judged_on_each_path(tmp_path: Path) -> None:
    paths = [str(tmp_path), "/"]
    evidence = judged("host_ready", host={**ENOUGH, "disk_paths": paths})
    assert misses(evidence) == ""
    free = [m.name for m in evidence.measurements if m.key == "disk-space"]
    assert free == [f"free on {p}" for p in paths]
    assert "free on /" in host_misses(min_disk_bytes=1 << 60)


def test_an_unmeasured_judgement_hides_no_other_miss(tmp_path: Path) -> None:
    host = {**ENOUGH, "disk_paths": [f"{tmp_path}/no", "/"]}
    assert "No such file" in lost(judged("host_ready", host=host))
    evidence = judged("host_ready", host={**host, "min_disk_bytes": 1 << 60})
    assert "free on /" in misses(evidence)


def test_run_on_reads_another_machine(ssh: Path) -> None:
    there = {"run_on": [str(ssh), "host"], "min_disk_bytes": 3 * GIB, "min_memory_bytes": GIB}
    assert host_misses(**there) == ""
    assert "free on" in host_misses(**{**there, "min_disk_bytes": 4 * GIB})
    found = host_misses(**{**there, "min_memory_bytes": 2 * GIB})
    assert "usable memory: 1.074 GB; at least 2.147 GB required" in found


@pytest.mark.parametrize("run_on", [["false"], ["/no/such/ssh"], python("print('Welcome!')")])
def test_an_unreachable_machine_is_an_error(run_on: list[str]) -> None:
    evidence = judged("host_ready", host={"run_on": run_on, "runtime": ["docker", "info"]})
    assert len(evidence.lost) == 3
    assert not evidence.failures
    lost(evidence)


def test_the_memory_of_this_machine() -> None:
    found = host_misses(min_memory_bytes=1 << 60)
    assert "usable memory" in found
    assert "available" not in found
    assert host_misses(min_memory_bytes=1 << 20) == ""
    assert "available memory" in host_misses(min_available_bytes=1 << 60)


def test_run_on_reads_the_same_as_the_files() -> None:
    """`env` runs what stands behind it."""
    here, there = probe.memory_of(Host()), probe.memory_of(Host(run_on=["env"]))
    assert (there.total, there.source) == (here.total, here.source)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("print('24.0.7')", ""),
        ("print('Python 20.10.0+dfsg1')", ""),
        ("print('20.9')", "Container runtime 20.9 is older than 20.10"),
        ("import sys; sys.exit('Cannot connect')", "its command ended with 1: Cannot connect"),
    ],
)
def test_the_runtime_must_answer_and_be_recent(script: str, told: str) -> None:
    found = host_misses(runtime=python(script))
    assert (told in found) if told else (found == "")


@pytest.mark.parametrize("script", ["pass", "print('Docker')", "print('5')"])
def test_a_runtime_without_a_version_is_an_error(script: str) -> None:
    evidence = judged("host_ready", host={**ENOUGH, "runtime": python(script)})
    assert "printed no version" in lost(evidence)


def test_a_runtime_that_hangs_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_TIMEOUT_S", 0.2)
    evidence = judged("host_ready", host={**ENOUGH, "runtime": ["sleep", "30"]})
    assert "did not end within" in lost(evidence)


def files(folder: Path, **named: str) -> str:
    for name, text in named.items():
        (folder / name.replace("_", ".")).write_text(text)
    return f"{folder}/*"


def test_valid_files_pass(tmp_path: Path) -> None:
    parse = [files(tmp_path, a_yaml="a: 1\n", b_json="{}", c_toml="a = 1\n", d_ini="[a]\nx = 1\n")]
    evidence = judged("configuration_valid", files={"parse": parse})
    assert misses(evidence) == ""
    assert evidence.measurements[0].samples == 4


def test_each_mistake_names_its_file(tmp_path: Path) -> None:
    parse = [files(tmp_path, a_yaml="a: 1\na: 2\n", b_json='{"a": 1, "a": 2}')]
    found = misses(judged("configuration_valid", files={"parse": parse}))
    assert "a.yaml: line 2: duplicate key 'a' (first on line 1)" in found
    assert "b.json: duplicate key 'a'" in found


def test_a_pattern_without_files_is_an_error(tmp_path: Path) -> None:
    evidence = judged("configuration_valid", files={"parse": [f"{tmp_path}/*.yaml"]})
    assert "no file matches" in lost(evidence)


def test_an_unknown_kind_of_file_is_an_error(tmp_path: Path) -> None:
    evidence = judged("configuration_valid", files={"parse": [files(tmp_path, nginx_conf="a")]})
    assert "nginx.conf cannot be parsed here" in lost(evidence)


def test_a_file_that_is_too_large_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b" " * (5 << 20))
    evidence = judged("configuration_valid", files={"parse": [f"{tmp_path}/*"]})
    assert "larger than" in lost(evidence)


def test_commands_check_other_files() -> None:
    commands = [python("pass"), python("import sys; sys.exit('broken at line 3')")]
    found = misses(judged("configuration_valid", files={"commands": commands}))
    assert found.count("ended with") == 1
    assert "broken at line 3" in found
    missing = judged("configuration_valid", files={"commands": [["/no/such/nginx", "-t"]]})
    assert "cannot be started" in lost(missing)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A copy that was made now, with its sum."""
    copy = tmp_path / "a.dump"
    copy.write_text("rows")
    told = sha256(b"rows").hexdigest()
    copy.with_name("a.dump.sha256").write_text(f"{told}  a.dump\n")
    return copy


def layer(saved: Path, **settings: Any) -> str:
    """The misses of its copies, or why they could not be measured."""
    described = {"path": str(saved.parent), "pattern": "*.dump", **settings}
    deployment = target(layers={"database": described}).deployment
    assert deployment is not None
    evidence = Evidence()
    found = deployment.layers["database"]
    suite("deployment.test_before").test_backup_before_deploy(found, evidence)
    return "; ".join(evidence.failures) or (lost(evidence) if evidence.lost else "")


def made(saved: Path, ago: timedelta) -> None:
    moment = (datetime.now(UTC) - ago).timestamp()
    os.utime(saved, (moment, moment))


def test_a_fresh_backup_passes(saved: Path) -> None:
    assert layer(saved) == ""
    assert layer(saved, pattern="*") == ""


def test_old_future_empty_and_missing_backups_differ(saved: Path) -> None:
    made(saved, timedelta(minutes=61))
    assert "age of the newest copy: 61" in layer(saved)
    assert layer(saved, max_age_min=90) == ""
    made(saved, timedelta(minutes=-30))
    assert "from the future" in layer(saved)
    saved.write_bytes(b"")
    assert "The newest copy is empty" in layer(saved)
    saved.unlink()
    assert "No copy exists" in layer(saved)
    with pytest.raises(Unreachable):
        layer(saved, path=f"{saved.parent}/no")


def test_the_newest_copy_counts(saved: Path) -> None:
    made(saved, timedelta(minutes=5))
    saved.with_name("b.dump").touch()
    assert "The newest copy is empty" in layer(saved)


def test_the_checksum_must_match(saved: Path) -> None:
    assert layer(saved, sha256=True) == ""
    saved.write_text("row")
    assert "does not match its checksum" in layer(saved, sha256=True)
    sums = saved.with_name("a.dump.sha256")
    sums.write_text("not a sum\n")
    assert "no SHA-256" in layer(saved, sha256=True)
    sums.unlink()
    assert "no SHA-256" in layer(saved, sha256=True)


@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.dump.sha256", "{sum}  a.dump"),
        ("a.dump.sha256", "{sum} *a.dump"),
        ("a.dump.sha256", "{sum}"),
        ("a.dump.sha256", "{sum}  /var/backups/a.dump"),
        ("a.dump.sha256", "SHA256 (a.dump) = {sum}"),
        ("SHA256SUMS", "{other}  b.dump\n{sum}  ./a.dump"),
        ("SHA256SUMS", "SHA256 (b.dump) = {other}\nSHA256 (/x/a.dump) = {sum}"),
    ],
)
def test_forms_of_sha256sum(name: str, line: str, fits: bool, saved: Path) -> None:
    saved.with_name("a.dump.sha256").unlink()
    told = sha256(b"rows" if fits else b"row").hexdigest()
    file = saved.with_name(name)
    file.write_text(line.format(sum=told, other="0" * 64) + "\n")
    assert ("does not match" in layer(saved, sha256=True)) is not fits
    file.write_text(f"{'0' * 64}  b.dump\n")
    if name == "SHA256SUMS":
        assert "no SHA-256" in layer(saved, sha256=True)


def compose(tmp_path: Path, text: str) -> str:
    path = tmp_path / "docker-compose.yml"
    path.write_text(text)
    return misses(judged("start_order", order={"compose": str(path)}))


def test_too_little_patience_with_a_service_is_found(tmp_path: Path) -> None:
    path = tmp_path / "docker-compose.yml"
    path.write_text(
        "services:\n"
        "  a: { depends_on: { b: { condition: service_healthy } } }\n"
        "  b: { healthcheck: { test: pg_isready, interval: 10s, retries: 30 } }\n"
    )

    def order(**patience_s: float) -> Evidence:
        settings = {"compose": str(path), "patience_s": patience_s}
        return judged("start_order", order=settings)

    assert misses(order(b=300)) == ""
    assert "b is given up 300 s after its start; at least 301 s" in misses(order(b=301))
    for service in ("a", "ghost"):
        assert service in lost(order(**{service: 1}))


def test_the_message_names_what_is_wrong_with_the_order(tmp_path: Path) -> None:
    found = compose(tmp_path, "services:\n  a: { depends_on: [b, c] }\n  b: { depends_on: [a] }\n")
    assert "a waits for b: service_started" in found
    assert "1 dependencies on services that compose does not start" in found
    assert "1 cycles of dependencies" in found


@pytest.mark.parametrize(
    "text",
    ["services: { a: {} }\n", "services: {}\n", "a: 1\na: 2\n", "a: [\n", "include: [x]\n",
     "services: { a: !x { depends_on: [b] } }\n"],
)  # fmt: skip
def test_a_file_without_an_order_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(CouldNotMeasure):
        compose(tmp_path, text)
