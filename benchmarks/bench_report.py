"""How long the outputs of a large run take, and how much memory and space.

PYTHONPATH=. python benchmarks/bench_report.py
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = (1_000, 10_000)
FILES = ("readiness.html", "readiness.json", "readiness.xml", "readiness.md")


def measure(count: int) -> str:
    """Write all outputs of so many checks in this process: seconds, bytes and peak memory."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from readiness.report import write_all
    from tests.support.records import make_many

    record = make_many(count)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        write_all(record, Path(folder), environ={})
        seconds = time.perf_counter() - began
        sizes = " ".join(f"{(Path(folder) / name).stat().st_size:>12,}" for name in FILES)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"{count:>8,} {seconds:>9.2f} {peak:>9.0f} {sizes}"


def main() -> None:
    if len(sys.argv) > 1:
        print(measure(int(sys.argv[1])))
        return
    print(f"{'checks':>8} {'seconds':>9} {'peak MB':>9} ", *(f"{name:>12}" for name in FILES))
    for size in SIZES:
        # One process for each, so that the peak of one is not counted for the other.
        subprocess.run([sys.executable, __file__, str(size)], check=True)


if __name__ == "__main__":
    main()
