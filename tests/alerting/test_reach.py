"""Where alerts go, what inhibits them, and that synthetic ones reach only their receiver."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from readiness.areas.alerting.alertmanager_config import (
    Config,
    InhibitRule,
    parse,
    places,
    rewritten,
)
from readiness.areas.alerting.conditions import parse_matchers as matchers
from readiness.areas.alerting.config import Channel
from readiness.areas.alerting.reach import (
    Holder,
    Inhibition,
    LiveRule,
    both_at_once,
    cases,
    channels_of,
    holds,
    labels_of,
    names_one_source,
    possible_labels,
    refuse_unless_contained,
    routes_of,
    said,
    serving,
    two_in_a_group,
    unknown_to_all,
    unmet,
)
from readiness.model.errors import NoData, SafetyRefusal

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
    assert str(rule) == 'inhibit rule 1 (severity="critical" inhibits severity="warning")'
    assert rule.equal == ("alertname",)


def test_a_label_with_a_template_may_become_what_routes_ask_for(config: Config) -> None:
    rule = {"severity": "critical", "team": "{{ $labels.team }}"}
    teams = {labels.get("team") for labels in possible_labels(config, rule)}

    assert teams == {None, "readiness-unknown", "a", "b", "c"}
    assert possible_labels(config, {"severity": "x"}) == [{"severity": "x"}]


def test_rule_labels_override_external_labels() -> None:
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


REACH_CONFIG = """
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
def reaching() -> Config:
    return parse(REACH_CONFIG)


def rule(name: str = "A", **labels: str) -> LiveRule:
    return LiveRule.of(name, labels, {})


def test_a_channel_is_a_kind_of_integration_in_some_receivers(reaching: Config) -> None:
    (case,) = cases(reaching, [rule(severity="critical")])

    assert [hop.receiver for hop in case.hops] == ["pager"]
    assert channels_of(reaching, case.hops[0], CHANNELS) == {"pager"}
    assert serving(reaching, case, ["sms", "pager"], CHANNELS) == [case.hops[0]]
    assert serving(reaching, case, ["sms"], CHANNELS) == []
    (sms,) = cases(reaching, [rule(**{"continue": "true"})])
    assert channels_of(reaching, sms.hops[0], CHANNELS) == {"sms"}


def test_one_channel_of_each_list_is_enough() -> None:
    needed = [["pager", "sms"], ["mail"]]

    assert unmet(needed, {"sms", "mail"}) == []
    assert unmet(needed, {"mail"}) == [["pager", "sms"]]
    assert unmet(needed, set()) == needed
    assert said(needed) == "pager or sms, and mail"


def test_a_rule_with_a_template_has_several_cases(reaching: Config) -> None:
    found = cases(reaching, [rule(severity="{{ $labels.severity }}")])

    assert {str(case) for case in found} >= {"A", 'A with severity="critical"'}
    assert rule(severity="{{ $value }}").at("critical").severity == "critical"


def test_the_labels_of_live_series_decide_the_route(reaching: Config) -> None:
    """Those of a rule whose series differ are cases of their own; its own labels come first."""
    series = ({"team": "db"}, {"team": "web"}, {"severity": "info"})
    found = cases(reaching, [replace(rule(severity="critical"), routed=series)])

    assert [str(case) for case in found] == ['A with team="db"', 'A with team="web"', "A"]
    assert {case.labels["severity"] for case in found} == {"critical"}


def inhibit(source: str, target: str, *equal: str) -> InhibitRule:
    return InhibitRule(1, matchers(source), matchers(target), equal)


def pages(*equal: str) -> InhibitRule:
    return inhibit('severity="critical"', 'severity="warning"', *equal)


CRITICAL = {"alertname": "Down", "severity": "critical", "instance": "a"}
WARNING = {"alertname": "Slow", "severity": "warning", "instance": "a"}


