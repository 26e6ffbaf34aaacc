"""How soon a person sees something: `readiness --help`, and a whole run of the reference system."""

import statistics
import subprocess
import sys
import tempfile
import time


def seconds(*arguments: str, folder: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "readiness", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        helps = [seconds("--help", folder=folder) for _ in range(7)]
        print(f"readiness --help: median {statistics.median(helps):.2f} s (under 0.3 s)")
        whole = seconds("run", "--reference", folder=folder)
        print(f"readiness run --reference: {whole:.1f} s (under 60 s)")


if __name__ == "__main__":
    main()
