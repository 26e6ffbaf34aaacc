"""The grammar of an exposition, held against the reference library and against mistakes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from readiness.lib.http import Answer
from readiness.lib.prometheus.exposition import (
    Exposition,
    Format,
    Series,
    format_of,
    parse,
    parse_selector,
    read,
    select,
)
from readiness.model.errors import CouldNotMeasure, NoData

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def parsed(body: str | bytes, content_type: str = TEXT, status: int = 200) -> Exposition:
    raw = body if isinstance(body, bytes) else body.encode()
    return parse(Answer("http://t/metrics", status, content_type, "", "", "", raw, 1.0))


def registry(value: str = "x") -> CollectorRegistry:
    """One of each kind of metric, with a label value that has to be escaped."""
    found = CollectorRegistry()
    labels = ["route"]
    Counter("hits", 'with "quotes" and \\', labels, registry=found).labels(value).inc(3)
    Gauge("level", "two\nlines", labels, registry=found).labels(value).set(math.inf)
    Histogram("took", "s", labels, registry=found).labels(value).observe(
        0.2, exemplar={"trace": "7"}
    )
    Summary("size", "bytes", labels, registry=found).labels(value).observe(5)
    Info("build", "what runs", registry=found).info({"version": "1"})
    return found


@given(value=st.text(st.characters(exclude_categories=["Cs"])))
def test_output_of_the_reference_library_is_valid(value: str) -> None:
    found = registry(value)
    text = parsed(generate_latest(found), CONTENT_TYPE_LATEST)
    written: bytes = openmetrics.generate_latest(found)  # type: ignore[no-untyped-call]
    opened = parsed(written, openmetrics.CONTENT_TYPE_LATEST)

    route = (("route", value),) if value else ()  # an empty label is none
    for exposition in (text, opened):
        assert exposition.problems == ()
        assert exposition.duplicates == ()
        assert exposition.samples[Series("hits_total", route)] == 3
        assert exposition.samples[Series("level", route)] == math.inf
        assert exposition.samples[Series("took_count", route)] == 1


@given(body=st.binary(), content_type=st.sampled_from([TEXT, OPENMETRICS, "text/html", ""]))
def test_parser_accepts_any_bytes(body: bytes, content_type: str) -> None:
    parsed(body, content_type)


@pytest.mark.parametrize(
    "line",
    [
        "up",
        "up ",
        "up one",
        "up 1_000",
        "up 0x10",
        "up ١",  # a digit, but not an ASCII one
        "up 1 2 3",
        "up 1 1.5",
        "up 1 soon",
        "up 1\r",
        "9up 1",
        "my-metric 1",
        "<html>",
        'up{a="b" 1',
        'up{a="b"',
        "up{a=b} 1",
        'up{a="b} 1',
        'up{9a="b"} 1',
        'up{a-b="c"} 1',
        'up{a="1",a="2"} 1',
        'up{a="1",,b="2"} 1',
        'up{"a"} 1',
        '{a="b"} 1',
        'up{a="b"} 1 # {trace="7"} 1',
        "# TYPE up number",
        "# TYPE my-metric gauge",
        "# TYPE up",
    ],
)
def test_malformed_line_is_reported_with_its_number(line: str) -> None:
    found = parsed(f"# a comment\n\ngood 1\n{line}\nbetter 2\n")

    assert len(found.problems) == 1
    assert found.problems[0].startswith("line 4: ")
    assert found.samples == {Series("good"): 1, Series("better"): 2}


@pytest.mark.parametrize(
    ("line", "series", "value"),
    [
        ("up 1", Series("up"), 1),
        ("up\t1e3  ", Series("up"), 1000),
        ("up -Inf", Series("up"), -math.inf),
        ("up 1 1700000000000", Series("up"), 1),
        ("up{} 1", Series("up"), 1),
        ('up{a="b",} .5', Series("up", (("a", "b"),)), 0.5),
        ('up{b="2",a="1"}1', Series("up", (("a", "1"), ("b", "2"))), 1),
        (r'up{a="\"}\\\n # "} 1', Series("up", (("a", '"}\\\n # '),)), 1),
        ('{"my.metric",a="b"} 1', Series("my.metric", (("a", "b"),)), 1),
        ('up{"my.label"="b"} 1', Series("up", (("my.label", "b"),)), 1),
    ],
)
def test_every_form_of_a_sample_is_read(line: str, series: Series, value: float) -> None:
    found = parsed(f"# TYPE\n# HELPless\n#\n{line}")

    assert found.problems == ()
    assert found.samples == {series: value}
    assert bool(found.quoted) is ("." in series.name)


def test_invalid_utf_8_is_reported() -> None:
    found = parsed(b'good 1\nup{a="\xff"} 1\n')

    assert found.problems == ("line 2 is not valid UTF-8",)


def test_problem_has_no_terminal_codes() -> None:
    assert "\x1b" not in parsed("\x1b[31mred\x1b[0m").problems[0]


def test_duplicate_series_is_named_and_first_value_kept() -> None:
    found = parsed('up{a="1",b="2"} 1\nup{a="1"} 5\nup{b="2",a="1"} 2\n')

    assert found.duplicates == ('up{a="1",b="2"} (line 3)',)
    assert found.samples[Series("up", (("a", "1"), ("b", "2")))] == 1


@pytest.mark.parametrize("body", ["up 1\n", "up 1\n# EOF\nup2 1\n", "up 1\n# EOF\n\n", ""])
def test_openmetrics_must_end_with_eof(body: str) -> None:
    assert any("'# EOF'" in problem for problem in parsed(body, OPENMETRICS).problems)


@pytest.mark.parametrize("body", ["up 1\n# EOF\n", "up 1 1.5\n# EOF"])
def test_openmetrics_with_eof_is_valid(body: str) -> None:
    assert parsed(body, OPENMETRICS).problems == ()


def test_exemplar_must_be_valid() -> None:
    assert parsed('up_total 1 # {a="b"} 2 1.5\n# EOF\n', OPENMETRICS).problems == ()
    assert parsed("up_total 1 # {a} 2\n# EOF\n", OPENMETRICS).problems
    assert parsed('up_total 1 # {a="b"} two\n# EOF\n', OPENMETRICS).problems


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (TEXT, Format.TEXT),
        ("text/plain", Format.TEXT),
        ('Text/Plain; version="1.0.0"; escaping=underscores', Format.TEXT),
        (OPENMETRICS, Format.OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1", Format.OPENMETRICS),
        ("text/plain; version=0.0.3", Format.TEXT),
        ("text", Format.UNKNOWN),
        ("text/plain; version", Format.UNKNOWN),
        ("text/plain;version=0.0.4,text/plain;version=1.0.0", Format.UNKNOWN),
        ("text/html", Format.UNKNOWN),
        ("application/json", Format.UNKNOWN),
        ("", Format.UNKNOWN),
    ],
)
def test_content_type_decides_the_format(content_type: str, expected: Format) -> None:
    assert format_of(content_type) is expected


HITS = 'hits_total{route="/a",code="200"} 3\nhits_total{route="/a",code="500"} 4\nbroken NaN\n'


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("hits_total", 7),
        ('hits_total{route="/a"}', 7),
        (' hits_total{ code="500", route="/a" } ', 4),
    ],
)
def test_selector_sums_the_series_it_matches(selector: str, expected: float) -> None:
    assert select(parsed(HITS), selector) == expected


def test_missing_series_reads_as_zero_and_is_marked_absent() -> None:
    reading = read(parsed(HITS), 'hits_total{route="/b"}')

    assert (reading.value, reading.present) == (0, False)
    with pytest.raises(NoData, match="no series matches"):
        select(parsed(HITS), 'hits_total{route="/b"}')


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("# TYPE hits_total counter\n", TEXT),
        ("# TYPE hits counter\n# EOF\n", OPENMETRICS),
        ("# HELP hits_total of whom\n", TEXT),
    ],
)
def test_declared_counter_without_series_reads_as_absent(body: str, content_type: str) -> None:
    assert not read(parsed(body, content_type), "hits_total").present


def test_unknown_metric_is_an_error_with_the_nearest_names() -> None:
    with pytest.raises(NoData, match="no metric hit_total among 2; the nearest are hits_total"):
        read(parsed(HITS), "hit_total")


@pytest.mark.parametrize("body", ["", "# only a comment\n"])
def test_exposition_without_samples_is_an_error(body: str) -> None:
    with pytest.raises(NoData):
        select(parsed(body), "up")


def test_nan_is_an_error() -> None:
    with pytest.raises(NoData, match="NaN"):
        select(parsed(HITS), "broken")


def test_other_status_is_an_error() -> None:
    with pytest.raises(NoData, match="answered 503"):
        select(parsed(HITS, status=503), "hits_total")


@pytest.mark.parametrize(
    "selector",
    ["", "rate(hits_total[1m])", 'hits_total{route=~"/a"}', "hits_total{route}", '{route="/a"}',
     'hits_total{route="/a"', 'hits_total{route="/a"} > 0', 'hits_total{route!="/a"}'],
)  # fmt: skip
def test_unsupported_selector_is_an_error(selector: str) -> None:
    with pytest.raises(CouldNotMeasure) as caught:
        parse_selector(selector)

    assert "http_requests_total{" in caught.value.remedy