@pytest.mark.parametrize(
    ("rule_", "source", "target", "expected"),
    [
        (pages(), CRITICAL, WARNING, True),
        (pages("instance"), CRITICAL, WARNING, True),
        (pages("zone"), CRITICAL, WARNING, True),
        (pages("alertname"), CRITICAL, WARNING, False),
        (pages(), WARNING, CRITICAL, False),
        # An alert never inhibits itself, nor another one that matches both sides.
        (inhibit('severity="critical"', 'severity=~".+"'), CRITICAL, CRITICAL, False),
        (inhibit('severity="critical"', 'severity=~".+"'), CRITICAL, WARNING, True),
        (inhibit("", 'severity="warning"'), WARNING, WARNING, False),
    ],
)  # fmt: skip
def test_inhibition_needs_source_target_and_equal_labels(
    rule_: InhibitRule, source: Mapping[str, str], target: Mapping[str, str], expected: bool
) -> None:
    assert holds(rule_, source, target) is expected


def test_holders_are_the_alerts_that_inhibit(reaching: Config) -> None:
    same = {**CRITICAL, "alertname": "Slow"}
    inhibition = Inhibition(reaching, [CRITICAL, same, WARNING])

    assert inhibition.holders(WARNING) == [Holder(same, about_the_same=True)]
    assert inhibition.holders(CRITICAL) == []
    assert Inhibition(reaching, [same]).holders(CRITICAL) == []


@pytest.mark.parametrize(
    ("equal", "down", "slow", "expected"),
    [
        (("cluster",), {"instance": "a"}, {"instance": "b"}, True),
        (("cluster", "instance"), {"instance": "a"}, {"instance": "b"}, False),
        # One side has it: the rule never applies, and mutes nothing.
        (("cluster",), {"instance": "a"}, {"cluster": "eu"}, False),
        ((), {}, {}, False),
        (("cluster",), {}, None, False),
    ],
)
def test_equal_labels_that_no_alert_has(
    equal: tuple[str, ...],
    down: Mapping[str, str],
    slow: Mapping[str, str] | None,
    expected: bool,
) -> None:
    rules = [
        LiveRule("Down", {"severity": "critical"}, series=(down,)),
        LiveRule("Slow", {"severity": "warning"}, series=None if slow is None else (slow,)),
    ]
    assert unknown_to_all(pages(*equal), rules) is expected
    assert not unknown_to_all(pages(*equal), [])


@pytest.mark.parametrize(
    ("group_by", "first", "second", "expected"),
    [
        (("severity",), {"severity": "critical"}, {"severity": "critical"}, True),
        (("severity",), {"severity": "critical"}, {"severity": "warning"}, False),
        (("namespace",), {}, {"namespace": "shop"}, True),
        (("team",), {"team": "{{ $labels.team }}"}, {"team": "a"}, True),
        ((), {}, {}, True),
        (("alertname", "namespace"), {}, {}, False),
    ],
)
def test_two_rules_can_share_a_group(
    group_by: tuple[str, ...], first: dict[str, str], second: dict[str, str], expected: bool
) -> None:
    rules = [LiveRule.of("A", first, {}), LiveRule.of("B", second, {})]
    assert two_in_a_group(group_by, rules) == (["A", "B"] if expected else [])
    assert two_in_a_group(group_by, [rules[0], rules[0]]) == []


def test_source_with_an_alertname_is_one_alert() -> None:
    assert names_one_source(inhibit('alertname="A",severity="critical"', ""))
    assert not names_one_source(inhibit('alertname=~"A|B"', ""))
    assert not names_one_source(inhibit('severity="critical"', ""))
    assert both_at_once(inhibit('severity=~".+"', 'alertname="Slow"'), [CRITICAL, WARNING]) == [
        "Slow"
    ]


