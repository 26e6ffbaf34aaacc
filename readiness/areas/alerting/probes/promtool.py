"""Runs promtool: what the rules of a Prometheus do when they are given made-up series."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, TookTooLong, Unreachable
from readiness.servers import programs

OVERRIDE: Final = "READINESS_PROMTOOL"
TIMEOUT_S: Final = 60.0
_RESULT: Final = re.compile(
    r"^Unit Testing:\s+(?P<file>\S+)\s*$\s*(?P<result>SUCCESS|FAILED)", re.MULTILINE
)
_CONTROL: Final = "control.yml"


def find() -> str:
    """Where promtool is: READINESS_PROMTOOL, else on the PATH, else an unpacked package.

    Raises:
        Unreachable: nowhere.
    """
    named = os.environ.get(OVERRIDE, "")
    found = shutil.which(named) if named else _found()
    if found is None:
        raise Unreachable(
            "promtool is not on this machine; it runs the loaded rules on made-up series",
            where=f"{OVERRIDE}={named}" if named else "PATH",
            remedy="apt-get install prometheus, or take promtool from the archive of the"
            " Prometheus that runs, and name it in READINESS_PROMTOOL",
        )
    return found


def _found() -> str | None:
    try:
        return programs.find(programs.PROMTOOL)
    except programs.AbsentError:
        return None


def run_tests(files: Mapping[str, str], *, timeout_s: float = TIMEOUT_S) -> dict[str, bool]:
    """Run tests of rules, all in one run; gives for each file whether its tests passed.

    Args:
        files: by name: `rules.yml`, and files of tests, `control.yml` among them, which must
            pass wherever promtool can load the rules.
        timeout_s: seconds until it is stopped.

    Raises:
        Unreachable: there is no promtool.
        TookTooLong: it did not end in time.
        CouldNotMeasure: it cannot load the rules, or did not tell of every file.
    """
    program = find()
    tests = sorted(name for name in files if name != "rules.yml")
    with tempfile.TemporaryDirectory(prefix="readiness-rules-") as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        said = _run([program, "test", "rules", *tests], folder, timeout_s)
    results = {found["file"]: found["result"] == "SUCCESS" for found in _RESULT.finditer(said)}
    if not results.get(_CONTROL) or set(results) != set(tests):
        raise CouldNotMeasure(
            f"promtool cannot load the rules that Prometheus has loaded: {clean(said, 300)}",
            where=program,
            remedy="use a promtool of the same version as the Prometheus that runs"
            f" ({OVERRIDE} names it): promtool --version",
        )
    return results


def _run(command: list[str], folder: str, timeout_s: float) -> str:
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TookTooLong(
            f"promtool did not end within {timeout_s:g} s", where=command[0]
        ) from None
    except OSError as problem:
        raise Unreachable(f"promtool cannot be run: {problem.strerror}", where=command[0]) from None
    return ended.stdout.decode(errors="replace")
