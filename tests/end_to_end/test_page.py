"""The page in a browser: it prints whole, and asks nobody for anything."""

import re
import subprocess
from pathlib import Path

from readiness.report import files, html
from readiness.servers import programs
from tests.support.processes import needed
from tests.support.sample_record import sample

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def test_folded_parts_of_the_page_are_printed(tmp_path: Path) -> None:
    chromium, pdftotext = needed(programs.CHROMIUM), needed(programs.PDFTOTEXT)
    record = sample()
    files.write(tmp_path / "page.html", html.render(record))
    subprocess.run(
        [chromium, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--no-pdf-header-footer",
         f"--print-to-pdf={tmp_path / 'page.pdf'}", (tmp_path / "page.html").as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    subprocess.run([pdftotext, tmp_path / "page.pdf", tmp_path / "page.txt"], check=True)
    printed = _letters((tmp_path / "page.txt").read_text())
    # The reason of each check stands inside of its fold, closed where it passed.
    for check in record.checks:
        assert _letters(check.why)[:60] in printed, check.name


def _letters(text: str) -> str:
    """Without what a line break on paper adds or takes away."""
    return re.sub(r"[\s\u00ad-]+", "", text)
