import pytest

from readiness.report.richtext import Block, Span, command, paragraph, plain, rich


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


@pytest.mark.parametrize(
    ("remedy", "expected"),
    [
        ("Do:\n\n    one\n    two\n\nThen:\n\n    three", "one\ntwo"),
        ("Run `pg_restore -l FILE`.\n\n    select 1", "select 1"),
        ("Set `x`, then run `psql -c 'select 1'`.", "psql -c 'select 1'"),
        (
            "check that it runs and listens: curl -sv --max-time 5 'http://127.0.0.1:19/'",
            "curl -sv --max-time 5 'http://127.0.0.1:19/'",
        ),
        ("use one of: email, slack", ""),
        ("set `role` in [backup.shop], or decide that it does not apply", ""),
        ("", ""),
    ],
)
def test_first_command_of_a_remedy(remedy: str, expected: str) -> None:
    assert command(rich(remedy)) == expected


def test_first_paragraph_of_a_remedy() -> None:
    assert paragraph(rich("Set `a`.\n\nThen b.")) == (
        Span("text", "Set "), Span("code", "a"), Span("text", "."),
    )  # fmt: skip


def test_text_from_the_middle_of_a_module_has_its_prose_apart_from_its_commands() -> None:
    blocks = rich(
        "Too old: make a backup,\n      or look at the job:\n      pg_dump shop\n        --jobs=4\n"
        "    Too small: compare it,\n      table by table\n    Then run it again."
    )
    assert [(b.kind, "".join(s.text for s in b.spans)) for b in blocks] == [
        ("paragraph", "Too old: make a backup, or look at the job:"),
        ("code", "pg_dump shop\n  --jobs=4"),
        ("paragraph", "Too small: compare it, table by table Then run it again."),
    ]


def test_commands_that_all_have_one_indentation_stay_commands() -> None:
    assert [b.kind for b in rich("Run:\n    select 1\n      from shop")] == ["paragraph", "code"]


def test_a_sentence_goes_on_in_a_deeper_row_and_a_command_is_not_torn() -> None:
    blocks = rich(
        "Do this:\n"
        "      spread: [{maxSkew: 1,\n        zone: ScheduleAnyway}]\n"
        "    Slow: move the\n      filling of caches out of it\n"
        "    Gone: keep the replicas for a while\n      (blue-green) on the machines"
    )
    assert [(b.kind, b.spans[0].text) for b in blocks] == [
        ("paragraph", "Do this:"),
        ("code", "spread: [{maxSkew: 1,\n  zone: ScheduleAnyway}]"),
        ("paragraph", "Slow: move the filling of caches out of it"),
        ("paragraph", "Gone: keep the replicas for a while (blue-green) on the machines"),
    ]


def test_the_first_sentence_goes_on_in_the_second_row() -> None:
    text = "Write both tables until\n    nobody rolls back:\n      alter table t;\n    Then stop"
    assert [(block.kind, "".join(span.text for span in block.spans)) for block in rich(text)] == [
        ("paragraph", "Write both tables until nobody rolls back:"),
        ("code", "alter table t;"),
        ("paragraph", "Then stop"),
    ]
