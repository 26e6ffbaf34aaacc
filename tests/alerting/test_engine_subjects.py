"""Channels that only the target's own engine tells are not expected of Alertmanager."""

from readiness.areas.alerting.config import (
    AlertEngine,
    Alerting,
    Channel,
    EngineEscalation,
    HttpInbox,
    SeverityPolicy,
)
from readiness.areas.alerting.subjects import probed_channels
from readiness.config.base.tables import Target
from readiness.config.models import Config
from readiness.config.subjects import subjects, undeclared

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
