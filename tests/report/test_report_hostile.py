"""What a target says may hold anything; nothing of it may become more than text."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt
from prometheus_client.parser import text_string_to_metric_families

from readiness.model.course import Band, Course, Series, Track
from readiness.model.decision import Decision, Kind
from readiness.model.measurement import Limit, Moment
from readiness.model.record import (
    CauseNote,
    Change,
    Changes,
    Incident,
    NotAsked,
    Policy,
    RunRecord,
    Selection,
    SignoffNote,
    SuiteResult,
    SuiteState,
    TargetFacts,
    Verdict,
)
from readiness.report import compare, details, github, html, several, write_all
from readiness.report.compare import Comparison
from readiness.report.console import summary
from readiness.report.trends import past_run
from tests.support.page_records import errors
from tests.support.records import (
    BEGAN,
    make_check,
    make_measurement,
    make_record,
    sample,
    small_record,
)

HOSTILE = {
    "element": "<img src=x onerror=alert(1)><script>alert(2)</script>",
    "attribute": "\" onmouseover=\"alert(1)\" ' autofocus onfocus='alert(1)",
    "closing": "</td></table></details></style></title></main>-->]]><b>",
    "template": "{{ 7*7 }}{% include 'x' %}{# #}",
    "entity": "&lt;script&gt; &amp;lt; &#60;b&#62;",
    "cdata": "]]> <![CDATA[ <!-- ]]>",
    "doctype": '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>&e;',
    "markdown": "**b** [l](http://evil) ![i](http://evil) | x | `c` ~~s~~\n\n# h\n\n- l\n```\nf",
    "mention": "@everyone @org/team #1 GH-2",
    "escape": "\x1b[31mred\x1b]0;title\x07\x1b]8;;http://evil\x1b\\link\x9b2J",
    "bidi": "user\u202egpj.exe\u2066\u2069\u200f",
    "control": "a\x00b\x08c\x0bd\x1fe\x7ff\ufffe\uffff",
    "surrogate": "lone \ud800 and \udcff",
    "long": "x" * 10_000,
    "lines": "one\r\n::error::two\u2028::add-mask::three\n##[error]four",
    "link": 'javascript:alert(1) https://x.example/"onclick=alert(1) https://x.example/<b>',
    "empty": " ",
}  # fmt: skip


def _record(text: str) -> RunRecord:
    measurement = make_measurement(
        text, Limit("==", text), name=text, unit=text, source=text,
        quantiles=[(0.5, 1.0)], timeline=[Moment(0, text, True), Moment(1, text, False)],
    )  # fmt: skip
    course = Course(
        1, (Band(0, 4, text), Band(4, 5, text)),
        (Track(text, "parts", (Series(text, (1, 1, 1, 1, 0)), Series(f"{text}2", (0, 0, 0, 0, 1)))),
         Track(text, "misses", (Series(text, (0, 1)),)),
         Track(text, "level", (Series(text, (1, 2)),), 3, text)),
        (text,),
    )  # fmt: skip
    number = make_measurement(
        104.6, Limit("<=", 100, text), name=text, unit=text, source=text,
        quantiles=[(0.5, 1.0)], timeline=[Moment(0, text, True), Moment(1, text, False)],
    )  # fmt: skip
    pictured = make_measurement(
        name=text, timeline=[Moment(0, text, True), Moment(1, text, False)], course=course
    )
    waiver = Decision(
        kind=Kind.WAIVER, what=text, owner=text, approver=text, reason=text, expires=BEGAN.date(),
        state="applied",
    )  # fmt: skip
    outcomes = ["pass", "warn", "fail", "error", "waived", "not-applicable", "not-run"]
    checks = [
        make_check(
            f"{text}.{outcome}", text, outcome, title=text, message=text, why=text,
            fix=f"{text}\n`{text}`\n    {text}", waiver=waiver,
            measurements=[measurement, number, pictured],
        )
        for outcome in outcomes
    ]  # fmt: skip
    others = {"owner": text, "approver": text, "reason": text, "expires": BEGAN.date()}
    excused = Decision(kind=Kind.NOT_APPLICABLE, what=f"{text}.excused", **others)
    observed = Decision(kind=Kind.OBSERVE_ONLY, what=f"{text}.observed", **others)
    cause = CauseNote(what=text, remedy=f"{text}\n\n    {text}")
    known = {"failure_title": text, "causes": (cause,), "explained_by": (text,)}
    checks = [check.model_copy(update=known) for check in checks] + [
        make_check(f"{text}.{slug}", text, outcome, title=text, message=text).model_copy(
            update={**known, "decision": decision}
        )
        for slug, outcome, decision in (
            ("excused", "not-applicable", excused),
            ("observed", "fail", observed),
            ("observed-error", "error", observed),
        )
    ]
    return make_record(
        checks,
        run_id=text,
        policy=Policy(profile=text),
        not_asked=(NotAsked(id=text, subject=text, reason=text),),
        target=TargetFacts(name=text, environment=text, release=text, fingerprint=text),
        selection=Selection(suites=(text,), select=(text,), partial=True, reason=text),
        suites=[
            SuiteResult(name=text, state=SuiteState.VERIFIED, reason=text),
            SuiteResult(name=f"{text}2", state=SuiteState.NOT_VERIFIED, reason=text),
        ],
        incidents=(Incident(kind=text, message=text),),
        decisions=(waiver, excused, observed),
        signoffs=(
            SignoffNote(item=text, person=text, evidence=text, release=text, expires=BEGAN.date()),
            SignoffNote(
                item=text, person=text, evidence=f"https://x.example/{text}", release=text,
                expires=BEGAN.date(),
            ),
        ),
        changes=Changes(
            since_run=text,
            since_release=text,
            since=BEGAN,
            since_verdict=Verdict.READY,
            items=tuple(
                Change(check=text, subject=text, kind=kind, before=text, after=text, lost=text)
                for kind in get_args(Change.model_fields["kind"].annotation)
            ),
        ),
    )  # fmt: skip


class _Shape(HTMLParser):
    """The elements and attributes of a page, and the values that could do something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.shape: set[tuple[str, str]] = set()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape.add((tag, ""))
        for name, value in attrs:
            self.shape.add((tag, name))
            if name == "href":
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_decl(self, decl: str) -> None:
        assert decl == "DOCTYPE html"

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


