"""Whatever moment a drill is killed at, the target is put back: by the watchdog, or by hand."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from readiness.cli import recover
from readiness.lib.drill.locking import locked
from readiness.lib.drill.notes import Noted, Notes
from readiness.model.errors import CouldNotMeasure, SafetyRefusal, UsageError
from tests.support.drilled_target import NEW, OLD, DrilledTarget, drilled_target
from tests.support.processes import eventually

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
# As `readiness run` does it: a guardian of its own, and the drill.
_SCRIPT = """
import sys
from pathlib import Path
from readiness.config.loading import load
from readiness.lib.guardian import Guardian
from readiness.areas.deployment.adapters import adapter_of
from readiness.areas.deployment.drill.drill import drill
from readiness.lib.drill.safety import Safety
from readiness.lib.drill.notes import FOLDER, Place
from readiness.run.safety import fingerprint
loaded = load(Path(sys.argv[1]), {})
config = loaded.config
place = Place(loaded.path.parent / FOLDER, config.target.name, "production",
              fingerprint(config, "production"))
with Guardian() as guardian:
    drill(config.deployment, adapter_of(config.deployment),
          Safety(place, loaded.path, None, guardian))
"""


@pytest.fixture
def target(tmp_path: Path) -> Iterator[DrilledTarget]:
    with drilled_target(tmp_path) as running:
        yield running


@contextmanager
def drilling(target: DrilledTarget) -> Iterator["subprocess.Popen[bytes]"]:
    """A drill in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(target.loaded.path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def calls(target: DrilledTarget, action: str, release: str) -> int:
    return target.log.count(f"{action} {release}")


@contextmanager
def gating(target: DrilledTarget) -> Iterator["subprocess.Popen[bytes]"]:
    """The gate as a user starts it: the drill runs two processes below."""
    path = target.loaded.path
    path.write_text(
        path.read_text().replace("[target]", '[target]\nallow_in_production = ["disrupt"]')
    )
    with subprocess.Popen(
        [sys.executable, "-m", "readiness", "run", "--config", path, "--suite", "deployment",
         "--allow", "disrupt", "--confirm", target.place.fingerprint, "-n", "0"],
        cwd=target.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


MOMENTS: dict[str, Callable[[DrilledTarget], bool]] = {
    "its notes are written": lambda t: t.place.file.exists(),
    "the first command runs": lambda t: calls(t, "deploy", OLD) == 1,
    "the first change is made": lambda t: t.version == OLD,
    "the second command runs": lambda t: calls(t, "deploy", NEW) == 1,
    "its row is written": lambda t: (t.folder / "row").exists(),
    "it rolls back": lambda t: calls(t, "rollback", OLD) == 1,
    "it has rolled back": lambda t: calls(t, "rollback", OLD) == 1 and t.version == OLD,
    "it deploys again": lambda t: calls(t, "deploy", NEW) == 2,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_drill_that_is_killed_when(target: DrilledTarget, moment: str) -> None:
    with drilling(target) as process:
        assert eventually(lambda: MOMENTS[moment](target))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert eventually(lambda: not target.place.file.exists()), "the watchdog recovers"
    assert target.version == NEW
    assert not (target.folder / "row").exists()


def test_a_whole_run_that_is_killed_in_a_drill(target: DrilledTarget) -> None:
    with gating(target) as process:
        assert eventually(lambda: calls(target, "rollback", OLD) == 1, 60)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert eventually(lambda: not target.place.file.exists()), "the watchdog recovers"
    assert target.version == NEW
    assert not (target.folder / "row").exists()


def test_a_command_left_running_is_stopped(target: DrilledTarget) -> None:
    target.behave("hang")  # it would go on for ten minutes, and then change the release
    with drilling(target) as process:
        assert eventually(lambda: tool_of(target) > 0)
        tool = tool_of(target)
        target.behave("slow")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert eventually(lambda: not target.place.file.exists())
    with pytest.raises(ProcessLookupError):
        os.killpg(tool, 0)
    assert target.version == NEW


def tool_of(target: DrilledTarget) -> int:
    return Noted.read(target.place.file).tool if target.place.file.exists() else 0


def leave(target: DrilledTarget, *, fingerprint: str = "", row: str = "") -> None:
    """Notes, as a drill leaves them that was killed and not put back."""
    place = target.place
    place.folder.mkdir(exist_ok=True)
    own = fingerprint or place.fingerprint
    Notes(place.file, Noted(own, place.target, place.environment, NEW, row))


def test_recovering_by_hand_may_be_done_twice(
    target: DrilledTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(target, row="readiness-1")
    (target.folder / "version").write_text(OLD)
    (target.folder / "row").write_text("readiness-1")
    assert recover.run(target.loaded.path) == 0
    said = capsys.readouterr().out
    assert f"release {NEW} is served again" in said
    assert "removed the synthetic row readiness-1" in said
    assert (target.version, (target.folder / "row").exists()) == (NEW, False)
    assert recover.run(target.loaded.path) == 0
    assert "nothing to restore" in capsys.readouterr().out


def test_another_targets_notes_change_nothing(target: DrilledTarget) -> None:
    leave(target, fingerprint="0123456789ab")
    with pytest.raises(SafetyRefusal, match="of another target"):
        recover.run(target.loaded.path)
    assert target.log == []


def test_invalid_notes_change_nothing(target: DrilledTarget) -> None:
    target.place.folder.mkdir()
    for text in ("", "[]", '{"format": "readiness-drill/2"}', '{"release": 1}'):
        target.place.file.write_text(text)
        with pytest.raises(CouldNotMeasure, match="is not a valid note"):
            recover.run(target.loaded.path)
    assert target.log == []


def test_a_drill_that_is_under_way_is_left_alone(target: DrilledTarget) -> None:
    leave(target)
    with locked(target.place), pytest.raises(CouldNotMeasure, match="another drill"):
        recover.run(target.loaded.path)
    assert target.log == []


def test_a_file_without_its_deployment_is_refused(target: DrilledTarget) -> None:
    leave(target)
    path = target.loaded.path
    head, _, _ = path.read_text().partition("[deployment]")
    path.write_text(head)
    with pytest.raises((SafetyRefusal, UsageError)):
        recover.run(path)
    assert target.place.file.exists()
