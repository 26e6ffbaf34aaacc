"""The page in a browser: first screen, paper, contrast and structure, phone.

A script measures a copy of the page: the page itself runs none, and fetches nothing.
"""

import functools
import html as entities
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from readiness.model.record import RunRecord
from readiness.report import compare, files, html, several
from readiness.servers import programs
from readiness.servers.programs import AbsentError
from tests.support import packages
from tests.support.page_records import errors, of_size, ready
from tests.support.processes import needed, skip
from tests.support.records import small_record

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
_RECORDS: Final[dict[str, Callable[[], RunRecord]]] = {
    "ready": ready,
    "errors": errors,
    "small": small_record,
}
_HISTORY: Final = "history"
# What a script finds is the text of the document that the browser prints at the end.
_FOUND: Final = re.compile(r'<pre id="found">(.*?)</pre>', re.DOTALL)
_SHOW: Final = """
function show(found) {
  document.body.innerHTML = '<pre id="found"></pre>';
  document.getElementById('found').textContent = JSON.stringify(found);
}
"""
# All that is measured of a page on a screen, in one start of the browser: what is shown first and
# by each filter, then with everything unfolded on a phone (a window is never narrower than 500
# pixels; a frame may be), and what axe finds. The dark page differs in its colors alone.
_VISIT: Final = """
const bottom = (part) => part.getBoundingClientRect().bottom;
const screen = {
  verdict: bottom(document.querySelector('h1')),
  ship: bottom(document.querySelector('.ship')),
  summary: bottom(document.querySelector('.sum')),
  steps: [...document.querySelectorAll('.steps tbody tr')].map(bottom),
  inner: innerWidth,
  width: document.documentElement.scrollWidth,
};
const anchors = [...document.querySelectorAll('[id]')];
const usual = document.querySelector('input[id^=show-]:checked');
const shown = {};
for (const choice of document.querySelectorAll('input[id^=show-]')) {
  choice.checked = true;
  shown[choice.id] = anchors.filter((one) => one.checkVisibility()).map((one) => one.id);
}
if (usual) usual.checked = true;
for (const fold of document.querySelectorAll('details')) fold.open = true;
const page = document.documentElement.outerHTML.replace(/<script[^]*<\\/script>/, '');
const frame = document.createElement('iframe');
frame.style.border = 0;
frame.width = 390;
frame.height = 844;
frame.onload = async () => {
  const inside = frame.contentDocument.documentElement;
  const wide = [...inside.querySelectorAll('body *')].filter(
    (part) => part.getBoundingClientRect().right > 391 && !part.closest('.scroll, svg'));
  const phone = {
    inner: frame.contentWindow.innerWidth,
    width: inside.scrollWidth,
    wide: wide.slice(0, 5).map((part) => part.outerHTML.slice(0, 200)),
  };
  frame.remove();
  show({screen, anchors: anchors.map((one) => one.id), shown, phone, audit: await audit()});
};
frame.srcdoc = `<!DOCTYPE html>${page}`;
document.body.append(frame);
"""
_AUDIT: Final = """
async function audit() {
  if (typeof axe === 'undefined') return null;
  for (const fold of document.querySelectorAll('details')) fold.open = true;
  const options = {resultTypes: ['violations']};
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  if (dark) options.runOnly = {type: 'rule', values: ['color-contrast', 'link-in-text-block']};
  const found = await axe.run(document, options);
  return {
    dark,
    checked: found.passes.length,
    violations: found.violations.map((v) => [v.id, v.nodes.slice(0, 3).map((n) => n.html)]),
  };
}
"""
_AUDITED: Final = "audit().then(show);"


class _Browser:
    """Chromium, with a profile of its own; each page is visited and printed once."""

    def __init__(self, folder: Path) -> None:
        self._program = needed(programs.CHROMIUM)
        self._folder = folder
        self.visit = functools.cache(self._visit)
        self.printed = functools.cache(self._printed)

    def page(self, name: str) -> Path:
        """The page of a record."""
        path = self._folder / f"{name}.html"
        if not path.exists():
            record, earlier = of_size(130, 8) if name == _HISTORY else (_RECORDS[name](), ())
            files.write(path, html.render(record, earlier=earlier))
        return path

    def _visit(self, name: str) -> Any:
        """What `_VISIT` finds on the page of a record, by day."""
        return self._run(self.page(name), f"{_axe() or ''}{_AUDIT}{_VISIT}", "light")

    def audit(self, page: Path, scheme: str) -> Any:
        """What axe finds on a page."""
        return self._run(page, f"{_axe()}{_AUDIT}{_AUDITED}", scheme)

    def _run(self, page: Path, script: str, scheme: str) -> Any:
        """What a script gives to `show` in a copy of the page."""
        text = page.read_text(encoding="utf-8")
        text = re.sub(r"<meta http-equiv=[^>]*>", "", text)
        copy = self._folder / "copy.html"
        copy.write_text(text.replace("</body>", f"<script>{_SHOW}{script}</script></body>"))
        # 0 is dark and 1 is light in Blink's PreferredColorScheme.
        chosen = f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"
        screen = ("--window-size=1280,800", "--virtual-time-budget=60000", "--dump-dom", chosen)
        printed = self._start(*screen, copy.as_uri())
        found = _FOUND.search(printed)
        assert found, printed[-2000:]
        return json.loads(entities.unescape(found[1]))

    def _printed(self, name: str) -> tuple[int, str]:
        """The number of pages on paper, and their text."""
        pdf, text = self._folder / "page.pdf", self._folder / "page.txt"
        self._start("--no-pdf-header-footer", f"--print-to-pdf={pdf}", self.page(name).as_uri())
        subprocess.run([needed(programs.PDFTOTEXT), "-layout", pdf, text], check=True)
        pages = text.read_text(encoding="utf-8").split("\f")
        return len(pages) - 1, "\n".join(pages)

    def _start(self, *options: str) -> str:
        profile = f"--user-data-dir={self._folder / 'profile'}"
        return subprocess.run(
            [self._program, *_QUIET, profile, *options],
            check=True, capture_output=True, text=True, timeout=180,
        ).stdout  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> _Browser:
    return _Browser(tmp_path_factory.mktemp("browser"))


