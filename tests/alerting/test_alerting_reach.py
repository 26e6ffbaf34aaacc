"""Whom alerts reach, what inhibits them, and the configuration made harmless."""

import json
from collections.abc import Mapping

import pytest

from readiness.areas.alerting.config import Channel
from readiness.areas.alerting.routes import reach
from readiness.areas.alerting.routes.config import Config, InhibitRule, parse, places, rewritten
from readiness.areas.alerting.routes.matchers import parse as matchers
from readiness.areas.alerting.routes.reach import (
    LiveRule,
    both_at_once,
    cases,
    channels_of,
    holders,
    holds,
    names_one_source,
    said,
    serving,
    unmet,
)

CONFIG = """
global: {smtp_auth_password: <secret>}
route:
  receiver: mail
  routes:
  - {matchers: [severity="critical"], receiver: pager, continue: true, group_wait: 5s}
  - {match: {continue: "true"}, receiver: sms}
receivers:
- name: mail
  email_configs: [{to: a@example.com, auth_password: <secret>}]
- name: pager
  pagerduty_configs: [{routing_key: <secret>, send_resolved: false}]
- name: sms
  webhook_configs: [{url: <secret>}, {url: <secret>}]
inhibit_rules:
- source_matchers: [severity="critical"]
  target_matchers: [severity="warning"]
  equal: [alertname, instance]
templates: [/etc/alertmanager/*.tmpl]
"""
CHANNELS = {
    "mail": Channel(integration="email"),
    "sms": Channel(integration="webhook", receivers=["sms"]),
    "chatops": Channel(integration="webhook", receivers=["chatops"]),
    "pager": Channel(integration="pagerduty"),
}


@pytest.fixture
def config() -> Config:
    return parse(CONFIG)


def rule(name: str = "A", **labels: str) -> LiveRule:
    return LiveRule.of(name, labels, {})


def test_a_channel_is_a_kind_of_integration_in_some_receivers(config: Config) -> None:
    (case,) = cases(config, [rule(severity="critical")])

    assert [hop.receiver for hop in case.hops] == ["pager"]
    assert channels_of(config, case.hops[0], CHANNELS) == {"pager"}
    assert serving(config, case, ["sms", "pager"], CHANNELS) == [case.hops[0]]
    assert serving(config, case, ["sms"], CHANNELS) == []
    (sms,) = cases(config, [rule(**{"continue": "true"})])
    assert channels_of(config, sms.hops[0], CHANNELS) == {"sms"}


def test_of_each_list_one_channel_is_enough() -> None:
    needed = [["pager", "sms"], ["mail"]]

    assert unmet(needed, {"sms", "mail"}) == []
    assert unmet(needed, {"mail"}) == [["pager", "sms"]]
    assert unmet(needed, set()) == needed
    assert said(needed) == "pager or sms, and mail"


def test_a_rule_with_a_template_has_several_cases(config: Config) -> None:
    found = cases(config, [rule(severity="{{ $labels.severity }}")])

    assert {str(case) for case in found} >= {"A", 'A with severity="critical"'}
    assert rule(severity="{{ $value }}").at("critical").severity == "critical"


def inhibit(source: str, target: str, *equal: str) -> InhibitRule:
    return InhibitRule(1, matchers(source), matchers(target), equal)


CRITICAL = {"alertname": "Down", "severity": "critical", "instance": "a"}
WARNING = {"alertname": "Slow", "severity": "warning", "instance": "a"}


@pytest.mark.parametrize(
    ("rule_", "source", "target", "expected"),
    [
        (inhibit('severity="critical"', 'severity="warning"'), CRITICAL, WARNING, True),
        (inhibit('severity="critical"', 'severity="warning"', "instance"), CRITICAL, WARNING, True),
        (inhibit('severity="critical"', 'severity="warning"', "zone"), CRITICAL, WARNING, True),
        (inhibit('severity="critical"', 'severity="warning"', "alertname"), CRITICAL, WARNING,
         False),
        (inhibit('severity="critical"', 'severity="warning"'), WARNING, CRITICAL, False),
        # Nothing holds itself back, nor another one of those that match both sides.
        (inhibit('severity="critical"', 'severity=~".+"'), CRITICAL, CRITICAL, False),
        (inhibit('severity="critical"', 'severity=~".+"'), CRITICAL, WARNING, True),
        (inhibit("", 'severity="warning"'), WARNING, WARNING, False),
    ],
)  # fmt: skip
def test_what_inhibits_what(
    rule_: InhibitRule, source: Mapping[str, str], target: Mapping[str, str], expected: bool
) -> None:
    assert holds(rule_, source, target) is expected


def test_which_alerts_inhibit_one(config: Config) -> None:
    same = {**CRITICAL, "alertname": "Slow"}

    assert holders(config, WARNING, [CRITICAL, same, WARNING]) == [same]
    assert holders(config, CRITICAL, [same]) == []


def test_a_source_is_one_alert_if_its_name_is_asked_for() -> None:
    assert names_one_source(inhibit('alertname="A",severity="critical"', ""))
    assert not names_one_source(inhibit('alertname=~"A|B"', ""))
    assert not names_one_source(inhibit('severity="critical"', ""))
    assert both_at_once(inhibit('severity=~".+"', 'alertname="Slow"'), [CRITICAL, WARNING]) == [
        "Slow"
    ]


def test_the_harmless_copy_keeps_what_decides_and_nothing_else() -> None:
    text = rewritten(CONFIG, "http://sink", inhibits=True)
    copy = json.loads(text)

    assert copy.keys() == {"route", "inhibit_rules", "receivers"}
    assert "secret" not in text
    assert copy["route"]["routes"][0]["continue"] is True
    assert copy["route"]["routes"][1]["match"] == {"continue": "true"}
    assert copy["receivers"][1]["webhook_configs"] == [
        {"url": "http://sink/1/pagerduty/0", "send_resolved": False}
    ]
    assert "inhibit_rules" not in json.loads(rewritten(CONFIG, "http://sink", inhibits=False))
    assert {place: name for place, (name, _) in places(CONFIG).items()} == {
        "/0/email/0": "mail",
        "/1/pagerduty/0": "pager",
        "/2/webhook/0": "sms",
        "/2/webhook/1": "sms",
    }


def test_the_copy_routes_as_the_original(config: Config) -> None:
    copy = parse(rewritten(CONFIG, "http://sink", inhibits=True))

    assert copy.root == config.root
    assert copy.inhibit_rules == config.inhibit_rules


def test_the_severity_is_a_label() -> None:
    assert rule(severity="x").severity == "x"
    assert rule().severity == ""
    assert reach.SEVERITY == "severity"
