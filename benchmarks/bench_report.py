"""How long the outputs of a large run take, and how much memory and space.

Also how long a browser takes for the page of 300 checks and 50 earlier runs, folded and with all
open, and this machine for reading those runs.

PYTHONPATH=. python benchmarks/bench_report.py
"""

import re
import resource
import shutil
import statistics
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


RUNS = 5
CHROMIUM = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--window-size=1280,800", "--dump-dom"),
)
SHOWN = """<script>addEventListener('load', () => {
  document.body.getBoundingClientRect();
  const folded = performance.now();
  for (const fold of document.querySelectorAll('details')) fold.open = true;
  document.body.getBoundingClientRect();
  document.title = `shown ${folded} ${performance.now()}`;
})</script>"""


def rendering() -> str:
    """Size of the page, seconds to render it, milliseconds from navigation to layout."""
    from readiness.report import history, html
    from tests.support.page_records import of_size

    record, earlier = of_size(300, 50)
    began = time.perf_counter()
    text = "".join(html.render(record, earlier=earlier))
    rendered = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for back in range(50):
            run = record.run.model_copy(update={"id": f"{record.run.id}-{back}"})
            history.store(record.model_copy(update={"run": run}), folder)
        began = time.perf_counter()
        list(history.earlier(history.Files(folder), record))
        read = time.perf_counter() - began
        shown = _shown(text, folder)
    return (
        f"page of 300 checks and 50 runs: {len(text.encode()):,} bytes, made in {rendered:.2f} s;"
        f" 50 records read in {read:.2f} s\n{shown}"
    )


def _shown(text: str, folder: Path) -> str:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        return "no chromium here: not shown"
    page = folder / "page.html"
    # The page itself forbids scripts.
    page.write_text(re.sub(r"<meta http-equiv=[^>]*>", "", text).replace("</body>", SHOWN))
    times = []
    for _ in range(RUNS):
        printed = subprocess.run(
            [program, *CHROMIUM, f"--user-data-dir={folder / 'profile'}", page.as_uri()],
            capture_output=True, text=True, check=True, timeout=120,
        ).stdout  # fmt: skip
        found = re.search(r"<title>shown ([\d.]+) ([\d.]+)</title>", printed)
        assert found, printed[:500]
        times.append([float(found[1]), float(found[2])])
    folded, opened = (statistics.median(column) for column in zip(*times, strict=True))
    return f"shown by Chromium after {folded:.0f} ms, with all open after {opened:.0f} ms"


def main() -> None:
    if len(sys.argv) > 1:
        print(measure(int(sys.argv[1])))
        return
    print(f"{'checks':>8} {'seconds':>9} {'peak MB':>9} ", *(f"{name:>12}" for name in FILES))
    for size in SIZES:
        # One process for each, so that the peak of one is not counted for the other.
        subprocess.run([sys.executable, __file__, str(size)], check=True)
    sys.path.insert(0, str(Path(__file__).parents[1]))
    print(rendering())


if __name__ == "__main__":
    main()
