from readiness.report.richtext import Block, Span, plain, rich


def test_backticks_links_and_words() -> None:
    (block,) = rich("Run `make x`; see\nhttps://wiki.example/a?b=1.")
    assert block == Block(
        "paragraph",
        (
            Span("text", "Run "),
            Span("code", "make x"),
            Span("text", "; see "),
            Span("link", "https://wiki.example/a?b=1"),
            Span("text", "."),
        ),
    )


def test_fenced_and_indented_lines_are_commands() -> None:
    blocks = rich("Do:\n\n    one\n    two\n\nThen:\n```sh\n  three\n```\nDone")
    assert [(b.kind, b.spans[0].text) for b in blocks] == [
        ("paragraph", "Do:"),
        ("code", "one\ntwo"),
        ("paragraph", "Then:"),
        ("code", "  three"),
        ("paragraph", "Done"),
    ]


def test_only_http_becomes_a_link() -> None:
    (block,) = rich("javascript:alert(1) ftp://x.example data:text/html,x")
    assert [span.kind for span in block.spans] == ["text"]


def test_as_one_line() -> None:
    assert plain(rich("Run `x`\n\n    y")) == "Run `x` `y`"
