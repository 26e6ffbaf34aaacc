import io

from readiness.report import github
from tests.support.records import make_check, make_record


def test_weighty_findings_come_first_and_ten_at_most() -> None:
    checks = [make_check(f"a.minor-{n}", outcome="fail", severity="minor") for n in range(9)]
    checks += [make_check(f"b.major-{n}", outcome="error") for n in range(4)]
    commands = github.annotations(make_record(checks))
    assert [c.split(" ")[0] for c in commands] == ["::error"] * 4 + ["::warning"] * 6 + ["::notice"]
    assert "3 more findings" in commands[-1]


def test_no_text_can_end_its_command_or_property() -> None:
    record = make_record(
        [make_check(subject="a,b:c\n::stop", outcome="fail", message="50%\r\n::add-mask::x")]
    )
    (command,) = github.annotations(record)
    assert command.splitlines() == [command]
    title, _, message = command.removeprefix("::error title=").partition("::")
    assert title == "readiness performance.query-latency[a%2Cb%3Ac %3A%3Astop]"
    assert message == "fail: 50%25 ::add-mask::x"


def test_nothing_is_said_of_what_passed() -> None:
    assert github.annotations(make_record([make_check(), make_check("a.b", outcome="warn")])) == []


def test_a_stream_without_unicode_gets_what_it_can_take() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    github.print_annotations(make_record([make_check(outcome="fail", message="Größe")]), stream)
    assert b"Gr??e" in raw.getvalue()


def test_only_in_a_job() -> None:
    assert github.is_wanted({"GITHUB_ACTIONS": "true"})
    assert not github.is_wanted({})
