"""Prometheus itself judges how pages with metrics are read: one that scrapes all of these."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from readiness.lib.http import Answer
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.exposition import Format, format_of, parse
from tests.support import real_prometheus
from tests.support.monitored_service import TEXT_FORMAT
from tests.support.processes import eventually
from tests.support.small_servers import Reply, SmallServer

pytestmark = pytest.mark.contract

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
ACCEPTED = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "text/plain;version=0.0.4;escaping=allow-utf-8;q=0.3,*/*;q=0.2"
)
COUNTER = '# HELP a_total A.\n# TYPE a_total counter\na_total{x="1"} 1\n'
# fmt: off
TEXT: dict[str, str | bytes] = {
    "good": COUNTER,
    "text_trailing_comma": 'a_total{x="1",} 1\n',
    "two_types": COUNTER + COUNTER.replace('"1"', '"2"'),
    "twice": "a_total 1\na_total 2\n",
    "crlf": "a_total 1\r\nb_total 2\r\n",
    "no_newline": "a_total 1",
    "dash": "my-metric 1\n",
    "comma_decimal": "a_total 1,5\n",
    "empty_value": "a_total \n",
    "none_value": "a_total None\n",
    "null_value": "a_total null\n",
    "hex": "a 0x10\n",
    "underscore": "a 1_000\n",
    "unescaped_backslash": 'a{p="C:\\dir"} 1\n',
    "windows_n": 'a{p="C:\\new"} 1\n',
    "label_digit": 'a{1x="y"} 1\n',
    "label_twice": 'a{x="1",x="2"} 1\n',
    "space_in_name": "a b 1\n",
    "float_ts": "a 1 1700000000.5\n",
    "bad_type": "# TYPE a integer\na 1\n",
    "type_upper": "# TYPE a Counter\na 1\n",
    "bom": "\ufeffa_total 1\n",
    "indent": "  a_total 1\n",
    "blank_lines": "\n\na_total 1\n\n",
    "tab": "a_total\t1\n",
    "exemplar_in_text": 'a_total 1 # {trace_id="abc"} 1.0\n',
    "error_500_page": "An error has occurred while serving metrics:\n\n2 error(s) occurred:\n",
    "empty": "",
    "old_ts": "a_total 1 1500000000000\n",
    "no_inf_bucket": '# TYPE h histogram\nh_bucket{le="1"} 1\nh_sum 1\nh_count 2\n',
    "help_no_text": "# HELP a_total\n# TYPE a_total counter\na_total 1\n",
    "hash_nospace": "#comment\na_total 1\n",
    "utf8_label": 'a{x="ä"} 1\n',
    "quoted_name": '{"my.metric"} 1\n',
    "nan": "a NaN\nb +Inf\nc -inf\nd 1e3\ne .5\nf 5.\n",
    "cr_only_in_value": 'a{x="1\r2"} 1\n',
    # more of the grammar
    "blanks_in_labels": 'a{ x = "1" , y="2" } 1\n',
    "no_comma": 'a{x="1" y="2"} 1\n',
    "two_commas": 'a{x="1",,} 1\n',
    "only_comma": "a{,} 1\n",
    "line_end_in_label": 'a{x="1\n2"} 1\n',
    "blank_before_brace": 'a {x="1"} 1\n',
    "no_blank": 'a{x="1"}1\n',
    "sign_without_blank": "a+1\n",
    "negative_time": "a 1 -5\n",
    "plus_time": "a 1 +5\n",
    "huge_time": "a 1 99999999999999999999\n",
    "huge_value": "a 1e999\n",
    "tiny_value": "a 1e-999\n",
    "plus_nan": "a +NaN\n",
    "infinity": "a -Infinity\n",
    "hex_float": "a 0x1p3\n",
    "type_two_blanks": "# TYPE a  counter\na 1\n",
    "type_blank_end": "# TYPE a counter \na 1\n",
    "type_crlf": "# TYPE a counter\r\na 1\n",
    "type_unknown": "# TYPE a unknown\na 1\n",
    "type_no_name": "# TYPE \na 1\n",
    "help_no_name": "# HELP\na 1\n",
    "help_dash": "# HELP my-metric x\na 1\n",
    "help_digit": "# HELP 1a x\na 1\n",
    "help_quoted": '# HELP "a" x\na 1\n',
    "unit": "# UNIT a seconds\na 1\n",
    "eof": "a 1\n# EOF\n",
    "name_label": 'a{__name__="b"} 1\n',
    "colons": ':a:b{x="1"} 1\n',
    "label_colon": 'a{x:y="1"} 1\n',
    "single_quotes": "a{x='1'} 1\n",
    "not_utf8": b'a{x="\xff"} 1\n',
    "not_utf8_help": b"# HELP a \xff\na 1\n",
    "two_times": "a 1 5 6\n",
    "brace_after_value": 'a 1{x="1"}\n',
    "open_brace": 'a{x="1" 1\n',
    "only_blanks": "  \t \n",
    "blank_end": "a 1 \t\n",
    "type_after": "a 1\n# TYPE a gauge\n",
    "escapes": 'a{x="\\q\\"\\n\\\\"} 1\n',
    "backslash_end": 'a{x="1\\"} 1\n',
    "form_feed": "a\x0c1\n",
    "nbsp": "a\xa01\n",
    "empty_label": 'a{x=""} 1\n',
    "html": "<html><body>a 1</body></html>\n",
    "nul": 'a{x="\x00"} 1\n',
}
OPEN: dict[str, str | bytes] = {
    "om_no_eof": "# TYPE a counter\na_total 1\n",
    "om_good": "# TYPE a counter\na_total 1\n# EOF\n",
    "om_trailing_comma": '# TYPE a counter\na_total{x="1",} 1\n# EOF\n',
    "om_blank": "# TYPE a gauge\na 1\n\n# EOF\n",
    "om_total_missing": "# TYPE a counter\na 1\n# EOF\n",
    "om_after_eof": "# TYPE a gauge\na 1\n# EOF\nb 2\n",
    "om_text_body": '# HELP a_total A.\n# TYPE a_total counter\na_total{x="1"} 1\n# EOF\n',
    "om_exemplar": '# TYPE a counter\na_total 1 # {trace_id="abc"} 1.0 1700000000.1\n# EOF\n',
    "om_ts_s": "# TYPE a gauge\na 1 1700000000.5\n# EOF\n",
    "om_two_types": '# TYPE a gauge\na{x="1"} 1\n# TYPE a gauge\na{x="2"} 1\n# EOF\n',
    "om_interleaved": '# TYPE a gauge\n# TYPE b gauge\na 1\nb 1\na{x="2"} 1\n# EOF\n',
    "om_unit_bad": "# TYPE a gauge\n# UNIT a seconds\na 1\n# EOF\n",
    # more of the grammar
    "om_comment": "# hello\na 1\n# EOF\n",
    "om_hash": "#hello\na 1\n# EOF\n",
    "om_two_blanks": "a  1\n# EOF\n",
    "om_blank_end": "a 1 \n# EOF\n",
    "om_tab": "a\t1\n# EOF\n",
    "om_label_blank": 'a{x="1", y="2"} 1\n# EOF\n',
    "om_no_comma": 'a{x="1"y="2"} 1\n# EOF\n',
    "om_no_blank": 'a{x="1"}1\n# EOF\n',
    "om_help_no_text": "# HELP a\na 1\n# EOF\n",
    "om_help_empty": "# HELP a \na 1\n# EOF\n",
    "om_untyped": "# TYPE a untyped\na 1\n# EOF\n",
    "om_info": '# TYPE a info\na_info{v="1"} 1\n# EOF\n',
    "om_stateset": '# TYPE a stateset\na{a="x"} 1\n# EOF\n',
    "om_unit_good": "# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds 1\n# EOF\n",
    "om_unit_empty": "# UNIT a \na 1\n# EOF\n",
    "om_eof_blank": "a 1\n# EOF \n",
    "om_eof_no_newline": "a 1\n# EOF",
    "om_eof_twice": "a 1\n# EOF\n# EOF\n",
    "om_only_eof": "# EOF\n",
    "om_empty": "",
    "om_nan_time": "a 1 NaN\n# EOF\n",
    "om_exp_time": "a 1 1.7e9\n# EOF\n",
    "om_exemplar_empty": "# TYPE a counter\na_total 1 # {} 1\n# EOF\n",
    "om_exemplar_no_value": 'a_total 1 # {t="1"}\n# EOF\n',
    "om_exemplar_time": 'a_total 1 5 # {t="1"} 1\n# EOF\n',
    "om_exemplar_comma": 'a_total 1 # {t="1",} 1\n# EOF\n',
    "om_line_end_in_label": 'a{x="1\n2"} 1\n# EOF\n',
    "om_crlf": "a 1\r\n# EOF\r\n",
    "om_indent": " a 1\n# EOF\n",
    "om_two_times": "a 1 5 6\n# EOF\n",
    "om_huge": "a 1e999\n# EOF\n",
    "om_not_utf8_help": b"# HELP a \xff\na 1\n# EOF\n",
    "om_empty_braces": "a{} 1\n# EOF\n",
    "om_exemplar_gauge": '# TYPE a gauge\na 1 # {t="1"} 1\n# EOF\n',
    "om_created": "# TYPE a counter\na_total 1\na_created 1.5\n# EOF\n",
}
TYPES: dict[str, tuple[str, str]] = {
    "ct_text": ("text", COUNTER),
    "ct_none": ("", COUNTER),
    "ct_echo": (ACCEPTED, COUNTER),
    "ct_html": ("text/html; charset=utf-8", COUNTER),
    "ct_echo_om": (ACCEPTED, "# TYPE a counter\na_total 1\n# EOF\n"),
    "latin1_header": ("text/plain; version=0.0.4; charset=ISO-8859-1", COUNTER),
    "ct_json": ("application/json", COUNTER),
    "ct_plain": ("text/plain", COUNTER),
    "ct_upper": ("Text/PLAIN", COUNTER),
    "ct_semicolon": ("text/plain;", COUNTER),
    "ct_om_old": ("application/openmetrics-text; version=9", f"{COUNTER}# EOF\n"),
    "ct_prefix": ("application/openmetrics-text+x", COUNTER),
}
# fmt: on
PAGES = {
    **{name: Reply(body, content_type=TEXT_FORMAT) for name, body in TEXT.items()},
    **{name: Reply(body, content_type=OPENMETRICS) for name, body in OPEN.items()},
    **{name: Reply(body, content_type=kind) for name, (kind, body) in TYPES.items()},
}
# Prometheus 2 parses them in the text format, and Prometheus 3 rejects them.
REJECTED_BY_3 = {"ct_text", "ct_none", "ct_echo", "ct_echo_om", "ct_html", "ct_json", "ct_prefix"}


@pytest.fixture(scope="module")
def health(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """For each page why Prometheus 2 rejects it; empty if it does not."""
    with SmallServer({f"/{name}": page for name, page in PAGES.items()}) as server:
        place = [server.url.removeprefix("http://")]
        folder: Path = tmp_path_factory.mktemp("pages")
        paths = {name: {"metrics_path": f"/{name}"} for name in PAGES}
        with (
            real_prometheus.running(folder, dict.fromkeys(PAGES, place), more=paths) as url,
            Prometheus(real_prometheus.settings(url)) as client,
        ):
            if not client.version().startswith("2."):
                pytest.skip("this Prometheus is not the one that the table is about")
            assert eventually(
                lambda: {t.pool for t in client.targets() if t.health != "unknown"} == PAGES.keys(),
                60,
            )
            yield {target.pool: target.error for target in client.targets()}


@pytest.mark.parametrize("name", PAGES)
def test_page_is_read_as_by_prometheus(name: str, health: dict[str, str]) -> None:
    page = PAGES[name]
    body = page.body if isinstance(page.body, bytes) else page.body.encode()
    found = parse(Answer("http://t/metrics", 200, page.content_type, "", "", "", body, 1.0))

    assert bool(found.problems or found.quoted) is bool(health[name]), (found, health[name])


def test_content_types_are_read_as_by_prometheus_3() -> None:
    rejected = {n for n, page in PAGES.items() if format_of(page.content_type) is Format.UNKNOWN}
    assert rejected == REJECTED_BY_3
