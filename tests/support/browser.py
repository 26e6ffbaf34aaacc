"""Chromium without a window: what a script finds in a page, and what axe-core has to say of it."""

import functools
import html as entities
import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final, Literal

from readiness.servers import programs
from readiness.servers.programs import AbsentError
from tests.support import packages
from tests.support.processes import needed, skip

_AXE: Final = (
    "axe-core",
    "4.10.3",
    "sha512-Xm7bpRXnDSX2YE2YFfBk2FnF0ep6tmG7xPh8iHee8MIcrgq762Nkce856dYtJYLkuIoYZvGfTs/PbZhideTcEg==",
)
_QUIET: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
Scheme = Literal["dark", "light"]
SCHEMES: Final[tuple[Scheme, ...]] = ("dark", "light")
# What a script finds is the text of the document that the browser prints at the end.
_FOUND: Final = re.compile(r'<pre id="found">(.*?)</pre>', re.DOTALL)
_SHOW: Final = """
function show(found) {
  document.body.innerHTML = '<pre id="found"></pre>';
  document.getElementById('found').textContent = JSON.stringify(found);
}
"""
# The dark page differs in its colors alone.
_AUDIT: Final = """
for (const fold of document.querySelectorAll('details')) fold.open = true;
const options = {resultTypes: ['violations']};
const dark = matchMedia('(prefers-color-scheme: dark)').matches;
if (dark) options.runOnly = {type: 'rule', values: ['color-contrast', 'link-in-text-block']};
axe.run(document, options).then((found) => show({
  dark,
  checked: found.passes.length,
  violations: found.violations.map((v) => [v.id, v.nodes.slice(0, 3).map((n) => n.html)]),
}));
"""


class Browser:
    """Chromium, with a profile of its own; `page` is what it opens."""

    def __init__(self, folder: Path) -> None:
        self._program = needed(programs.CHROMIUM)
        self._folder = folder
        self.page = folder / "page.html"

    def run(self, script: str, *options: str) -> Any:
        """What a script gives to `show` in a copy of the page."""
        text = self.page.read_text(encoding="utf-8")
        text = re.sub(r"<meta http-equiv=[^>]*>", "", text)
        copy = self.page.with_name("copy.html")
        copy.write_text(text.replace("</body>", f"<script>{_SHOW}{script}</script></body>"))
        printed = self._start("--virtual-time-budget=60000", "--dump-dom", *options, copy.as_uri())
        found = _FOUND.search(printed)
        assert found, printed[-2000:]
        return json.loads(entities.unescape(found[1]))

    def audit(self, scheme: Scheme) -> dict[str, Any]:
        """What axe-core finds in the page: `violations`, and the number of rules `checked`."""
        # 0 is dark and 1 is light in Blink's PreferredColorScheme.
        chosen = f"--blink-settings=preferredColorScheme={SCHEMES.index(scheme)}"
        found = self.run(f"{_axe()}{_AUDIT}", "--window-size=1280,800", chosen)
        assert found["dark"] == (scheme == "dark")
        return dict(found)

    def printed(self) -> tuple[int, str]:
        """The number of pages on paper, and their text."""
        pdf, text = self._folder / "page.pdf", self._folder / "page.txt"
        self._start("--no-pdf-header-footer", f"--print-to-pdf={pdf}", self.page.as_uri())
        subprocess.run([needed(programs.PDFTOTEXT), "-layout", pdf, text], check=True)
        pages = text.read_text(encoding="utf-8").split("\f")
        return len(pages) - 1, "\n".join(pages)

    def picture(self, file: Path, height: int) -> None:
        """Write the upper part of the page as PNG, in light."""
        light = f"--blink-settings=preferredColorScheme={SCHEMES.index('light')}"
        size = f"--window-size=1280,{height}"
        self._start(light, size, f"--screenshot={file}", self.page.as_uri())

    def _start(self, *options: str) -> str:
        profile = f"--user-data-dir={self._folder / 'profile'}"
        return subprocess.run(
            [self._program, *_QUIET, profile, *options],
            check=True, capture_output=True, text=True, timeout=180,
        ).stdout  # fmt: skip


@functools.cache
def _axe() -> str:
    try:
        return (packages.npm(*_AXE) / "axe.min.js").read_text(encoding="utf-8")
    except AbsentError as problem:
        skip(problem)
