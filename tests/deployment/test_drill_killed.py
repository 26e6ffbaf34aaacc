"""A drill that is killed at any moment is undone; and no two drills run at the same time."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from readiness.areas.database.config import Database
from readiness.cli import recover
from readiness.lib.drill.safety import Noted, Notes, Place, locked, locked_in
from readiness.model.errors import CouldNotMeasure, SafetyRefusal, UsageError
from readiness.model.secrets import Dsn
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
from readiness.lib.drill.safety import FOLDER, Place
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
def python(target: DrilledTarget, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Python in a process of its own, which is killed at the end of the block."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=target.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def drilling(target: DrilledTarget) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    return python(target, "-c", _SCRIPT, str(target.loaded.path))


def calls(target: DrilledTarget, action: str, release: str) -> int:
    return target.log.count(f"{action} {release}")


def gating(target: DrilledTarget) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    """The gate as a user starts it: the drill runs two processes below."""
    path = target.loaded.path
    path.write_text(
        path.read_text().replace("[target]", '[target]\nallow_in_production = ["disrupt"]')
    )
    return python(
        target,
        *("-m", "readiness", "run", "--config", str(path), "--suite", "deployment"),
        *("--allow", "disrupt", "--confirm", target.place.fingerprint, "-n", "0"),
    )


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
def test_killed_drill_is_recovered_when(target: DrilledTarget, moment: str) -> None:
    with drilling(target) as process:
        assert eventually(lambda: MOMENTS[moment](target))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert eventually(lambda: not target.place.file.exists()), "the watchdog recovers"
    assert target.version == NEW
    assert not (target.folder / "row").exists()


def test_run_that_is_killed_during_a_drill_is_recovered(target: DrilledTarget) -> None:
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
    """Leave notes as a drill does that was killed and not recovered."""
    place = target.place
    place.folder.mkdir(exist_ok=True)
    own = fingerprint or place.fingerprint
    Notes(place.file, Noted(own, place.target, place.environment, NEW, row))


def test_recover_may_be_run_twice(
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


def test_running_drill_is_not_recovered(target: DrilledTarget) -> None:
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


def place(folder: Path, fingerprint: str = "0123456789ab") -> Place:
    return Place(folder / ".readiness", "shop", "staging", fingerprint)


def test_database_lock_excludes_other_machines(dsn: Dsn, tmp_path: Path) -> None:
    database = Database.model_validate({"dsn": dsn})
    mine = place(tmp_path / "a")
    with locked_in(database, mine):
        with (
            pytest.raises(CouldNotMeasure, match="another drill"),
            locked_in(database, place(tmp_path / "b")),
        ):
            pass
        with locked_in(database, place(tmp_path, "ffffffffffff")):
            pass  # another target
    # It is free again at once: a server sees only later that a session is gone.
    for _ in range(50):
        with locked_in(database, mine):
            pass


def test_an_unreachable_database_is_no_lock(tmp_path: Path) -> None:
    away = Database.model_validate({"dsn": "postgresql://nobody@127.0.0.1:9/none"})
    with pytest.raises(CouldNotMeasure), locked_in(away, place(tmp_path)):
        pass


def test_file_lock_excludes_other_processes(tmp_path: Path) -> None:
    with locked(place(tmp_path)):
        with pytest.raises(CouldNotMeasure, match="another drill"), locked(place(tmp_path)):
            pass
        with locked(place(tmp_path, "ffffffffffff")):
            pass
    with locked(place(tmp_path)):
        pass


def test_drill_without_a_writable_folder_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / ".readiness").write_text("a file")
    with pytest.raises(CouldNotMeasure, match="cannot be written"), locked(place(tmp_path)):
        pass
