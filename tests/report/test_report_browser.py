"""The page in a browser: first screen, paper, contrast and structure, phone.

A script measures a copy of the page: the page itself runs none, and fetches nothing.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from readiness.model.record import RunRecord
from readiness.report import compare, files, html, several
from readiness.report.trends import PastRun
from tests.support.browser import SCHEMES, Browser, Scheme
from tests.support.page_records import errors, of_size, ready
from tests.support.records import small_record

_RECORDS: Final[dict[str, Callable[[], RunRecord]]] = {
    "ready": ready,
    "errors": errors,
    "small": small_record,
}
_HISTORY: Final = "history"
_MEASURE: Final = """
const bottom = (part) => part.getBoundingClientRect().bottom;
show({
  verdict: bottom(document.querySelector('h1')),
  ship: bottom(document.querySelector('.ship')),
  summary: bottom(document.querySelector('.sum')),
  steps: [...document.querySelectorAll('.steps tbody tr')].map(bottom),
  inner: innerWidth,
  width: document.documentElement.scrollWidth,
});
"""
# A window is never narrower than 500 pixels; a frame may be.
_PHONE: Final = """
for (const fold of document.querySelectorAll('details')) fold.open = true;
const page = document.documentElement.outerHTML.replace(/<script[^]*<\\/script>/, '');
const frame = document.createElement('iframe');
frame.style.border = 0;
frame.width = 390;
frame.height = 844;
frame.onload = () => {
  const inside = frame.contentDocument.documentElement;
  const wide = [...inside.querySelectorAll('body *')].filter(
    (part) => part.getBoundingClientRect().right > 391 && !part.closest('.scroll, svg'));
  show({
    inner: frame.contentWindow.innerWidth,
    width: inside.scrollWidth,
    wide: wide.slice(0, 5).map((part) => part.outerHTML.slice(0, 200)),
  });
};
frame.srcdoc = `<!DOCTYPE html>${page}`;
document.body.append(frame);
"""


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    return Browser(tmp_path)


def _load(browser: Browser, record: RunRecord, earlier: Sequence[PastRun] = ()) -> None:
    files.write(browser.page, html.render(record, earlier=earlier))


def _load_by_name(browser: Browser, name: str) -> None:
    _load(browser, *(of_size(130, 8) if name == _HISTORY else [_RECORDS[name]()]))


def _letters(text: str) -> str:
    """Without what a line break on paper adds or takes away."""
    return re.sub(r"[\s\u00ad-]+", "", text)


@pytest.mark.parametrize("name", ["ready", "errors"])
def test_first_screen_holds_verdict_coverage_and_decisions(browser: Browser, name: str) -> None:
    _load(browser, _RECORDS[name]())
    seen = browser.run(_MEASURE, "--window-size=1280,800")
    assert seen["inner"] == seen["width"] == 1280
    assert max(seen["verdict"], seen["ship"]) < 120
    assert seen["summary"] < 220


def test_seven_causes_and_a_failure_are_eight_steps_on_the_first_screen(browser: Browser) -> None:
    _load(browser, errors())
    seen = browser.run(_MEASURE, "--window-size=1280,800")
    assert len(seen["steps"]) == 8
    # Fonts of another machine may be a little higher: the last step may be cut.
    assert seen["steps"][-2] < 800


@pytest.mark.parametrize("name", [*_RECORDS, _HISTORY])
def test_a_phone_needs_no_sideways_scrolling(browser: Browser, name: str) -> None:
    _load_by_name(browser, name)
    seen = browser.run(_PHONE)
    assert seen["inner"] == 390
    assert seen["wide"] == []
    assert seen["width"] <= 390


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", [*_RECORDS, _HISTORY])
def test_axe_finds_no_violation(browser: Browser, name: str, scheme: Scheme) -> None:
    _load_by_name(browser, name)
    found = browser.audit(scheme)
    assert found["checked"] >= (21 if scheme == "light" else 1)
    assert found["violations"] == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("page", ["diff", "summary"])
def test_axe_finds_no_violation_on_the_small_pages(
    browser: Browser, tmp_path: Path, page: str, scheme: Scheme
) -> None:
    records = [(tmp_path / f"{name}.json", _RECORDS[name]()) for name in ("small", "errors")]
    records[0][0].with_suffix(".html").write_text("its page")
    browser.page.write_text(
        several.page(several.targets(records), tmp_path)
        if page == "summary"
        else compare.page(compare.Comparison.of(*(record for _, record in records)))
    )
    assert browser.audit(scheme)["violations"] == []


def test_ready_page_fits_on_twenty_sheets_and_into_200_kilobytes(browser: Browser) -> None:
    _load(browser, ready())
    assert browser.page.stat().st_size < 200_000
    pages, text = browser.printed()
    assert pages <= 20
    for number in range(1, pages + 1):
        assert f"page {number} of {pages}" in text
    assert text.count(f"readiness {ready().run.id}") == pages


def test_page_of_25_errors_fits_on_forty_sheets(browser: Browser) -> None:
    _load(browser, errors())
    pages, text = browser.printed()
    assert pages <= 40
    for step in ("GRANT pg_read_all_stats TO monitor;", "systemctl status prometheus"):
        assert _letters(step) in _letters(text)


@pytest.mark.parametrize("name", ["small", "errors"])
def test_what_is_folded_on_the_screen_is_printed(browser: Browser, name: str) -> None:
    record = _RECORDS[name]()
    _load(browser, record)
    printed = _letters(browser.printed()[1])
    for check in record.checks:
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
    browser: Browser, choice: str, seen: list[str], hidden: list[str]
) -> None:
    _load(browser, errors())
    assert _visible(browser, choice, [*seen, *hidden]) == seen


def test_filter_by_area_shows_its_findings_and_passes_alone(browser: Browser) -> None:
    record = errors()
    _load(browser, record)
    area = f"show-a{sorted({suite.name for suite in record.suites}).index('performance')}"
    names = ["fail", "performance.query-latency", "error", "suite-performance", "suite-backup"]
    assert _visible(browser, area, [*names, "areas"]) == [
        "fail", "performance.query-latency", "suite-performance",
    ]  # fmt: skip


def _visible(browser: Browser, choice: str, anchors: list[str]) -> list[str]:
    """The anchors that are shown once a filter was chosen."""
    script = f"""
document.getElementById('{choice}').checked = true;
show({json.dumps(anchors)}.filter((id) => document.getElementById(id).checkVisibility()));"""
    return [str(anchor) for anchor in browser.run(script)]
