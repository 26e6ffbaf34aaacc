import pytest
from markdown_it import MarkdownIt

from readiness.report import markdown
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
    html = RENDER.render(f"- {markdown.escape(text)}")
    inner = html.removeprefix("<ul>\n<li>").removesuffix("</li>\n</ul>\n")
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
