"""Pure functions on messages, histories, beats, missed evaluations and subjects."""

import json
from collections.abc import Sequence
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readiness.areas.alerting.config import (
    AlertEngine,
    Alerting,
    Channel,
    EngineEscalation,
    EngineHistory,
    HttpInbox,
    SeverityPolicy,
    probed_channels,
)
from readiness.areas.alerting.inboxes import Message, messages_in, unix_time
from readiness.areas.alerting.probes.alert_engine import has_ended, rows_of
from readiness.areas.alerting.probes.outages import Beats
from readiness.areas.alerting.probes.rules import _judged
from readiness.config.base.tables import Target
from readiness.config.models import Config
from readiness.config.subjects import subjects, undeclared
from readiness.model.errors import Unreachable

PROBE = "rd0123456789ab"


def test_each_entry_of_a_list_is_a_message() -> None:
    body = json.dumps([{"text": f"a {PROBE}", "at": "2026-11-22T06:00:00+00:00"}, {"text": "b"}])
    (found,) = messages_in(body, PROBE, "at")
    assert found.text == f"a {PROBE}\n2026-11-22T06:00:00+00:00"
    assert found.at == 1795327200.0


def test_json_inside_json_is_unfolded() -> None:
    inner = json.dumps({"summary": f"<no value> {PROBE}", "n": 1})
    assert r"<no value>" in inner
    escaped = inner.replace("<", r"\u003c").replace(">", r"\u003e")
    (found,) = messages_in(json.dumps([{"body": escaped}]), PROBE, "at")
    assert found.text == f"<no value> {PROBE}"


def test_text_has_one_message_per_line() -> None:
    found = messages_in(f"one {PROBE}\ntwo\nresolved {PROBE}", PROBE, "at")
    assert [message.text for message in found] == [f"one {PROBE}", f"resolved {PROBE}"]


def test_invalid_time_is_unknown() -> None:
    body = json.dumps([{"text": PROBE, "at": "yesterday"}, {"text": PROBE, "at": 7}])
    assert [message.at for message in messages_in(body, PROBE, "at")] == [None, None]
    assert unix_time("2026-11-22T06:00:00") == unix_time("2026-11-22T06:00:00Z")


@given(st.text(max_size=200))
def test_any_body_of_an_inbox_can_be_read(body: str) -> None:
    for message in messages_in(body, PROBE, "at"):
        assert PROBE in message.text


WATCHDOG = Channel(name="watchdog", integration="webhook")
OLD, NEW = Message("Watchdog", 100.0), Message("Watchdog", 105.0)


class Script:
    """A channel that shows one thing after the other, and goes on with the last one."""

    poll_s = 0.0

    def __init__(self, *shows: Sequence[Message] | Unreachable) -> None:
        self._shows = list(shows)

    def read(self, _: str) -> list[Message]:
        now = self._shows.pop(0) if len(self._shows) > 1 else self._shows[0]
        if isinstance(now, Unreachable):
            raise now
        return list(now)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


def beats(*shows: Sequence[Message] | Unreachable) -> Beats:
    return Beats(WATCHDOG, Script(*shows), "Watchdog")


def test_old_message_is_not_a_beat() -> None:
    assert beats([OLD]).next_s(0.02) is None


def test_new_message_is_a_beat() -> None:
    assert beats([OLD], [OLD], [OLD, NEW]).next_s(5) is not None


def test_inbox_that_shows_only_the_last_message_has_beats() -> None:
    assert beats([OLD], [NEW]).next_s(5) is not None


def test_messages_without_a_time_are_counted() -> None:
    timeless = Message("Watchdog")
    assert beats([timeless], [timeless]).next_s(0.02) is None
    assert beats([timeless], [timeless, timeless]).next_s(5) is not None


def test_channel_that_is_unreadable_at_first_is_an_error() -> None:
    with pytest.raises(Unreachable):
        beats(Unreachable("away"), [OLD])


def test_channel_that_is_briefly_down_keeps_its_old_messages() -> None:
    assert beats([OLD], Unreachable("away"), [OLD]).next_s(0.02) is None


def test_a_channel_that_cannot_be_read_at_the_end_is_an_error() -> None:
    with pytest.raises(Unreachable):
        beats([OLD], Unreachable("away")).next_s(0.02)


ROW = {"id": PROBE, "resolved_at": None}
OTHER_ROW = {"id": "other", "resolved_at": "2026-11-22T06:00:00Z"}
HISTORY_URL = "http://history.example.com"


@pytest.mark.parametrize(
    "document",
    [
        [OTHER_ROW, ROW],
        {"alerts": [OTHER_ROW, ROW], "total": 2},
        {"data": {"items": [OTHER_ROW, ROW]}},
        {"pages": [[OTHER_ROW], [ROW]]},
        {PROBE: ROW, "other": OTHER_ROW},
        ROW,
    ],
)
def test_only_the_row_with_the_id_is_found(document: object) -> None:
    assert list(rows_of(json.dumps(document), PROBE)) == [ROW]


