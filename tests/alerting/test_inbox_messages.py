import json

from hypothesis import given
from hypothesis import strategies as st

from readiness.areas.alerting.inboxes.message import messages_in, unix_time

PROBE = "rd0123456789ab"


def test_each_entry_of_a_list_is_a_message() -> None:
    body = json.dumps([{"text": f"a {PROBE}", "at": "2026-11-22T06:00:00+00:00"}, {"text": "b"}])
    (found,) = messages_in(body, PROBE, "at")
    assert found.text == f"a {PROBE}\n2026-11-22T06:00:00+00:00"
    assert found.at == 1795327200.0


def test_what_a_gateway_keeps_of_json_is_unfolded() -> None:
    inner = json.dumps({"summary": f"<no value> {PROBE}", "n": 1})
    assert r"<no value>" in inner
    escaped = inner.replace("<", r"\u003c").replace(">", r"\u003e")
    (found,) = messages_in(json.dumps([{"body": escaped}]), PROBE, "at")
    assert found.text == f"<no value> {PROBE}"


def test_what_is_no_json_has_a_message_a_line() -> None:
    found = messages_in(f"one {PROBE}\ntwo\nresolved {PROBE}", PROBE, "at")
    assert [message.text for message in found] == [f"one {PROBE}", f"resolved {PROBE}"]


def test_a_time_that_is_none_does_not_count() -> None:
    body = json.dumps([{"text": PROBE, "at": "yesterday"}, {"text": PROBE, "at": 7}])
    assert [message.at for message in messages_in(body, PROBE, "at")] == [None, None]
    assert unix_time("2026-11-22T06:00:00") == unix_time("2026-11-22T06:00:00Z")


@given(st.text(max_size=200))
def test_no_body_is_too_strange(body: str) -> None:
    for message in messages_in(body, PROBE, "at"):
        assert PROBE in message.text
