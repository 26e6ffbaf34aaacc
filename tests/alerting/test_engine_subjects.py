"""Channels that only the target's own engine tells are not expected of Alertmanager."""

from readiness.areas.alerting.config import Alerting, Channel, HttpInbox, SeverityPolicy
from readiness.areas.alerting.engine_config import AlertEngine, EngineEscalation
from readiness.areas.alerting.subjects import probed_channels
from readiness.config.base.tables import Target
from readiness.config.models import Config
from readiness.config.subjects import subjects

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


def test_the_engine_is_judged_on_what_it_declares() -> None:
    config = target(ENGINE)
    found = {
        kind: [subject.name for subject in subjects(config, kind)]
        for kind in ("engine_channel", "engine_history", "engine_statistics", "engine_escalation")
    }
    assert found == {
        "engine_channel": ["chat", "pager"],
        "engine_history": [],
        "engine_statistics": [],
        "engine_escalation": ["second"],
    }
    assert subjects(target(None), "engine_channel") == []
