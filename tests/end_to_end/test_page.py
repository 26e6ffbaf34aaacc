"""The page in a browser: it prints whole, and asks nobody for anything."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from readiness.report import files, html
from tests.sample_record import sample

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PDFTOTEXT = shutil.which("pdftotext")
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


@pytest.mark.skipif(not (CHROMIUM and PDFTOTEXT), reason="needs chromium and pdftotext")
def test_what_is_folded_on_the_screen_is_printed(tmp_path: Path) -> None:
    record = sample()
    files.write(tmp_path / "page.html", html.render(record))
    subprocess.run(
        [str(CHROMIUM), *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--no-pdf-header-footer",
         f"--print-to-pdf={tmp_path / 'page.pdf'}", (tmp_path / "page.html").as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    subprocess.run([str(PDFTOTEXT), tmp_path / "page.pdf", tmp_path / "page.txt"], check=True)
    printed = _letters((tmp_path / "page.txt").read_text())
    # The reason of each check stands inside of its fold, closed where it passed.
    for check in record.checks:
        assert _letters(check.why)[:60] in printed, check.name


def _letters(text: str) -> str:
    """Without what a line break on paper adds or takes away."""
    return re.sub(r"[\s\u00ad-]+", "", text)
