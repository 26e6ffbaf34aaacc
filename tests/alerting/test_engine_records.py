"""The rows of a history are found however it is laid out, and say their end when they mean it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readiness.areas.alerting.config import EngineHistory
from readiness.areas.alerting.probes.alert_engine import has_ended, rows_of

PROBE = "rd0123456789ab"
ROW = {"id": PROBE, "resolved_at": None}
OTHER = {"id": "other", "resolved_at": "2026-11-22T06:00:00Z"}
URL = "http://history.example.com"


@pytest.mark.parametrize(
    "document",
    [
        [OTHER, ROW],
        {"alerts": [OTHER, ROW], "total": 2},
        {"data": {"items": [OTHER, ROW]}},
        {"pages": [[OTHER], [ROW]]},
        {PROBE: ROW, "other": OTHER},
        ROW,
    ],
)
def test_only_the_row_with_the_id_is_found(document: object) -> None:
    assert list(rows_of(json.dumps(document), PROBE)) == [ROW]


def test_an_id_deep_in_a_row_finds_the_whole_row() -> None:
    """The end stands beside it, not in the part that has the id."""
    row = {"labels": {"probe": PROBE}, "state": "resolved"}
    assert list(rows_of(json.dumps({"alerts": [row]}), PROBE)) == [row]


def test_an_alert_with_a_list_of_its_own_is_one_row() -> None:
    row = {"id": PROBE, "told": [{"channel": "chat", "text": f"raised {PROBE}"}]}
    assert list(rows_of(json.dumps(row), PROBE)) == [row]


def test_text_has_a_row_a_line() -> None:
    assert list(rows_of(f"one\ntwo {PROBE}\n", PROBE)) == [f"two {PROBE}"]


@pytest.mark.parametrize(
    ("end_field", "row", "ended"),
    [
        ("resolved_at", {"id": PROBE, "resolved_at": "2026-11-22T06:00:00Z"}, True),
        ("resolved_at", {"id": PROBE, "resolved_at": 1795327200}, True),
        ("resolved_at", {"id": PROBE, "resolved_at": None}, False),
        ("resolved_at", {"id": PROBE, "resolved_at": ""}, False),
        ("resolved_at", {"id": PROBE, "state": "resolved"}, False),
        (None, {"id": PROBE, "state": "RESOLVED"}, True),
        (None, {"id": PROBE, "resolved_at": None}, False),
        (None, f"{PROBE} resolved", True),
        (None, f"{PROBE} raised", False),
    ],
)
def test_an_end_is_what_is_set_or_said(end_field: str | None, row: object, *, ended: bool) -> None:
    assert has_ended(row, EngineHistory(url=URL, end_field=end_field)) is ended


@given(st.text(max_size=200))
def test_no_body_is_too_strange(body: str) -> None:
    history = EngineHistory(url=URL)
    for row in rows_of(body, PROBE):
        assert has_ended(row, history) in {True, False}
