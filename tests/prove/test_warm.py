"""A run in a fork judges as one in a new process does, and knows nothing of the run before it."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from readiness.config.loading import load
from readiness.model.errors import ReadinessError
from readiness.model.record import RunRecord
from readiness.prove.warm import Forked, Warm, shut_down
from readiness.run.progress import Silent
from readiness.run.supervisor import Options, run
from tests.support.processes import eventually

CONFIG = """
[target]
name = "demo"
release = "1.0"

[gate]
suites = ["own"]
"""
CHECKS = """
import os
import signal
import tempfile
import threading
from pathlib import Path

from readiness import Evidence, Measurement, at_most, check

SEEN = []


def declared(id):
    return check(id, title=id, severity="minor", effect="observe", why="w", fix="f")


def figure(value):
    return Measurement("figure", value, "count", source="the test")


@declared("own.remembers")
def test_remembers(evidence: Evidence) -> None:
    SEEN.append(1)
    evidence.judge("value", figure(len(SEEN)), at_most(1))
    allowed = at_most(int(os.environ["EXPECTED"]))
    evidence.judge("value", figure(int("LEFT_BEHIND" in os.environ)), allowed)
    os.environ["LEFT_BEHIND"] = "1"


@declared("own.misses")
def test_misses(evidence: Evidence) -> None:
    evidence.judge("value", figure(2), at_most(1))


@declared("own.threads")
def test_threads(evidence: Evidence) -> None:
    evidence.judge("value", figure(len(os.listdir(f"/proc/{os.getppid()}/task"))), at_most(1))


@declared("own.writes")
def test_writes(evidence: Evidence) -> None:
    evidence.judge("value", figure(int(tempfile.gettempdir() != os.environ["TMPDIR"])), at_most(0))


@declared("own.dies")
def test_dies(evidence: Evidence) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@declared("own.waits")
def test_waits(evidence: Evidence) -> None:
    Path(os.environ["BEGUN"]).touch()
    threading.Event().wait(60)
"""


@pytest.fixture(scope="module", autouse=True)
def ended() -> Iterator[None]:
    yield
    shut_down()


@pytest.fixture(scope="module")
def warm() -> Warm:
    return Warm()


def judge(folder: Path, warm: Warm | None, *checks: str, **environ: str) -> RunRecord:
    (folder / "own").mkdir(exist_ok=True)
    (folder / "own/test_own.py").write_text(CHECKS)
    (folder / "readiness.toml").write_text(CONFIG)
    options = Options(
        load(folder / "readiness.toml", {}),
        folder / "reports",
        select=checks,
        workers="0",
        record_only=True,
        environ={"EXPECTED": "0"} | environ,
    )
    record = run(options, Silent(), warm.start if warm else None).record
    assert record is not None
    return record


def outcomes(record: RunRecord) -> dict[str, tuple[str, str]]:
    return {check.id: (check.outcome.value, check.message) for check in record.checks}


def test_it_judges_as_a_new_process_does(tmp_path: Path, warm: Warm) -> None:
    checks = ("own.remembers", "own.misses")
    forked = judge(tmp_path, warm, *checks)
    assert outcomes(forked) == outcomes(judge(tmp_path, None, *checks))
    assert outcomes(forked) == {
        "own.remembers": ("pass", ""),
        "own.misses": ("fail", "figure: 2; limit 1"),
    }
    assert forked.incidents == ()


def test_nothing_is_left_of_the_run_before(tmp_path: Path, warm: Warm) -> None:
    for environ in ({}, {"LEFT_BEHIND": "given", "EXPECTED": "1"}, {}):
        record = judge(tmp_path, warm, "own.remembers", **environ)
        assert outcomes(record) == {"own.remembers": ("pass", "")}


def test_what_is_forked_has_no_other_thread(tmp_path: Path, warm: Warm) -> None:
    assert outcomes(judge(tmp_path, warm, "own.threads")) == {"own.threads": ("pass", "")}


def test_temporary_files_go_where_the_run_says(tmp_path: Path, warm: Warm) -> None:
    assert outcomes(judge(tmp_path, warm, "own.writes")) == {"own.writes": ("pass", "")}


def test_a_fork_that_dies_is_an_incident(tmp_path: Path, warm: Warm) -> None:
    record = judge(tmp_path, warm, "own.dies")
    assert [incident.kind for incident in record.incidents] == ["killed"]
    assert "SIGKILL" in record.incidents[0].message
    assert outcomes(judge(tmp_path, warm, "own.misses"))["own.misses"][0] == "fail"


def test_an_interrupt_ends_what_runs_and_starts_nothing_more(tmp_path: Path) -> None:
    warm, begun, records = Warm(), tmp_path / "begun", []

    def wait() -> None:
        records.append(judge(tmp_path, warm, "own.waits", BEGUN=str(begun)))

    thread = threading.Thread(target=wait)
    thread.start()
    assert eventually(begun.exists)
    warm.interrupt()
    thread.join(40)
    assert [record.run.interrupted for record in records] == [True]
    with pytest.raises(ReadinessError, match="interrupted"):
        warm.start(tmp_path, {}, tmp_path / "log")


KILLED = """
import os, signal, sys
from multiprocessing import util
from pathlib import Path
from readiness.prove.warm import Warm

if __name__ == "__main__":
    child = Warm().start(["-m", "pytest", "--version"], dict(os.environ), Path(sys.argv[1]))
    child.wait()
    print(util.get_temp_dir(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_is_left_where_the_caller_is_killed(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text(KILLED)
    killed = subprocess.run(
        [sys.executable, tmp_path / "caller.py", tmp_path / "log"],
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    folder = Path(killed.stdout.strip())
    assert eventually(lambda: not folder.exists())


def test_a_signal_to_a_fork_that_has_ended_is_not_sent(tmp_path: Path, warm: Warm) -> None:
    child: Forked = warm.start(tmp_path, {}, tmp_path / "log")
    # Nothing was asked for in this folder.
    assert child.wait() == 1
    child.send_signal(9)
    assert child.wait() == 1
    assert "request.json" in (tmp_path / "log").read_text()
