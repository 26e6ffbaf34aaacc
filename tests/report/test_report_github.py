import io
from pathlib import Path

import pytest

from readiness.model.measurement import Limit
from readiness.model.record import CauseNote
from readiness.report import github, markdown, pull_request
from tests.support.records import make_check, make_measurement, make_record, small_record


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
    assert title == (
        "readiness performance.query-latency[a%2Cb%3Ac %3A%3Astop],file=readiness.toml"
    )
    assert message == "fail: 50%25 ::add-mask::x"


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("`backup.shop.max_age_h`", ",line=12"),
        ("`backup.shop.max_age_h`, default", ",line=12"),
        ("`nowhere.x`", ""),
        ("", ""),
    ],
)
def test_an_annotation_names_the_line_of_the_deciding_key(setting: str, place: str) -> None:
    slow = make_measurement(200, Limit("<=", 100, setting))
    record = make_record([make_check("a.b", "", outcome="fail", measurements=[slow])])
    lines = {"backup.shop.max_age_h": 12}
    (command,) = github.annotations(record, github.Source("deploy/readiness.toml", lines.get))
    assert command.startswith(f"::error title=readiness a.b,file=deploy/readiness.toml{place}::")


def test_a_cause_is_said_once_with_its_remedy() -> None:
    cause = CauseNote(what="http://p:9090: connection refused", remedy="start it: systemctl start")
    checks = [
        make_check(f"alerting.rule-{n}", "prometheus", "error", message=f"it refused {n}")
        for n in range(12)
    ]
    record = make_record(check.model_copy(update={"causes": (cause,)}) for check in checks)
    lines = {"prometheus": 7}
    (command,) = github.annotations(record, github.Source("readiness.toml", lines.get))
    assert command == (
        "::error title=readiness alerting.rule-0[prometheus] and 11 more,file=readiness.toml,line=7"
        "::error: http://p:9090: connection refused. start it: systemctl start"
    )


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


@pytest.mark.parametrize("left", [1_000_000, 10_000, 100])
def test_the_job_summary_stays_under_what_github_shows(
    left: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rest of the job has written to it: the short form is used, then a notice."""
    record = make_record([make_check(f"a.b{n}", outcome="fail") for n in range(40)])
    long, short = markdown.render(record), pull_request.render(record)
    path = tmp_path / "summary.md"
    written = github.LARGEST - left
    path.write_text("x" * written)
    github.append_summary(record, {"GITHUB_STEP_SUMMARY": str(path)})
    added = path.read_bytes()[written:].decode()
    assert path.stat().st_size < github.LARGEST
    assert len(long.encode()) > 10_000 > len(short.encode())
    assert added == {1_000_000: long, 10_000: short, 100: ""}[left]
    assert ("the job summary is full" in capsys.readouterr().out) is (left == 100)


def test_the_summary_is_made_where_there_is_none_yet(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    github.append_summary(small_record(), {"GITHUB_STEP_SUMMARY": str(path)})
    assert path.read_text() == markdown.render(small_record())