def _shape_of_our_own(folder: Path) -> set[tuple[str, str]]:
    shape: set[tuple[str, str]] = set()
    for record in (sample(), small_record(), errors()):
        write_all(record, folder, environ={})
        shape |= _Shape((folder / "readiness.html").read_text()).shape
    # A record with banners, incidents and the rest of what the two do not have.
    return shape | {("p", "role"), ("p", "class"), ("details", "class"), ("div", "class")}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    return _shape_of_our_own(tmp_path_factory.mktemp("ours"))


@pytest.fixture(params=HOSTILE)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write_all(_record(HOSTILE[request.param]), tmp_path, environ={})
    return tmp_path


def test_the_page_has_only_our_elements(written: Path, ours: set[tuple[str, str]]) -> None:
    page = _Shape((written / "readiness.html").read_text(encoding="utf-8"))
    assert page.shape <= ours
    assert all(re.fullmatch(r"#[A-Za-z0-9._-]+|https?://[^\s<>\"'`]+", link) for link in page.links)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in page.ids)


@pytest.mark.parametrize("kind", HOSTILE)
def test_earlier_runs_and_anchors_stay_text(kind: str, ours: set[tuple[str, str]]) -> None:
    record = _record(HOSTILE[kind])
    past = past_run(record.to_json())
    text = "".join(html.render(record, earlier=[past, past])).encode("utf-8", "replace")
    page = _Shape(text.decode())
    assert page.shape - {("circle", name) for name in ("", "class", "cx", "cy", "r")} <= ours
    assert len(page.ids) == len(set(page.ids))


