"""Routing: what a route inherits from its parent, and which routes an alert takes."""

import pytest

from readiness.areas.alerting.routes.config import Config, parse
from readiness.areas.alerting.routes.routing import (
    labels_of,
    possible_labels,
    receivers_of,
    routes_of,
)
from readiness.model.errors import NoData

CONFIG = """
route:
  receiver: default
  group_by: [alertname]
  routes:
  - receiver: probe
    matchers: ['readiness_probe!=""']
    group_by: ['...']
    group_wait: 0s
  - receiver: pager
    matchers: [severity="critical"]
    continue: true
    group_wait: 1s
    mute_time_intervals: [night]
    routes:
    - matchers: ['team=~"a|b"']
      repeat_interval: 1h
  - receiver: chat
    match_re: {severity: critical|warning}
    routes:
    - receiver: other
      match: {team: c}
receivers:
- name: default
  email_configs: [{to: a@b}]
- name: probe
- name: pager
  pagerduty_configs: [{routing_key: <secret>}]
  webhook_configs: [{url: <secret>, send_resolved: false}, {url: <secret>}]
- name: chat
  slack_configs: [{}]
- name: other
mute_time_intervals:
- name: night
  time_intervals: [{times: [{start_time: "17:00", end_time: "24:00"}]}]
inhibit_rules:
- source_matchers: [severity="critical"]
  target_match: {severity: warning}
  equal: [alertname]
"""


@pytest.fixture
def config() -> Config:
    return parse(CONFIG)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, ["default"]),
        ({"severity": "crit"}, ["default"]),
        ({"severity": "warning"}, ["chat"]),
        ({"severity": "critical"}, ["pager", "chat"]),
        ({"severity": "critical", "team": "c"}, ["pager", "other"]),
        ({"severity": "critical", "readiness_probe": "x"}, ["probe"]),
    ],
)
def test_an_alert_takes_the_first_routes_that_match(
    config: Config, labels: dict[str, str], expected: list[str]
) -> None:
    assert [hop.receiver for hop in routes_of(config, labels)] == expected
    assert receivers_of(config, labels) == set(expected)


def test_a_route_inherits_from_its_parent(config: Config) -> None:
    pager = routes_of(config, {"severity": "critical", "team": "a"})[0]

    assert (pager.receiver, pager.group_by) == ("pager", ("alertname",))
    assert (pager.group_wait_s, pager.group_interval_s, pager.repeat_interval_s) == (1, 300, 3600)
    assert pager.path == '/{severity="critical"}/{team=~"a|b"}'
    assert pager.mute == ()  # Alertmanager does not hand these down


def test_settings_that_are_absent_have_the_defaults(config: Config) -> None:
    (hop,) = routes_of(config, {})

    assert (hop.group_wait_s, hop.group_interval_s, hop.repeat_interval_s) == (30, 300, 14400)


def test_groups_are_of_the_labels_named_or_of_all(config: Config) -> None:
    labels = {"alertname": "A", "severity": "warning"}
    assert routes_of(config, labels)[0].group_of(labels) == {"alertname": "A"}
    probe = labels | {"readiness_probe": "x"}
    assert routes_of(config, probe)[0].group_of(probe) == probe


def test_integrations_know_their_kind_place_and_whether_they_resolve(config: Config) -> None:
    shown = {
        name: [(str(i), i.send_resolved) for i in receiver.integrations]
        for name, receiver in config.receivers.items()
    }
    assert shown == {
        "default": [("email[0]", False)],
        "probe": [],
        "pager": [("pagerduty[0]", True), ("webhook[0]", False), ("webhook[1]", True)],
        "chat": [("slack[0]", False)],
        "other": [],
    }


def test_a_time_that_looks_like_a_number_is_a_time(config: Config) -> None:
    assert config.intervals["night"][0].times == ((1020, 1440),)


def test_inhibition_reads_both_kinds_of_matchers(config: Config) -> None:
    (rule,) = config.inhibit_rules
    assert str(rule) == 'inhibit rule 1 (severity="critical" holds severity="warning")'
    assert rule.equal == ("alertname",)


def test_a_label_with_a_template_may_become_what_routes_ask_for(config: Config) -> None:
    rule = {"severity": "critical", "team": "{{ $labels.team }}"}
    teams = {labels.get("team") for labels in possible_labels(config, rule)}

    assert teams == {None, "readiness-unknown", "a", "b", "c"}
    assert possible_labels(config, {"severity": "x"}) == [{"severity": "x"}]


def test_a_rules_labels_go_before_the_external_ones() -> None:
    labels = labels_of("A", {"env": "own"}, {"env": "lab", "zone": "1"})
    assert labels == {"alertname": "A", "env": "own", "zone": "1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the whole"),
        ("- a", "the whole"),
        ("receivers: []", "route: Field required"),
        ("route: {receiver: a, match_all: x}", "route.match_all: Extra inputs"),
        ("route: {receiver: a, group_wait: soon}", "is not a valid Prometheus duration"),
        ("route: {receiver: a, routes: [{matchers: [a]}]}", "cannot read the matcher"),
        ("{", "cannot be read: line 1: "),
    ],
)
def test_what_is_not_understood_is_refused(text: str, expected: str) -> None:
    with pytest.raises(NoData, match=expected):
        parse(text)
