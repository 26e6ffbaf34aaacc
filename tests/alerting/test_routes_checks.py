"""The checks of routes and inhibition, against configurations written by hand."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from readiness.areas.alerting.config import Alerting, Channel, HttpInbox, SeverityPolicy
from readiness.areas.alerting.probes import cluster
from readiness.areas.alerting.probes.cluster import Running
from readiness.areas.alerting.probes.shadow import Replay
from readiness.areas.alerting.reach import LiveRule
from readiness.lib.prometheus.replies import Sample
from readiness.model.errors import NoData, Unreachable
from readiness.model.evidence import Evidence
from tests.support.advice import shown
from tests.support.alerting_samples import (
    CRITICAL,
    POLICY,
    RULES,
    WARNING,
    Document,
    peer,
    running,
    target,
)
from tests.support.monitored_service import misses, suite


def configured(seen: Running, policy: Alerting = POLICY) -> Evidence:
    """What is judged on the configuration and the rules alone."""
    evidence = Evidence()
    module = suite("alerting.test_alertmanager")
    module._judge_receivers(seen, set(policy.unreached), evidence)
    module._judge_inhibition(seen, policy, evidence)
    return evidence


def on_paper(evidence: Evidence) -> str:
    """What the configuration alone misses: no Alertmanager answers here."""
    assert all(isinstance(error, Unreachable) for error in evidence.lost)
    assert any(measurement.limit for measurement in evidence.measurements)
    return "; ".join(evidence.failures)


def channels(seen: Running, severity: Any = CRITICAL) -> str:
    """The shadow replay has a test of its own."""

    def absent(_: object) -> Replay:
        raise Unreachable("no alertmanager here")

    evidence = Evidence()
    suite("alerting.test_routing").test_routing(severity, seen, absent, POLICY, evidence)
    return on_paper(evidence)


def timing(seen: Running, severity: Any = CRITICAL, **changes: Any) -> Evidence:
    evidence = Evidence()
    suite("alerting.test_routing").test_notification_timing(
        severity, seen, POLICY, target(**changes), evidence
    )
    return evidence


def routes(config: Document, receiver: str) -> Document:
    return next(r for r in config["route"]["routes"] if r["receiver"] == receiver)


def test_healthy_configuration_passes() -> None:
    seen = running()

    assert misses(configured(seen)) == ""
    for severity in (CRITICAL, WARNING):
        assert channels(seen, severity) == ""
        assert on_paper(timing(seen, severity)) == ""
    judged = {m.key for m in timing(seen, WARNING).measurements if m.limit}
    assert judged == {"wait", "joins", "repeat", "repeat-multiple"}


def by_team(config: Document) -> None:
    """Alerts of a test system, by the label of their series, go to the chat alone."""
    chat = next(r["name"] for r in config["receivers"] if "slack_configs" in r)
    config["route"]["routes"].insert(0, {"receiver": chat, "matchers": ['env="test"']})


@pytest.mark.parametrize(
    ("environments", "missed", "warned"),
    [
        (("live",), False, False),
        (("test",), True, False),
        (("live", "test"), False, True),
        (("test", "test2"), False, True),
        ((), False, False),
    ],
)
def test_rules_are_routed_with_the_labels_of_their_series(
    environments: tuple[str, ...], missed: bool, warned: bool
) -> None:
    found = tuple(Sample({"env": name}, 1.0, 0.0) for name in environments)
    prometheus: Any = SimpleNamespace(query=lambda _: found)
    down = LiveRule.of("Down", {"severity": "critical"}, {}, "up == 0")
    seen = running(by_team, (down,))
    seen = replace(seen, rules=tuple(cluster._routed(prometheus, seen)))
    evidence = Evidence()
    suite("alerting.test_routing")._judge_channels(CRITICAL, seen, POLICY, evidence)
    assert bool(evidence.failures) is missed
    assert bool(evidence.warnings) is warned


def test_an_empty_receiver_is_named_unless_it_may_be_empty() -> None:
    seen = running(lambda c: c["receivers"][2].pop("webhook_configs"))

    assert "sms gets Canary, Down" in misses(configured(seen))
    allowed = POLICY.model_copy(update={"unreached": ["sms"]})
    assert misses(configured(seen, allowed)) == ""


def test_a_receiver_that_only_a_template_reaches_needs_an_integration() -> None:
    def edit(config: Document) -> None:
        config["route"]["routes"].insert(0, {"match_re": {"team": "a|b"}, "receiver": "void"})
        config["receivers"].append({"name": "void"})

    rules = (LiveRule.of("Down", {"severity": "critical", "team": "{{ $labels.t }}"}, {}),)

    assert misses(configured(running(edit))) == ""
    assert "void gets Down" in misses(configured(running(edit, rules)))


def test_a_rule_that_misses_a_list_is_named_with_what_it_reaches() -> None:
    def edit(config: Document) -> None:
        for name in ("pager", "sms"):
            routes(config, name)["matchers"] = ['severity="crit"']

    assert "Down reaches chat, not pager or sms" in channels(running(edit))


def test_one_channel_of_a_list_is_enough() -> None:
    seen = running(lambda c: c["receivers"][1].pop("pagerduty_configs"))
    assert channels(seen) == ""


def test_severity_without_rules_is_an_error_that_lists_the_severities() -> None:
    other = CRITICAL.model_copy(update={"name": "fatal"})
    with pytest.raises(NoData, match="critical, none, warning"):
        timing(running(), other).conclude()


def test_a_default_wait_is_late_and_its_parts_are_named() -> None:
    seen = running(lambda c: c["route"].pop("group_wait"))
    found = on_paper(timing(seen))

    assert "longest wait before the first notification: 30 s; limit 5 s (`.budget_s`)" in found
    assert "group_wait 30s" in found


def test_further_peers_wait_longer() -> None:
    two = peer().model_copy(update={"urls": ["http://a", "http://b", "http://c"]})
    slow = two.model_copy(update={"peer_timeout_s": 15.0})

    assert on_paper(timing(running(), alertmanager=two)) == ""
    found = on_paper(timing(running(), alertmanager=slow))
    assert "30 s; limit 5 s" in found
    assert "+ 2 x peer timeout 15s" in found


def test_the_quickest_route_to_a_list_counts() -> None:
    seen = running(lambda c: routes(c, "pager").update(group_wait="1m"))
    assert on_paper(timing(seen)) == ""


NIGHT = {
    "name": "night",
    "time_intervals": [{"times": [{"start_time": "22:00", "end_time": "24:00"}]}],
}


def muting(*receivers: str) -> Running:
    def edit(config: Document) -> None:
        config["time_intervals"] = [NIGHT]
        for name in receivers:
            routes(config, name)["mute_time_intervals"] = ["night"]

    return running(edit)


def test_a_list_with_one_unmuted_channel_is_not_muted() -> None:
    assert on_paper(timing(muting("pager"))) == ""
    found = on_paper(timing(muting("pager", "sms")))
    assert f"muted in {366 * 120:,} minutes of the coming year (`.may_be_muted`, default)" in found
    assert "is muted by night, first from" in found


def test_a_week_between_two_messages_is_too_long() -> None:
    seen = running(lambda c: routes(c, "chat").update(repeat_interval="1w"))
    assert "604,800 s (7 d); limit 14,400 s (4 h)" in on_paper(timing(seen))


def test_an_uneven_repeat_interval_is_a_warning() -> None:
    seen = running(lambda c: routes(c, "chat").update(repeat_interval="20m", group_interval="15m"))
    evidence = timing(seen)

    assert on_paper(evidence) == ""
    assert "repeats after 30m, not 20m" in str(evidence.warnings)


def rule(source: str, target: str, *equal: str) -> Running:
    made = {"source_matchers": [source], "target_matchers": [target], "equal": list(equal)}
    return running(lambda c: c.update(inhibit_rules=[made]))


def test_inhibition_without_equal_labels_needs_one_source() -> None:
    broad, narrow = 'severity="critical"', 'alertname="Down"'

    assert "empty `equal`" in misses(configured(rule(broad, 'severity="warning"')))
    assert misses(configured(rule(broad, 'severity="warning"', "instance"))) == ""
    assert misses(configured(rule(narrow, 'severity="warning"'))) == ""


def test_the_inhibition_rule_of_the_fix_names_what_both_alerts_share() -> None:
    broad = rule('severity="critical"', 'severity="warning"')
    assert "empty `equal`" in misses(configured(broad))
    advice = shown("alerting.alertmanager-config", "inhibit_rules:")
    assert misses(configured(running(lambda c: c.update(advice)))) == ""


@pytest.mark.parametrize(
    ("begin", "worse"),
    [
        ("group_wait: 5s", {"group_wait": "1m"}),
        ("group_by: [alertname]", {"group_by": ["severity"], "group_interval": "30m"}),
        ("group_interval: 5m", {"group_interval": "15m", "repeat_interval": "1w"}),
    ],
)
def test_the_timing_of_a_fix_is_in_time(begin: str, worse: dict[str, str]) -> None:
    def with_route(settings: dict[str, str]) -> str:
        def edit(config: Document) -> None:
            config["route"].update(settings)
            for route in config["route"]["routes"]:
                route.update(settings)

        return on_paper(timing(running(edit, BOTH), CRITICAL))

    assert with_route(worse)
    assert with_route({**worse, **shown("alerting.notification-timing", begin)}) == ""


def test_the_dead_mans_alert_must_not_be_inhibited() -> None:
    found = misses(configured(rule('alertname="Down"', 'severity!="critical"', "zone")))
    assert "inhibits Watchdog" in found


def test_alerts_on_both_sides_are_a_warning() -> None:
    evidence = configured(rule('severity=~"critical|warning"', 'severity=~"critical|warning"', "a"))

    assert misses(evidence) == ""
    assert "Canary, Down, Slow" in evidence.warnings[0]
    assert len(RULES) == 4


def test_inhibition_by_a_label_that_no_alert_has_mutes_too_much() -> None:
    def found(source: str, *equal: str, **labels: str) -> str:
        rules = tuple(replace(rule, series=(labels,)) for rule in RULES)
        return misses(configured(replace(rule(source, 'severity="warning"', *equal), rules=rules)))

    assert "no alert has the label cluster" in found('severity="critical"', "cluster")
    assert found('severity="critical"', "cluster", "alertname") == ""
    assert found('severity="critical"', "cluster", cluster="eu") == ""
    assert found('alertname="Down"', "cluster") == ""


AGREED = CRITICAL
UNAGREED = SeverityPolicy(name="critical", channels=[["pager", "sms"], ["chat"]])
BOTH = (*RULES, LiveRule.of("Full", {"severity": "critical"}, {}))


@pytest.mark.parametrize(
    ("settings", "severity", "outcome"),
    [
        # Each rule has groups of its own: up to Alertmanager's own default is usual.
        ({"group_interval": "5m"}, AGREED, "pass"),
        ({"group_interval": "30m"}, AGREED, "warn"),
        # Another outage waits for longer than was agreed.
        ({"group_by": ["severity"], "group_interval": "4s"}, AGREED, "pass"),
        ({"group_by": ["severity"], "group_interval": "5m"}, AGREED, "warn"),
        ({"group_by": ["severity"], "group_interval": "30m"}, AGREED, "fail"),
        ({"group_by": ["severity"], "group_interval": "5m"}, UNAGREED, "pass"),
        ({"group_by": ["severity"], "group_interval": "10m"}, UNAGREED, "fail"),
        # Without groups, nothing joins.
        ({"group_by": ["..."], "group_interval": "30m"}, AGREED, "pass"),
    ],
)
def test_an_alert_that_joins_a_group_must_not_wait_too_long(
    settings: dict[str, Any], severity: SeverityPolicy, outcome: str
) -> None:
    def edit(config: Document) -> None:
        config["route"].update(settings, repeat_interval="1h")

    evidence = timing(running(edit, BOTH), severity)
    texts = {"fail": evidence.failures, "warn": evidence.warnings}
    found = next((o for o, text in texts.items() if "joins a group" in str(text)), "pass")

    assert found == outcome


INBOX = HttpInbox(url="http://127.0.0.1:9/messages")


@pytest.mark.parametrize(
    ("kind", "written", "channel", "outcome"),
    [
        # Slack's default is not to send it: to be agreed.
        ("slack", None, {}, "pass"),
        ("slack", None, {"resolves": True}, "fail"),
        ("slack", None, {"inbox": INBOX}, "fail"),
        ("slack", None, {"inbox": INBOX, "resolves": False}, "pass"),
        ("slack", True, {"resolves": True}, "pass"),
        ("webhook", None, {"resolves": True}, "pass"),
        ("webhook", False, {}, "warn"),
        ("webhook", False, {"resolves": False}, "pass"),
        ("webhook", False, {"inbox": INBOX}, "fail"),
    ],
)
def test_every_receiver_that_a_severity_reaches_sends_the_end(
    kind: Any, written: bool | None, channel: dict[str, Any], outcome: str
) -> None:
    settings = {} if written is None else {"send_resolved": written}
    policy = POLICY.model_copy(
        update={
            "severities": {"warning": WARNING},
            "channels": {"chat": Channel(integration=kind, **channel)},
        }
    )

    def edit(config: Document) -> None:
        config["receivers"][0] = {"name": "chat", f"{kind}_configs": [settings]}

    evidence = Evidence()
    suite("alerting.test_routing")._judge_ends(WARNING, running(edit), policy, evidence)

    told = "fail" if evidence.failures else "warn" if evidence.warnings else "pass"
    assert told == outcome
    if outcome != "pass":
        assert f"chat/{kind}[0]" in str([evidence.failures, evidence.warnings])
