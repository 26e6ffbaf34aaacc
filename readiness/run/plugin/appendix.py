"""pytest-html as an appendix with `--debug`, with two of its bugs worked around.

It loses the test of a crashed worker (see `Controller.pytest_handlecrashitem`), and it writes test
ids and links unescaped, so that a script in a parameter id would run.
"""

import html
import re
from pathlib import Path
from typing import Final

import pytest

_CELL: Final = re.compile(r'<td class="(col-testId|col-links)">(.*)</td>', re.DOTALL)
_UNSAFE: Final = re.compile(r"[<>\"'&]|^\s*(javascript|data|vbscript):", re.IGNORECASE)


class Appendix:
    """Enables pytest-html and escapes its table."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.option
        wanted = option.readiness_debug and not option.readiness_record_only
        if wanted and hasattr(option, "htmlpath") and not option.htmlpath:
            option.htmlpath = str(Path(option.readiness_reports) / "pytest.html")
            option.self_contained_html = True

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_report_title(self, report: object) -> None:
        """Set the title."""
        setattr(report, "title", "Appendix: pytest log of a readiness run")  # noqa: B010

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, prefix: list[str]) -> None:
        """Point to the page with the verdict."""
        prefix.append("<p>An appendix for engineers. The verdict is in readiness.html.</p>")

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_html_results_table_row(self, report: pytest.TestReport, cells: list[str]) -> None:
        """Escape test ids and links."""
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