def test_the_comment_makes_only_our_elements(written: Path) -> None:
    text = (written / "readiness.pr.md").read_text(encoding="utf-8")
    render = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
    page = _Shape(render.render(text))
    assert {tag for tag, _ in page.shape} <= {
        "h2", "h3", "p", "ul", "ol", "li", "blockquote", "strong", "pre", "code",
    }  # fmt: skip
    assert {name for _, name in page.shape} <= {"", "class"}


def test_the_machines_can_read_their_files(written: Path) -> None:
    json.loads((written / "readiness.ctrf.json").read_text(encoding="utf-8"))
    metrics = (written / "readiness.prom").read_text(encoding="utf-8")
    families = list(text_string_to_metric_families(metrics))
    assert len(families) == 8


def test_the_xml_can_be_parsed(written: Path) -> None:
    root = ET.parse(written / "readiness.xml").getroot()  # noqa: S314 - we have just written it
    assert root.get("tests") == "11"
    assert {element.tag for element in root.iter()} <= {
        "testsuites", "testsuite", "testcase", "properties", "property",
        "failure", "error", "skipped", "system-out",
    }  # fmt: skip


def test_the_markdown_makes_only_our_elements(written: Path) -> None:
    text = (written / "readiness.md").read_text(encoding="utf-8")
    render = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
    page = _Shape(render.render(text))
    assert {tag for tag, _ in page.shape} <= {
        "h1", "h2", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td",
        "blockquote", "strong", "b", "code", "pre", "details", "summary",
    }  # fmt: skip
    assert {name for _, name in page.shape} <= {"", "style"}  # markdown-it aligns cells
    assert not re.search(r"[@#]\w|\bGH-\d", re.sub(r"&#x?\w+;|^#+ ", "", text, flags=re.MULTILINE))


def test_no_file_holds_an_escape_or_reorders_text(written: Path) -> None:
    names = sorted(path.name for path in written.glob("readiness.*"))
    assert len(names) == 7
    for name in names:
        content = (written / name).read_bytes()
        assert b"\x1b" not in content
        assert b"\x00" not in content
        text = content.decode("utf-8")
        if name != "readiness.json":
            assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\x80-\x9f]", text)


def _targets(record: RunRecord) -> tuple[several.Target, ...]:
    return several.targets([(Path("shop/readiness.json"), record)])


@pytest.mark.parametrize("kind", HOSTILE)
def test_pages_of_several_records_have_only_our_elements(
    kind: str, ours: set[tuple[str, str]], tmp_path: Path
) -> None:
    record = _record(HOSTILE[kind])
    for text in (
        compare.page(Comparison.of(record, record)),
        several.page(_targets(record), tmp_path),
    ):
        page = _Shape(text.encode("utf-8", "replace").decode())
        assert page.shape <= ours


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_terminal_gets_text_alone(kind: str) -> None:
    record = _record(HOSTILE[kind])
    printed = [
        summary(record, width=80, color=False),
        details.details(record, width=80, color=False),
        details.causes(record, width=80, color=False),
        details.one(record.checks, width=80, color=False),
        compare.text(Comparison.of(record, record), 80),
        several.text([*_targets(record)], width=80, color=False, page="summary.html"),
    ]
    for text in printed:
        text.encode("utf-8")
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    rows = [row for text in printed for row in text.splitlines()]
    assert not [row for row in rows if row.lstrip().startswith("::") or "##[" in row]


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_annotation_is_one_line_and_one_command(kind: str) -> None:
    for command in github.annotations(_record(HOSTILE[kind])):
        values = r"title=[^:,\r\n]*(,file=readiness\.toml)?"
        assert re.fullmatch(rf"::(error|warning|notice) {values}::[^\r\n]*", command)
