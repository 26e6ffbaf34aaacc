"""pytest-html as the engineer's appendix, where it is asked for, with its two faults mended.

It loses the test of a crashed worker (`Controller.pytest_handlecrashitem` mends that), and it
puts test ids and links into the page unescaped, where a script in a parameter id runs.
"""

import html
import re
from pathlib import Path
from typing import Final

import pytest

_CELL: Final = re.compile(r'<td class="(col-testId|col-links)">(.*)</td>', re.DOTALL)
_UNSAFE: Final = re.compile(r"[<>\"'&]|^\s*(javascript|data|vbscript):", re.IGNORECASE)


class Appendix:
    """Switches pytest-html on, and makes its table safe."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.option
        wanted = option.readiness_debug and not option.readiness_record_only
        if wanted and hasattr(option, "htmlpath") and not option.htmlpath:
            option.htmlpath = str(Path(option.readiness_reports) / "pytest.html")
            option.self_contained_html = True

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_report_title(self, report: object) -> None:
        """Name the page for what it is."""
        setattr(report, "title", "Appendix: pytest log of a readiness run")  # noqa: B010

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, prefix: list[str]) -> None:
        """Say where the verdict is: this page must not be read as one."""
        prefix.append("<p>An appendix for engineers. The verdict is in readiness.html.</p>")

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_html_results_table_row(self, report: pytest.TestReport, cells: list[str]) -> None:
        """Escape what pytest-html puts into the page as it is."""
        for place, cell in enumerate(cells):
            match = _CELL.fullmatch(cell)
            if match is None:
                continue
            column, body = match.groups()
            safe = html.escape(body) if column == "col-testId" else _safe_links(report, body)
            cells[place] = f'<td class="{column}">{safe}</td>'


def _safe_links(report: pytest.TestReport, links: str) -> str:
    extras = getattr(report, "extras", [])
    texts = [str(extra.get(key, "")) for extra in extras for key in ("name", "content")]
    return "(links left out: unsafe text)" if any(map(_UNSAFE.search, texts)) else links
