"""The page in a browser: first screen, paper, contrast and structure, phone.

A script measures a copy of the page: the page itself runs none, and fetches nothing.
"""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from readiness.model.record import RunRecord
from readiness.report import compare, files, html, several
from tests.support.browser import SCHEMES, SCREEN, Browser, Scheme, auditor
from tests.support.page_records import errors, of_size, ready
from tests.support.records import small_record

_RECORDS: Final[dict[str, Callable[[], RunRecord]]] = {
    "ready": ready,
    "errors": errors,
    "small": small_record,
}
_HISTORY: Final = "history"
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
  const audited = typeof audit === 'undefined' ? null : await audit();
  show({screen, anchors: anchors.map((one) => one.id), shown, phone, audit: audited});
};
frame.srcdoc = `<!DOCTYPE html>${page}`;
document.body.append(frame);
"""


class _Pages:
    """The pages of records in a browser, each visited by day and printed once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.of = functools.cache(self._of)
        self.visit = functools.cache(self._visit)
        self.printed = functools.cache(lambda name: self.of(name).printed())

    def _of(self, name: str) -> Browser:
        folder = self._folder / name
        browser = Browser(folder)  # skips, each time, where there is none
        folder.mkdir()
        record, earlier = of_size(130, 8) if name == _HISTORY else (_RECORDS[name](), ())
        files.write(browser.page, html.render(record, earlier=earlier))
        return browser

    def _visit(self, name: str) -> Any:
        """What `_VISIT` finds."""
        return self.of(name).run(f"{auditor()}{_VISIT}", SCREEN)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> _Pages:
    return _Pages(tmp_path_factory.mktemp("pages"))


def _letters(text: str) -> str:
    """Without what a line break on paper adds or takes away."""
    return re.sub(r"[\s\u00ad-]+", "", text)


@pytest.mark.parametrize("name", ["ready", "errors"])
def test_first_screen_holds_verdict_coverage_and_decisions(pages: _Pages, name: str) -> None:
    seen = pages.visit(name)["screen"]
    assert seen["inner"] == seen["width"] == 1280
    assert max(seen["verdict"], seen["ship"]) < 120
    assert seen["summary"] < 220


def test_seven_causes_and_a_failure_are_eight_steps_on_the_first_screen(pages: _Pages) -> None:
    seen = pages.visit("errors")["screen"]
    assert len(seen["steps"]) == 8
    # Fonts of another machine may be a little higher: the last step may be cut.
    assert seen["steps"][-2] < 800


@pytest.mark.parametrize("name", [*_RECORDS, _HISTORY])
def test_a_phone_needs_no_sideways_scrolling(pages: _Pages, name: str) -> None:
    seen = pages.visit(name)["phone"]
    assert seen["inner"] == 390
    assert seen["wide"] == []
    assert seen["width"] <= 390


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", [*_RECORDS, _HISTORY])
def test_axe_finds_no_violation(pages: _Pages, name: str, scheme: Scheme) -> None:
    seen = pages.visit(name)["audit"] if scheme == "light" else None
    found = seen or pages.of(name).audit(scheme)
    assert found["dark"] == (scheme == "dark")
    assert found["checked"] >= (21 if scheme == "light" else 1)
    assert found["violations"] == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("page", ["diff", "summary"])
def test_axe_finds_no_violation_on_the_small_pages(
    tmp_path: Path, page: str, scheme: Scheme
) -> None:
    records = [(tmp_path / f"{name}.json", _RECORDS[name]()) for name in ("small", "errors")]
    records[0][0].with_suffix(".html").write_text("its page")
    browser = Browser(tmp_path)
    browser.page.write_text(
        several.page(several.targets(records), tmp_path)
        if page == "summary"
        else compare.page(compare.Comparison.of(*(record for _, record in records)))
    )
    assert browser.audit(scheme)["violations"] == []


def test_ready_page_fits_on_twenty_sheets_and_into_200_kilobytes(pages: _Pages) -> None:
    assert pages.of("ready").page.stat().st_size < 200_000
    sheets, text = pages.printed("ready")
    assert sheets <= 20
    for number in range(1, sheets + 1):
        assert f"page {number} of {sheets}" in text
    assert text.count(f"readiness {ready().run.id}") == sheets


def test_page_of_25_errors_fits_on_forty_sheets(pages: _Pages) -> None:
    sheets, text = pages.printed("errors")
    assert sheets <= 40
    for step in ("GRANT pg_read_all_stats TO monitor;", "systemctl status prometheus"):
        assert _letters(step) in _letters(text)


@pytest.mark.parametrize("name", ["small", "errors"])
def test_what_is_folded_on_the_screen_is_printed(pages: _Pages, name: str) -> None:
    printed = _letters(pages.printed(name)[1])
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
    pages: _Pages, choice: str, seen: list[str], hidden: list[str]
) -> None:
    assert _visible(pages, choice, [*seen, *hidden]) == seen


def test_filter_by_area_shows_its_findings_and_passes_alone(pages: _Pages) -> None:
    suites = sorted({suite.name for suite in errors().suites})
    names = ["fail", "performance.query-latency", "error", "suite-performance", "suite-backup"]
    assert _visible(pages, f"show-a{suites.index('performance')}", [*names, "areas"]) == [
        "fail", "performance.query-latency", "suite-performance",
    ]  # fmt: skip


def _visible(pages: _Pages, choice: str, anchors: list[str]) -> list[str]:
    """The anchors of the page of errors that are shown once a filter was chosen."""
    found = pages.visit("errors")
    assert {*anchors} <= {*found["anchors"]}
    return [anchor for anchor in anchors if anchor in found["shown"][choice]]