def test_nested_id_finds_the_whole_row() -> None:
    """The end of the alert is beside the part that has the id."""
    row = {"labels": {"probe": PROBE}, "state": "resolved"}
    assert list(rows_of(json.dumps({"alerts": [row]}), PROBE)) == [row]


def test_an_alert_with_a_list_of_its_own_is_one_row() -> None:
    row = {"id": PROBE, "told": [{"channel": "chat", "text": f"raised {PROBE}"}]}
    assert list(rows_of(json.dumps(row), PROBE)) == [row]


def test_text_has_one_row_per_line() -> None:
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
def test_end_is_a_set_field_or_a_text(end_field: str | None, row: object, *, ended: bool) -> None:
    assert has_ended(row, EngineHistory(url=HISTORY_URL, end_field=end_field)) is ended


@given(st.text(max_size=200))
def test_any_history_can_be_read(body: str) -> None:
    history = EngineHistory(url=HISTORY_URL)
    for row in rows_of(body, PROBE):
        assert has_ended(row, history) in {True, False}


FIVE = {"a": 5.0, "b": 5.0}


def shares(counts: dict[str, tuple[float, float]], intervals: dict[str, float]) -> dict[str, float]:
    return {found.group: found.share for found in _judged(counts, intervals, "query")}


def test_slow_group_misses_evaluations() -> None:
    assert shares({"/f;a": (60, 120), "/f;b": (0, 120)}, FIVE) == {
        "a": pytest.approx(59 / 120),
        "b": 0,
    }


def test_pause_of_prometheus_does_not_count() -> None:
    """Twenty seconds, which a group with a long interval hardly notices."""
    counts = {"/f;a": (4.0, 36.0), "/f;b": (4.0, 36.0), "/f;slow": (0.0, 3.0)}

    assert shares(counts, {**FIVE, "slow": 60.0}) == {"a": 0, "b": 0, "slow": 0}


def test_new_group_does_not_witness_an_earlier_pause() -> None:
    counts = {"/f;a": (4.0, 60.0), "/f;b": (4.0, 60.0), "/f;new": (0.0, 4.0)}
    assert shares(counts, {**FIVE, "new": 5.0}) == {"a": 0, "b": 0, "new": 0}


def test_slow_new_group_is_not_excused_by_an_earlier_pause() -> None:
    counts = {"/f;a": (9.0, 60.0), "/f;b": (9.0, 60.0), "/f;new": (5.0, 8.0)}
    assert shares(counts, {**FIVE, "new": 5.0}) == {"a": 0, "b": 0, "new": 0.5}


def test_unloaded_group_is_left_out() -> None:
    assert shares({"/f;a": (0, 10), "/f;gone": (9, 10)}, FIVE) == {"a": 0}


def test_share_is_at_most_one() -> None:
    assert shares({"/f;a": (500, 100), "/f;b": (0, 100)}, FIVE)["a"] == 1


INBOX = HttpInbox(url="http://inbox.example.com/messages")
CHANNELS = {
    name: Channel(name=name, integration="webhook", inbox=INBOX)
    for name in ("chat", "pager", "second", "sms")
}
ENGINE = AlertEngine(
    trigger=["raise", "{probe}"],
    channels=["chat", "pager"],
    escalation=EngineEscalation(second="second", after_s=900, acknowledge=["ack", "{probe}"]),
)
CRITICAL = SeverityPolicy(name="critical", channels=[["pager"]])


def target(engine: AlertEngine | None) -> Config:
    alerting = Alerting(channels=CHANNELS, severities={"critical": CRITICAL}, engine=engine)
    return Config(target=Target(name="shop"), alerting=alerting)


def probed(config: Config) -> list[str]:
    return [channel.name for channel in probed_channels(config)]


def test_a_channel_of_the_engine_is_probed_only_where_a_severity_wants_it() -> None:
    assert probed(target(ENGINE)) == ["pager", "sms"]
    assert probed(target(None)) == ["chat", "pager", "second", "sms"]


def test_a_subject_is_a_table_and_what_it_needs() -> None:
    config = target(ENGINE)
    assert [subject.name for subject in subjects(config, "alert_engine")] == ["engine"]
    assert [channel.name for channel in subjects(config, "channel", ["inbox"])] == ["pager", "sms"]
    assert subjects(target(None), "alert_engine") == []
    for kind, need, said in (
        ("canary", "stop_source", "add [alerting.canary] with `stop_source`"),
        ("synthetic_probe", "drill", "add [alerting.probe] with `drill`"),
        ("dead_man", "stop", "add [alerting.dead_man] with `stop`"),
        ("alertmanager", "stop_peer", "add [alertmanager] with `stop_peer`"),
    ):
        assert undeclared(config, kind, [need]) == said


def test_a_key_that_is_missing_is_named_with_its_table() -> None:
    bare = {"target": {"name": "shop"}, "alertmanager": {"urls": ["http://am.example.com"]}}
    config = Config.model_validate(bare).named()
    assert undeclared(config, "alertmanager", ["stop_peer"]) == "set `stop_peer` in [alertmanager]"
