import html

import pytest
from markdown_it import MarkdownIt

from readiness.report import markdown
from tests.support.page_records import errors, ready
from tests.support.records import make_check, make_record, small_record

RENDER = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>",
        "**bold** _it_ `code` ~~gone~~",
        "[link](http://evil) ![i](http://evil) <http://evil>",
        "a | b |",
        "# heading",
        "- item",
        "+ item",
        "12. item",
        "12) item",
        "===",
        "> quote",
        "&lt;b&gt; &amp;",
        "back\\slash \\",
        "$x$ [x]: y",
        "```\nfence",
        "    indented",
        "a\n\n# heading",
        "www.evil.example https://evil.example mailto:a@evil.example :tada: 14:04:07",
        "<https://evil.example> <a@evil.example>",
        "-1 ms",
        "--- +++",
        "1.5 s",
    ],
)
def test_escaped_text_is_shown_as_it_stands(text: str) -> None:
    made = RENDER.render(f"- {markdown.escape(text)}")
    inner = made.removeprefix("<ul>\n<li>").removesuffix("</li>\n</ul>\n")
    assert "<" not in inner
    shown = inner.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"')
    assert shown.replace("&amp;", "&").replace("\u2060", "") == " ".join(text.split())


@pytest.mark.parametrize("text", ["@team", "ask @org/team", "#123", "o/r#7", "GH-12"])
def test_nobody_is_mentioned_and_nothing_is_referred_to(text: str) -> None:
    for escaped in (markdown.escape(text), markdown.escape_html(text)):
        rendered = RENDER.renderInline(escaped)
        assert text not in rendered
        assert rendered.replace("\u2060", "") == text


def test_a_cell_keeps_to_its_table() -> None:
    record = make_record([make_check("a|b.c|d", "x|y\nz")])
    table = next(t for t in RENDER.render(markdown.render(record)).split("<table>")[1:])
    rows = table.split("</table>")[0].split("<tr>")[1:]
    assert {row.count("<th") + row.count("<td") for row in rows} == {10}


def test_it_stays_under_a_mebibyte_and_says_that_it_was_cut() -> None:
    many = (
        make_check(f"performance.check-{n}", outcome="fail", message="é" * 1000)
        for n in range(1500)
    )
    text = markdown.render(make_record(many))
    assert len(text.encode()) < 2**20
    assert "Truncated" in text
    assert text.count("<details>") == text.count("</details>") > 100


def test_what_is_short_is_not_cut() -> None:
    assert "Truncated" not in markdown.render(small_record())


def test_findings_are_folded_with_their_fix() -> None:
    text = markdown.render(small_record())
    assert "<details>\n<summary>✗ <b>A bad release rolls back without a lost request</b>" in text
    assert "How to fix it: Read the plan with <code>EXPLAIN (ANALYZE, BUFFERS)</code>" in text
    assert "observed 104.6 ms, limit ≤ 100 ms" in text


def test_order_is_verdict_shipping_coverage_steps_failures_causes_decisions() -> None:
    record = errors()
    covered = record.coverage
    assert covered.required - covered.judged > 25
    text = markdown.render(record)
    order = [
        "# ✗ NOT READY",
        "**Do not ship: 1 required failure; 25 required checks could not be judged.**",
        f"- Coverage: Judged {covered.judged} of {covered.required} required",
        "- Not applicable: 2 required checks by 2 decisions",
        "- Accepted risks: 1 observe-only decision until 31 Jan 2027",
        "- Changes: Since the last READY",
        "## Do this, in order",
        "## Failed (1)",
        "## Could not be judged (25), by cause",
        "## Failed, accepted by a waiver (1)",
        "## Decisions",
        "## Observed only",
        "## What changed",
        "## Areas",
        "Record SHA-256",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_a_cause_is_one_fold_with_its_remedy_and_what_it_blocks() -> None:
    text = markdown.render(errors())
    assert text.count("GRANT pg\\_read\\_all\\_stats TO monitor;</code> | 4 checks |") == 1
    head = "<b>role monitor lacks pg_read_all_stats on shop</b> · blocks 4 checks</summary>"
    fold = text[text.index(head) :].split("</details>")[0]
    assert "<pre>GRANT pg_read_all_stats TO monitor;</pre>" in fold
    assert fold.count("\n- ◆ ") == 4


def test_checks_that_passed_are_counted_only() -> None:
    text = markdown.render(ready())
    assert len(text) < 6_000
    assert not any(f"`{check.name}`" in text for check in ready().checks if check.outcome == "pass")


@pytest.mark.parametrize("command", ["npm i @scope/x # now", "psql -c 'select 1 < 2'", "see GH-12"])
def test_a_command_can_be_copied_as_it_is(command: str) -> None:
    check = make_check(outcome="fail", fix=f"Do:\n\n    {command}\n    {command}")
    shown = html.unescape(RENDER.render(markdown.render(make_record([check]))))
    assert f"<pre>{command}\n{command}</pre>" in shown
    assert f"<code>{command}</code> … 2 lines" in shown