@functools.cache
def _axe() -> str:
    """Its script; empty where there is none."""
    try:
        return (packages.npm(*_AXE) / "axe.min.js").read_text(encoding="utf-8")
    except AbsentError:
        return ""


@pytest.fixture
def _needs_axe() -> None:
    try:
        packages.npm(*_AXE)
    except AbsentError as problem:
        skip(problem)


def _letters(text: str) -> str:
    """Without what a line break on paper adds or takes away."""
    return re.sub(r"[\s\u00ad-]+", "", text)


@pytest.mark.parametrize("name", ["ready", "errors"])
def test_first_screen_holds_verdict_coverage_and_decisions(browser: _Browser, name: str) -> None:
    seen = browser.visit(name)["screen"]
    assert seen["inner"] == seen["width"] == 1280
    assert max(seen["verdict"], seen["ship"]) < 120
    assert seen["summary"] < 220


def test_seven_causes_and_a_failure_are_eight_steps_on_the_first_screen(browser: _Browser) -> None:
    seen = browser.visit("errors")["screen"]
    assert len(seen["steps"]) == 8
    # Fonts of another machine may be a little higher: the last step may be cut.
    assert seen["steps"][-2] < 800


@pytest.mark.parametrize("name", [*_RECORDS, _HISTORY])
def test_a_phone_needs_no_sideways_scrolling(browser: _Browser, name: str) -> None:
    seen = browser.visit(name)["phone"]
    assert seen["inner"] == 390
    assert seen["wide"] == []
    assert seen["width"] <= 390


@pytest.mark.usefixtures("_needs_axe")
@pytest.mark.parametrize(("scheme", "least"), [("light", 21), ("dark", 1)])
@pytest.mark.parametrize("name", [*_RECORDS, _HISTORY])
def test_axe_finds_no_violation(browser: _Browser, name: str, scheme: str, least: int) -> None:
    if scheme == "light":
        found = browser.visit(name)["audit"]
    else:
        found = browser.audit(browser.page(name), scheme)
    assert found["dark"] == (scheme == "dark")
    assert found["checked"] >= least
    assert found["violations"] == []


@pytest.mark.usefixtures("_needs_axe")
@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("page", ["diff", "summary"])
def test_axe_finds_no_violation_on_the_small_pages(
    browser: _Browser, tmp_path: Path, page: str, scheme: str
) -> None:
    records = [(tmp_path / f"{name}.json", _RECORDS[name]()) for name in ("small", "errors")]
    records[0][0].with_suffix(".html").write_text("its page")
    path = tmp_path / "page.html"
    path.write_text(
        several.page(several.targets(records), tmp_path)
        if page == "summary"
        else compare.page(compare.Comparison.of(*(record for _, record in records)))
    )
    found = browser.audit(path, scheme)
    assert found["dark"] == (scheme == "dark")
    assert found["violations"] == []


def test_ready_page_fits_on_twenty_sheets_and_into_200_kilobytes(browser: _Browser) -> None:
    assert browser.page("ready").stat().st_size < 200_000
    pages, text = browser.printed("ready")
    assert pages <= 20
    for number in range(1, pages + 1):
        assert f"page {number} of {pages}" in text
    assert text.count(f"readiness {ready().run.id}") == pages


def test_page_of_25_errors_fits_on_forty_sheets(browser: _Browser) -> None:
    pages, text = browser.printed("errors")
    assert pages <= 40
    for step in ("GRANT pg_read_all_stats TO monitor;", "systemctl status prometheus"):
        assert _letters(step) in _letters(text)


@pytest.mark.parametrize("name", ["small", "errors"])
def test_what_is_folded_on_the_screen_is_printed(browser: _Browser, name: str) -> None:
    printed = _letters(browser.printed(name)[1])
    for check in _RECORDS[name]().checks:
        shown = check.name if check.outcome == "not-applicable" else check.headline
        assert _letters(shown)[:30] in printed, check.name
        if check.outcome == "fail":
            assert _letters(check.why)[:60] in printed, check.name


@pytest.mark.parametrize(
    ("choice", "seen", "hidden"),
    [
        ("show-all", ["fail", "error", "areas", "passed", "annex"], []),
        ("show-findings", ["fail", "error", "observed"], ["areas", "passed", "annex", "changes"]),
    ],
)
def test_filter_shows_findings_alone(
    browser: _Browser, choice: str, seen: list[str], hidden: list[str]
) -> None:
    assert _visible(browser, choice, [*seen, *hidden]) == seen


def test_filter_by_area_shows_its_findings_and_passes_alone(browser: _Browser) -> None:
    suites = sorted({suite.name for suite in errors().suites})
    names = ["fail", "performance.query-latency", "error", "suite-performance", "suite-backup"]
    assert _visible(browser, f"show-a{suites.index('performance')}", [*names, "areas"]) == [
        "fail", "performance.query-latency", "suite-performance",
    ]  # fmt: skip


def _visible(browser: _Browser, choice: str, anchors: list[str]) -> list[str]:
    """The anchors of the page of errors that are shown once a filter was chosen."""
    found = browser.visit("errors")
    assert {*anchors} <= {*found["anchors"]}
    return [anchor for anchor in anchors if anchor in found["shown"][choice]]
