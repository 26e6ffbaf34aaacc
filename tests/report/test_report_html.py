import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from readiness.model.record import RunRecord, Selection
from readiness.report import html
from tests.support.records import make_check, make_many, make_measurement, make_record, small_record
from tests.support.sample_record import sample

CSS = (Path(html.__file__).parent / "templates" / "style.css").read_text()


class _Page(HTMLParser):
    """Reads tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.headings: list[str] = []
        self.words: list[str] = []
        self.pictures = 0
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag == "svg":
            # One inside of another is a part of the same picture.
            self.pictures += not self._open
            self._open.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "svg":
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def _page(record: RunRecord) -> _Page:
    return _Page("".join(html.render(record)))


def test_nothing_is_run_and_nothing_is_fetched() -> None:
    page = _page(sample())
    assert not page.tags.keys() & {"script", "link", "img", "iframe", "object", "form", "base"}
    assert page.tags["style"] == 1
    assert not page.values("src")
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]
    assert (
        "meta", "content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    ) in page.attributes  # fmt: skip
    assert "url(" not in CSS
    assert "@import" not in CSS


@pytest.mark.parametrize("record", [sample(), small_record()], ids=["sample", "small"])
def test_it_can_be_read_by_machine_and_screen_reader(record: RunRecord) -> None:
    page = _page(record)
    assert page.tags["h1"] == 1
    assert page.tags["main"] == page.tags["header"] == page.tags["footer"] == page.tags["nav"] == 1
    assert ("html", "lang", "en") in page.attributes
    assert "viewport" in page.values("name")
    levels = [int(tag[1]) for tag in page.headings]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.tags["th"] == len(page.values("scope"))
    svgs = page.pictures
    assert svgs > 5
    assert page.values("role").count("img") == svgs
    assert page.tags["title"] == svgs + 1


def test_every_link_leads_to_an_anchor_that_is_there_once() -> None:
    page = _page(sample())
    ids = Counter(page.values("id"))
    assert [name for name, times in ids.items() if times > 1] == []
    links = page.values("href")
    assert {link[1:] for link in links if link.startswith("#")} <= ids.keys()
    assert all(link.startswith(("#", "https://")) for link in links)


def test_anchors_are_made_of_check_and_subject_alone() -> None:
    ids = _page(small_record()).values("id")
    assert "performance.query-latency--orders-db" in ids
    assert "deployment.rollback-lossless" in ids


def test_subjects_that_differ_only_in_odd_characters_keep_apart() -> None:
    page = _page(make_record([make_check(subject="a/b"), make_check(subject="a b")]))
    odd = [i for i in page.values("id") if i.startswith("performance.query-latency--")]
    assert len(set(odd)) == 2
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", i) for i in odd)


def test_the_verdict_comes_first_and_then_what_decided() -> None:
    text = _page(sample()).text
    order = [
        "NOT READY orders · staging · release 2026.11.3",
        "deployment.rollback-lossless[orders] failed: failed requests 412",
        "✗ 2 fail",
        "Environment staging",
        "2026-11-20 14:03:07 to 14:14:49 UTC",
        "release-bot on ci-runner-7",
        "readiness 0.1.0",
        "Suite State",
    ]
    begin = text.index("Production readiness")
    places = [text.index(words, begin) for words in order]
    assert places == sorted(places)


def test_the_sections_come_in_the_order_of_urgency() -> None:
    heads = re.findall(r"<h2[^>]*>(.*?)</h2>", "".join(html.render(sample())))
    assert heads == [
        "Suites",
        "What changed",
        "Failed (2)",
        "Could not be measured (1)",
        "Did not run (1)",
        "Waivers",
        "Sign-offs",
        "Warnings (1)",
        "Not applicable (1)",
        "All checks",
    ]


def test_every_finding_has_its_card() -> None:
    cards = re.findall(r'<article class="card t-([a-z-]+)"', "".join(html.render(sample())))
    assert Counter(cards) == {"fail": 2, "error": 1, "not-run": 1, "waived": 1}


def test_each_figure_stands_with_its_limit_and_source() -> None:
    text = _page(small_record()).text
    assert "p95 latency 104.6 ms ≤ 100 ms missed" in text
    assert "GET http://orders.staging.example/orders" in text
    assert "n=1,200" in text
    assert "104.60000" not in text


def test_failures_are_open_and_what_passed_is_closed() -> None:
    text = "".join(html.render(small_record()))
    opened = set(re.findall(r'<details class="t-([a-z-]+)"[^>]* open>', text))
    closed = set(re.findall(r'<details class="t-([a-z-]+)"[^>]*"\s*>', text))
    assert opened == {"fail", "error", "not-run"}
    assert closed == {"waived", "warn", "not-applicable"}


def test_closed_details_are_printed() -> None:
    printed = CSS[CSS.index("@media print") :]
    assert (
        "details::details-content { content-visibility: visible; display: block; height: auto; }"
    ) in printed
    assert "break-inside: avoid" in printed
    assert "attr(href)" in printed


def test_waivers_tell_owner_approver_expiry_and_state() -> None:
    text = _page(small_record()).text
    assert "database.index-use[orders-db] applied The index is built in week 48." in text
    assert "ana@example.com cto@example.com 2026-11-28 ▲ expires in 8 days" in text
    assert "backup.age expired Storage moved. bo cy 2026-10-01 ▲ expired" in text


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (make_record(report_only=True), "--report-only: the exit code of this run is 0"),
        (
            make_record(selection=Selection(partial=True, reason="--suite backup")),
            "Only some of the checks were selected: --suite backup",
        ),
    ],
)
def test_loud_banners(record: RunRecord, words: str) -> None:
    page = _page(record)
    assert ("p", "class", "banner") in page.attributes
    assert words in page.text


def test_fix_shows_commands_as_code() -> None:
    record = make_record(
        [make_check(outcome="fail", fix="Use `a < b`:\n\n    rm -i *\n\nSee https://x.example/y.")]
    )
    text = "".join(html.render(record))
    assert "<code>a &lt; b</code>" in text
    assert "<pre><code>rm -i *</code></pre>" in text
    assert '<a class="full" href="https://x.example/y" rel=' in text


def test_a_thousand_checks_fit_into_300_kilobytes() -> None:
    text = "".join(html.render(make_many(1000)))
    assert len(text.encode()) <= 300_000
    assert text.count(">✓ pass") >= 990


def test_a_thousand_checks_with_long_sources_and_many_figures_fit_too() -> None:
    figures = [
        make_measurement(41.2, None, name="rows"),
        make_measurement(source="select " + "column, " * 80, limit=None),
    ]
    record = make_many(1000)
    checks = [c.model_copy(update={"measurements": (*c.measurements, *figures)})
              if c.outcome == "pass" else c for c in record.checks]  # fmt: skip
    text = "".join(html.render(make_record(checks)))
    assert len(text.encode()) <= 300_000
    assert "more figures in readiness.json" in text


def test_many_reasons_are_folded_not_dropped() -> None:
    record = make_record(make_check(subject=f"s{n}", outcome="fail") for n in range(30))
    page = _page(record)
    assert "18 more reasons" in page.text
    assert all(f"performance.query-latency[s{n}] failed" in page.text for n in range(30))


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_all_text_has_enough_contrast(theme: int) -> None:
    block = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[theme]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
    grounds = ["page", "card", "wash"]
    tones = ["good", "bad", "unsure", "mild"]
    pairs = [(t, g) for t in ["ink", "soft", "link", *tones] for g in grounds]
    pairs += [(t, f"{tone}-wash") for tone in tones[:3] for t in ["ink", "soft", "link", tone]]
    pairs += [("ink", "code"), ("link", "code")]
    for text, ground in pairs:
        light, dark = sorted((_luminance(colours[text]), _luminance(colours[ground])))[::-1]
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)
