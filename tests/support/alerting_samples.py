"""A small, healthy configuration of Alertmanager, and what is required of it."""

import json
from collections.abc import Callable
from typing import Any

from readiness.areas.alerting.config import (
    Alerting,
    Channel,
    DeadMan,
    SeverityPolicy,
    SyntheticProbe,
)
from readiness.areas.alerting.probes.cluster import Running
from readiness.areas.alerting.reach import LiveRule
from readiness.config.base.watching import Alertmanager
from readiness.config.models import Config

Document = dict[str, Any]
CRITICAL = SeverityPolicy(name="critical", channels=[["pager", "sms"], ["chat"]], budget_s=5)
WARNING = SeverityPolicy(name="warning", channels=[["chat"]], budget_s=5, may_be_muted=True)
POLICY = Alerting(
    severities={"critical": CRITICAL, "warning": WARNING},
    channels={
        "pager": Channel(integration="pagerduty"),
        "sms": Channel(integration="webhook", receivers=["sms"]),
        "chat": Channel(integration="slack"),
    },
    dead_man=DeadMan(channel="sms"),
    probe=SyntheticProbe(),
)
RULES = (
    LiveRule.of("Down", {"severity": "critical"}, {}),
    LiveRule.of("Slow", {"severity": "warning"}, {}),
    LiveRule.of("Watchdog", {"severity": "none"}, {}),
    LiveRule.of("Canary", {"severity": "critical", "readiness_probe": "{{ $labels.p }}"}, {}),
)


def peer() -> Alertmanager:
    return Alertmanager(urls=["http://127.0.0.1:9"], peer_timeout_s=1)


def target(**changes: object) -> Config:
    plain = {"target": {"name": "t", "environment": "test"}}
    config = Config.model_validate(plain)
    return config.model_copy(update={"alerting": POLICY, "alertmanager": peer(), **changes})


def document() -> Document:
    """A healthy configuration."""
    return {
        "route": {
            "receiver": "chat",
            "group_by": ["alertname"],
            "group_wait": "0s",
            "group_interval": "1m",
            "repeat_interval": "1h",
            "routes": [
                {"matchers": ['readiness_probe!=""'], "receiver": "probe"},
                {"matchers": ['severity="critical"'], "receiver": "pager", "continue": True},
                {"matchers": ['severity="critical"'], "receiver": "sms", "continue": True},
                {"matchers": ['severity=~"critical|warning"'], "receiver": "chat"},
            ],
        },
        "receivers": [
            {"name": "chat", "slack_configs": [{"api_url": "<secret>"}]},
            {"name": "pager", "pagerduty_configs": [{"routing_key": "<secret>"}]},
            {"name": "sms", "webhook_configs": [{"url": "<secret>"}]},
            {"name": "probe", "webhook_configs": [{"url": "<secret>"}]},
        ],
    }


def running(
    edit: Callable[[Document], object] = lambda _: None, rules: tuple[LiveRule, ...] = RULES
) -> Running:
    """What runs, after an edit of the configuration."""
    config = document()
    edit(config)
    return Running("http://127.0.0.1:9", "0.25.0", json.dumps(config), rules, "readiness_probe")
