"""The engine's cost: 1,000 checks under `-n 2` over bare pytest with 1,000 trivial tests.

Both in ten files, as a worker of ours takes whole files. What else is installed is loaded by both.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 5
FILES = 10
BARE = """
import pytest

@pytest.mark.parametrize("n", range(100))
def test_trivial(n):
    assert n >= 0
"""
CHECKS = """
import pytest
from readiness import Measurement, at_least, check

@check("bench.trivial-{file}", title="t", why="w", fix="f")
@pytest.mark.parametrize("n", range(100))
def test_trivial(n, evidence):
    evidence.judge("value", Measurement("n", n, "count", source="range"), at_least(0))
"""
PLUGINS = ["-p", "no:locust", "-p", "no:hypothesispytest", "-p", "no:cacheprovider"]


def seconds(folder: Path, *arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", *PLUGINS, *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bare").mkdir()
        (folder / "checks").mkdir()
        for file in range(FILES):
            (folder / f"bare/test_bare_{file}.py").write_text(BARE)
            checks = CHECKS.replace("{file}", str(file))
            (folder / f"checks/test_checks_{file}.py").write_text(checks)
        (folder / "readiness.toml").write_text('[target]\nname = "bench"\n')
        pairs = []
        for turn in range(ROUNDS + 1):
            bare = seconds(folder, "-p", "no:readiness", "bare")
            ours = seconds(folder, "--readiness", "checks")
            if turn:  # the first pair warms the disk cache
                pairs.append((bare, ours))
                print(f"bare {bare:.2f} s, checks {ours:.2f} s, ratio {ours / bare:.2f}")
        ratio = statistics.median(ours / bare for bare, ours in pairs)
        print(f"median ratio {ratio:.2f} (at most 1.3)")


if __name__ == "__main__":
    main()
