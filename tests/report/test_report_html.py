import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from readiness.model.measurement import at_most
from readiness.model.record import (
    Change,
    Changes,
    RunRecord,
    Selection,
    Setting,
    SuiteResult,
    SuiteState,
    Verdict,
)
from readiness.report import build, html
from readiness.report.trends import past_run
from tests.support.page_records import errors, ready
from tests.support.records import (
    LAST_WEEK,
    make_check,
    make_many,
    make_measurement,
    make_record,
    sample,
    small_record,
)

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


@pytest.mark.parametrize(
    "record", [sample(), small_record(), errors()], ids=["sample", "small", "errors"]
)
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


@pytest.mark.parametrize(
    "record", [sample(), small_record(), errors()], ids=["sample", "small", "errors"]
)
def test_every_check_has_its_anchor_once_and_every_link_reaches_one(record: RunRecord) -> None:
    page = _page(record)
    ids = Counter(page.values("id"))
    assert [name for name, times in ids.items() if times > 1] == []
    links = page.values("href")
    assert links
    assert {build.anchor(c.id, c.subject) for c in record.checks} <= ids.keys()
    assert {link[1:] for link in links if link.startswith("#")} <= ids.keys()
    assert all(link.startswith(("#", "https://", "http://")) for link in links)


def test_anchors_are_made_of_check_and_subject_alone() -> None:
    ids = _page(small_record()).values("id")
    assert "performance.query-latency--orders-db" in ids
    assert "deployment.rollback-lossless" in ids


def test_subjects_that_differ_only_in_odd_characters_keep_apart() -> None:
    page = _page(make_record([make_check(subject="a/b"), make_check(subject="a b")]))
    odd = [i for i in page.values("id") if i.startswith("performance.query-latency--")]
    assert len(set(odd)) == 2
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", i) for i in odd)