def test_harmless_copy_has_no_secrets_and_only_webhooks() -> None:
    text = rewritten(REACH_CONFIG, "http://sink", inhibits=True)
    copy = json.loads(text)

    assert copy.keys() == {"route", "inhibit_rules", "receivers"}
    assert "secret" not in text
    assert copy["route"]["routes"][0]["continue"] is True
    assert copy["route"]["routes"][1]["match"] == {"continue": "true"}
    assert copy["receivers"][1]["webhook_configs"] == [
        {"url": "http://sink/1/pagerduty/0", "send_resolved": False}
    ]
    assert "inhibit_rules" not in json.loads(rewritten(REACH_CONFIG, "http://sink", inhibits=False))
    assert {place: name for place, (name, _) in places(REACH_CONFIG).items()} == {
        "/0/email/0": "mail",
        "/1/pagerduty/0": "pager",
        "/2/webhook/0": "sms",
        "/2/webhook/1": "sms",
    }


def test_the_copy_routes_as_the_original(reaching: Config) -> None:
    copy = parse(rewritten(REACH_CONFIG, "http://sink", inhibits=True))

    assert copy.root == reaching.root
    assert copy.inhibit_rules == reaching.inhibit_rules


LABELS = {"alertname": "ReadinessProbe", "severity": "critical", "readiness_probe": "rd1"}
RECEIVERS = "receivers: [{name: probe}, {name: pager}, {name: other}]\n"


def guarded(routes: str, inhibit: str = "[]") -> Config:
    return parse(
        f"route: {{receiver: other, routes: {routes}}}\ninhibit_rules: {inhibit}\n{RECEIVERS}"
    )


def refuse(found: Config) -> None:
    refuse_unless_contained(
        found, LABELS, receiver="probe", unique="readiness_probe", where="http://am:9093"
    )


PROBE_FIRST = """[{matchers: ['readiness_probe!=""'], receiver: probe},
                  {matchers: ['severity="critical"'], receiver: pager}]"""


def inhibiting(equal: str, source: str = 'severity="critical"') -> str:
    return f"""[{{source_matchers: ['{source}'], target_matchers: ['severity="warning"'],
                  equal: {equal}}}]"""


@pytest.mark.parametrize(
    "inhibit",
    [
        "[]",
        *map(inhibiting, ("[alertname]", "[alertname, instance]", "[readiness_probe]")),
        inhibiting("[]", source='severity="critical",readiness_probe=""'),
    ],
)
def test_contained_alert_that_inhibits_no_real_one_is_allowed(inhibit: str) -> None:
    refuse(guarded(PROBE_FIRST, inhibit))


@pytest.mark.parametrize(
    "routes",
    [
        pytest.param("[]", id="no route of its own"),
        pytest.param(
            """[{matchers: ['severity="critical"'], receiver: pager},
                {matchers: ['readiness_probe!=""'], receiver: probe}]""",
            id="a real route comes before it",
        ),
        pytest.param(
            """[{matchers: ['readiness_probe!=""'], receiver: probe, continue: true},
                {matchers: ['severity="critical"'], receiver: pager}]""",
            id="it continues",
        ),
        pytest.param(
            """[{matchers: ['readiness_probe="other"'], receiver: probe}]""",
            id="its matcher means another probe",
        ),
        pytest.param(
            """[{matchers: ['readiness_probe!=""'], receiver: pager}]""",
            id="it targets a real receiver",
        ),
    ],
)
def test_alert_that_reaches_another_receiver_is_refused(routes: str) -> None:
    with pytest.raises(SafetyRefusal, match="only probe is allowed: nothing was sent") as refused:
        refuse(guarded(routes))
    assert "readiness_probe!=" in refused.value.remedy


@pytest.mark.parametrize("equal", ["[]", "[namespace]", "[severity]"])
def test_alert_that_would_inhibit_real_ones_is_refused(equal: str) -> None:
    with pytest.raises(SafetyRefusal, match="would inhibit real alerts"):
        refuse(guarded(PROBE_FIRST, inhibiting(equal)))
