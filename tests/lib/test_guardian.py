"""The guardian undoes what its owner registered, whatever became of the owner."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from readiness.lib import watchdog
from readiness.lib.guardian import Guardian
from readiness.model.errors import ReadinessError
from tests.support.processes import eventually, gone


def owner(body: str) -> subprocess.Popen[str]:
    """A process that owns a guardian; what it prints is what the test needs to know."""
    head = (
        "import signal, subprocess, sys, time\nfrom pathlib import Path\n"
        "from readiness.lib.guardian import Guardian\nguard = Guardian()\n"
        "def start(code, **more):\n"
        "    argv = [sys.executable, '-c', code]\n"
        "    return subprocess.Popen(argv, start_new_session=True, **more)\n"
    )
    tail = "\nprint('ready', flush=True)\ntime.sleep(60)\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(body) + tail],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def killed(process: subprocess.Popen[str]) -> list[str]:
    """The owner's lines, after it was killed the hard way."""
    assert process.stdout is not None
    lines = []
    while (line := process.stdout.readline().strip()) != "ready":
        assert line, "the owner ended early"
        lines.append(line)
    process.kill()
    process.wait(10)
    process.stdout.close()
    return lines


def test_a_killed_owner_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    (folder / "deep").mkdir(parents=True)
    lines = killed(
        owner(f"""
            child = start("import time; time.sleep(60)")
            guard.kill(child.pid)
            guard.remove(Path({str(folder)!r}))
            print(child.pid, flush=True)
        """)
    )
    assert eventually(lambda: gone(int(lines[0])) and not folder.exists())


def test_a_child_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    started = tmp_path / "started"
    stubborn = (
        "import signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"pathlib.Path({str(started)!r}).touch(); time.sleep(60)"
    )
    lines = killed(
        owner(f"""
            child = start({stubborn!r})
            guard.kill(child.pid)
            while not Path({str(started)!r}).exists(): time.sleep(0.01)
            print(child.pid, flush=True)
        """)
    )
    assert eventually(lambda: gone(int(lines[0])))


def test_a_stopped_child_is_ended() -> None:
    lines = killed(
        owner("""
            child = start("import time; time.sleep(60)")
            guard.kill(child.pid)
            child.send_signal(signal.SIGSTOP)
            print(child.pid, flush=True)
        """)
    )
    assert eventually(lambda: gone(int(lines[0])))


def test_commands_run_newest_first_and_before_folders_go(tmp_path: Path) -> None:
    log = tmp_path / "log"
    folder = tmp_path / "folder"
    folder.mkdir()
    append = (
        "import os, sys;"
        "print(os.environ['WORD'], os.path.exists(sys.argv[2]), file=open(sys.argv[1], 'a'))"
    )
    killed(
        owner(f"""
            for word in ("first", "second"):
                argv = [sys.executable, "-c", {append!r}, {str(log)!r}, {str(folder)!r}]
                guard.run(argv, env={{"WORD": word}})
            guard.remove(Path({str(folder)!r}))
        """)
    )
    assert eventually(lambda: log.exists() and not folder.exists())
    assert log.read_text().split("\n")[:2] == ["second True", "first True"]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_guarded_child_that_was_never_registered_is_found() -> None:
    lines = killed(
        owner("""
            import os
            child = start("import time; time.sleep(60)", env={**os.environ, **guard.environ})
            print(child.pid, flush=True)
        """)
    )
    assert eventually(lambda: gone(int(lines[0])))


def test_a_fork_that_holds_the_pipe_does_not_stop_the_watchdog(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    lines = killed(
        owner(f"""
            import os
            guard.remove(Path({str(folder)!r}))
            pid = os.fork()
            if pid == 0:
                os.closerange(0, 3)
                time.sleep(60)
                os._exit(0)
            print(pid, flush=True)
        """)
    )
    try:
        assert eventually(lambda: not folder.exists())
    finally:
        os.kill(int(lines[0]), signal.SIGKILL)


def test_a_normal_end_undoes_nothing(tmp_path: Path) -> None:
    with Guardian() as guard:
        guard.remove(tmp_path)
    assert tmp_path.exists()


def test_undo_runs_now_and_skips_forgotten_entries(tmp_path: Path) -> None:
    gone_folder, kept = tmp_path / "gone", tmp_path / "kept"
    gone_folder.mkdir()
    kept.mkdir()
    guard = Guardian()
    guard.remove(gone_folder)
    guard.forget(guard.remove(kept))
    guard.undo()
    assert not gone_folder.exists()
    assert kept.exists()


def test_a_link_is_removed_and_its_target_stays(tmp_path: Path) -> None:
    precious, link = tmp_path / "precious", tmp_path / "link"
    precious.mkdir()
    link.symlink_to(precious)
    guard = Guardian()
    guard.remove(link)
    guard.undo()
    assert not link.is_symlink()
    assert precious.exists()


def test_a_reused_process_number_is_left_alone() -> None:
    bystander = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
    )
    try:
        entry = {"do": "kill", "pid": bystander.pid, "signal": signal.SIGKILL, "born": "1"}
        watchdog.undo([entry], "nobody")
        assert bystander.poll() is None
        watchdog.undo([{**entry, "born": watchdog.born(bystander.pid)}], "nobody")
        assert bystander.wait(10) == -signal.SIGKILL
    finally:
        bystander.kill()
        bystander.wait(10)


def test_a_closed_guardian_refuses_new_entries(tmp_path: Path) -> None:
    guard = Guardian()
    guard.close()
    guard.close()
    with pytest.raises(ReadinessError, match="watchdog has died"):
        guard.remove(tmp_path)


def test_terminal_signals_do_not_end_the_watchdog(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    with Guardian() as guard:
        mark = tmp_path / "running"
        guard.run([sys.executable, "-c", f"open({str(mark)!r}, 'w').close()"])
        guard.remove(folder)
        ignored = 1 << (signal.SIGINT - 1)
        status = Path(f"/proc/{guard._process.pid}/status")
        assert eventually(
            lambda: int(status.read_text().partition("SigIgn:\t")[2].split()[0], 16) & ignored != 0
        )
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            guard._process.send_signal(number)
        guard.undo()
    assert mark.exists()
    assert not folder.exists()