def test_first_screen_has_verdict_then_shipping_then_coverage_then_steps() -> None:
    text = _page(sample()).text
    order = [
        "NOT READY orders · staging · release 2026.11.3 · 20 Nov 2026 14:14 UTC · profile full",
        "Do not ship: 2 required failures; 2 required checks could not be judged.",
        "Coverage Judged 20 of 22 required",
        "Accepted risks 1 waiver until 29 Nov 2026 (ana.ruiz@example.com)",
        "Changes Since the last run (2026.11.3, 13 Nov 2026, NOT READY; no READY on record): 1 new",
        "Do this, in order",
        "1 blocker failed requests 412; limit 0",
        "kubectl -n orders patch deployment orders --patch-file drain.yaml 1 check",
        "2 major effect load is not allowed for this target",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_ready_says_ship_and_has_no_steps() -> None:
    text = _page(make_record([make_check(severity="blocker")])).text
    assert "Ship: all 1 required checks were judged, and none failed." in text
    assert "Do this, in order" not in text


def test_incomplete_names_the_conditions_that_are_not_about_one_check() -> None:
    text = _page(make_record([make_check()])).text
    assert "Do not ship yet: the run is incomplete." in text
    assert "No blocker was judged: what was measured cannot show that the target is ready." in text


def test_a_suite_without_answers_is_said_once_by_its_steps() -> None:
    record = make_record(
        [make_check("backup.age", outcome="not-run", message="not configured: [backup.NAME]")],
        suites=[
            SuiteResult(name="backup", state=SuiteState.NOT_VERIFIED, reason="set [backup.NAME]"),
            SuiteResult(name="schema", state=SuiteState.NOT_VERIFIED, reason="not selected"),
        ],
    )
    text = _page(record).text
    assert "Suite backup is not verified" not in text
    assert "Suite schema is not verified: not selected." in text


def test_a_step_that_others_depend_on_says_so() -> None:
    failed = make_check("database.index-use", outcome="fail", severity="blocker")
    follows = make_check("performance.query-latency", outcome="fail", message="too slow")
    follows = follows.model_copy(update={"explained_by": (failed.name,)})
    text = _page(make_record([failed, follows])).text
    assert "1 check + 1 that follow" in text
    assert "Follows from database.index-use[orders-db] ." in text


def test_every_step_links_to_its_evidence() -> None:
    text = "".join(html.render(errors()))
    steps = text[text.index('<table class="steps') : text.index("<main")]
    assert len(re.findall("<tr><td>", steps)) == 8
    assert re.findall(r'href="#([^"]+)"', steps) == [
        "cause-1", "cause-2", "cause-3", "cause-4", "cause-5", "cause-6",
        "performance.query-latency--recent-orders", "cause-7",
    ]  # fmt: skip


def test_the_sections_come_in_the_order_of_urgency() -> None:
    heads = re.findall(r"<h2[^>]*>(.*?)</h2>", "".join(html.render(sample())))
    assert heads == [
        "Do this, in order",
        "Failed (2)",
        "Could not be judged (2), by cause",
        "Failed, accepted by a waiver (1)",
        "Warnings (1)",
        "What changed",
        "Areas",
        "Decisions",
        "Not applicable, as the checks found",
        "Sign-offs",
        "Passed (18)",
        "Annex: the figures of what passed",
        "The run and its record",
    ]


def test_every_finding_has_its_card_and_errors_share_those_of_their_causes() -> None:
    cards = re.findall(r'<article class="card t-([a-z-]+)', "".join(html.render(errors())))
    # Seven causes, the observed checks, four decisions.
    assert Counter(cards) == {"fail": 1, "error": 7, "waived": 1 + 4, "pass": _observed()}


def _observed() -> int:
    """The checks of scaling, whose subjects share a card."""
    found = {check.id for check in errors().checks if check.suite == "scaling"}
    assert len(found) > 5
    return len(found)


def test_a_cause_is_said_once_with_what_it_blocks() -> None:
    main = "".join(html.render(errors())).split("<main", 1)[1]
    assert main.count("role monitor lacks pg_read_all_stats on shop") == 1
    assert re.search(r"pg_read_all_stats on shop <small>blocks 4 checks</small>", main)
    assert main.count("GRANT pg_read_all_stats TO monitor;") == 1


def test_each_missed_figure_stands_with_its_limit_its_key_and_its_source() -> None:
    text = _page(errors()).text
    assert (
        "p95 latency, 95 % lower bound ✗ 121.4 ms p95 latency, 95 % lower bound: observed 121.4 ms,"
        " limit ≤ 100 ms ≤ 100 ms decided by performance.queries[1].max_p95_ms , default"
        " select * from shop.recent_orders order by created_at desc limit 50, n="
    ) in text
    assert "104.60000" not in _page(small_record()).text


def test_evidence_of_a_finding_stands_once() -> None:
    text = "".join(html.render(errors()))
    assert text.count('<th scope="row">p95 latency, 95 % lower bound') == 1


def test_an_error_says_what_is_true_if_the_check_fails() -> None:
    check = make_check(outcome="error", message="refused").model_copy(
        update={"failure_title": "Queries are slow"}
    )
    text = _page(make_record([check])).text
    assert "if it fails: Queries are slow" in text


def test_earlier_runs_are_drawn_with_a_finding() -> None:
    earlier = [
        make_record(
            [make_check(outcome=outcome, measurements=[make_measurement(value, at_most(100))])],
            began=LAST_WEEK, run_id=f"run-{value}",
        )
        for outcome, value in (("fail", 130), ("pass", 90), ("pass", 80))
    ]  # fmt: skip
    now = make_record(
        [make_check(outcome="fail", measurements=[make_measurement(140, at_most(100))])]
    )
    past = [past_run(record.to_json()) for record in earlier]
    page = _Page("".join(html.render(now, earlier=past)))
    assert "last 4 runs: 80 ms, 90 ms, 130 ms, 140 ms" in page.text
    assert "✓ pass 2 times, 13 Nov 2026 to 13 Nov 2026, then ✗ fail 13 Nov 2026" in page.text
    assert 'class="spark"' not in "".join(html.render(now))


def test_what_passed_is_one_line_each_folded_by_area() -> None:
    text = "".join(html.render(ready()))
    passed = text[text.index('id="passed"') : text.index('id="annex"')]
    assert passed.count("<details") == len(ready().suites)
    assert "<details open" not in passed
    assert passed.count("<li") == len({c.id for c in ready().checks if c.outcome == "pass"})
    assert "<table" not in passed


def test_the_annex_can_be_left_out() -> None:
    whole, short = ("".join(html.render(ready(), evidence=e)) for e in ("full", "findings"))
    assert 'id="annex"' in whole
    assert 'id="annex"' not in short
    assert len(short) < len(whole) / 2
    assert "--evidence findings" in short


def test_not_applicable_stands_with_its_decision() -> None:
    text = _page(ready()).text
    assert (
        "not applicable: database.timescale applied The shop stores no time series. Owner"
        " ana.ruiz@example.com · approved by head-of-platform@example.com · review by 2027-01-31"
    ) in text
    assert "Not applicable, as the checks found" not in text


def test_observed_results_stand_apart_from_what_decides() -> None:
    text = "".join(html.render(errors()))
    observed = text[text.index('id="observed"') : text.index('id="changes"')]
    assert observed.count("<article") == _observed()
    assert 'id="scaling.' not in text.replace(observed, "")


def test_checks_that_are_not_asked_for_are_one_folded_list_by_reason() -> None:
    record = errors()
    count = len(record.not_asked)
    assert count > 1
    expected = f"{count} checks in 1 group, by reason not declared: [[signoff]] ({count}): signoff."
    assert expected in _page(record).text


def test_areas_say_how_much_was_judged() -> None:
    text = _page(errors()).text
    assert "alerting 9 of 34 judged" in text


def test_filters_need_no_script() -> None:
    text = "".join(html.render(errors()))
    choices = re.findall(r'<input type="radio" name="show" id="(show-[a-z0-9]+)"', text)
    assert choices[:2] == ["show-all", "show-findings"]
    assert len(choices) == 2 + len({c.suite for c in errors().checks})
    for choice in choices[1:]:
        assert f"body:has(#{choice}:checked)" in text


def test_an_auditor_finds_owners_and_digests() -> None:
    record = errors()
    text = _page(record).text
    assert f"Configuration SHA-256 {record.run.config_sha256}" in text
    assert f"Record SHA-256 {record.record_sha256}" in text


def test_what_became_not_applicable_says_what_is_lost_by_it() -> None:
    text = _page(make_record([make_check()], changes=Changes(
        since_run="r", since=LAST_WEEK, since_verdict=Verdict.READY, since_release="2.3.9",
        items=(Change(check="backup.restores", kind="not-applicable", before="pass",
                      after="not-applicable until 2027-01-31 (ana): no data",
                      lost='blocker "A backup restores"'),),
    ))).text  # fmt: skip
    assert "Since the last READY (2.3.9, 13 Nov 2026): 1 became not applicable" in text
    assert 'no longer judged: blocker "A backup restores"' in text


def test_closed_details_are_printed() -> None:
    printed = CSS[CSS.index("@media print") :]
    assert (
        "details::details-content { content-visibility: visible; display: block; height: auto; }"
    ) in printed
    assert "break-inside: avoid" in printed
    assert "attr(href)" in printed


def test_waivers_have_owner_approver_expiry_and_state() -> None:
    text = _page(small_record()).text
    assert "database.index-use[orders-db] applied The index is built in week 48." in text
    assert (
        "Owner ana@example.com · approved by cto@example.com · until 2026-11-28 ▲ expires in 8 days"
    ) in text
    assert "backup.age expired Storage moved. Owner bo · approved by cy · until 2026-10-01" in text


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
    assert text.count(' id="suite-') == 990 + 10 + 100 + 10


@pytest.mark.parametrize(("checks", "shown", "more"), [(80, 9, 0), (200, 4, 5), (300, 2, 7)])
def test_the_more_checks_the_fewer_figures_of_each_that_passed(
    checks: int, shown: int, more: int
) -> None:
    figures = [make_measurement(n, None, name=f"figure {n}") for n in range(9)]
    found = [make_check(id=f"a.c{n}", measurements=figures) for n in range(checks)]
    text = "".join(html.render(make_record(found)))
    assert text.count("<dt>figure ") == shown * checks
    assert text.count(f"… {more} more</p>") == (checks if more else 0)


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
    assert "… 20 more" in text


def test_every_failure_is_a_step() -> None:
    record = make_record(
        make_check(subject=f"s{n}", outcome="fail", message=f"too slow: {n}") for n in range(30)
    )
    page = _page(record)
    assert all(f"too slow: {n} performance.query-latency[s{n}]" in page.text for n in range(30))


def test_run_id_on_paper_cannot_leave_its_text() -> None:
    text = "".join(html.render(make_record(run_id='x"; } body { display: none } </style>')))
    assert '@bottom-left { content: "readiness x-body-display-none-style-"; }' in text


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


def test_links_and_the_configuration_are_for_people_on_call_and_auditors() -> None:
    record = small_record()
    key = "performance.queries[1].max_p95_ms"
    checks = tuple(
        check.model_copy(
            update={
                "measurements": tuple(
                    replace(m, limit=replace(m.limit, setting=f"`{key}`")) if m.limit else m
                    for m in check.measurements
                )
            }
        )
        for check in record.checks
    )
    setting = Setting(key=key, value="100", origin="readiness.toml:12")
    known = record.model_copy(
        update={
            "checks": checks,
            "run": record.run.model_copy(update={"configuration": (setting,)}),
            "target": record.target.model_copy(
                update={"links": {"runbook": "https://wiki.example.com/orders"}}
            ),
        }
    )
    page = _page(known)
    assert "https://wiki.example.com/orders" in page.values("href")
    assert "Configuration 1 key set by the file or the environment" in page.text
    assert "[performance.queries[1]] 12 max_p95_ms = 100" in page.text
    assert f"{key} , readiness.toml:12" in page.text  # the key is code
    short = _Page("".join(html.render(known, evidence="findings")))
    assert "Configuration 1 key" not in short.text
