"""The checks of routes and inhibition, against configurations written by hand."""

from typing import Any

import pytest

from readiness.areas.alerting.paper.reach import LiveRule
from readiness.areas.alerting.probes.running import Running
from readiness.model.errors import NoData
from readiness.model.evidence import Evidence
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


def integrated(seen: Running, **changes: Any) -> str:
    evidence = Evidence()
    suite("alerting.test_routes").test_receivers_integrated(
        peer(), seen, target(**changes), evidence
    )
    return misses(evidence)


def judged(name: str, seen: Running, *, severity: Any = CRITICAL, **more: Any) -> Evidence:
    evidence = Evidence()
    getattr(suite("alerting.test_routes"), f"test_{name}")(
        severity, seen, POLICY, **more, evidence=evidence
    )
    return evidence


def inhibition(seen: Running) -> Evidence:
    evidence = Evidence()
    suite("alerting.test_held_back").test_inhibition_rules(peer(), seen, POLICY, evidence)
    return evidence


def routes(config: Document, receiver: str) -> Document:
    return next(r for r in config["route"]["routes"] if r["receiver"] == receiver)


def test_all_is_well() -> None:
    seen = running()

    assert integrated(seen) == ""
    for name in ("severity_channels", "repeat_interval"):
        assert misses(judged(name, seen)) == ""
        assert misses(judged(name, seen, severity=WARNING)) == ""
    assert misses(judged("never_muted", seen)) == ""
    assert misses(judged("latency_budget", seen, target=target())) == ""
    assert misses(inhibition(seen)) == ""


def test_an_empty_receiver_is_named_with_its_rules_unless_it_may_be_empty() -> None:
    seen = running(lambda c: c["receivers"][2].pop("webhook_configs"))

    assert "sms gets Canary, Down and tells nobody" in integrated(seen)
    allowed = POLICY.model_copy(update={"unreached": ["sms"]})
    assert integrated(seen, alerting=allowed) == ""


def test_a_receiver_that_only_a_template_can_reach_must_tell_somebody_too() -> None:
    def edit(config: Document) -> None:
        config["route"]["routes"].insert(0, {"match_re": {"team": "a|b"}, "receiver": "void"})
        config["receivers"].append({"name": "void"})

    rules = (LiveRule.of("Down", {"severity": "critical", "team": "{{ $labels.t }}"}, {}),)

    assert integrated(running(edit)) == ""
    assert "void gets Down" in integrated(running(edit, rules))


def test_a_rule_that_misses_a_list_is_named_with_what_it_reaches() -> None:
    def edit(config: Document) -> None:
        for name in ("pager", "sms"):
            routes(config, name)["matchers"] = ['severity="crit"']

    assert "Down reaches chat, not pager or sms" in misses(
        judged("severity_channels", running(edit))
    )


def test_one_channel_of_a_list_is_enough() -> None:
    seen = running(lambda c: c["receivers"][1].pop("pagerduty_configs"))
    assert misses(judged("severity_channels", seen)) == ""


def test_a_severity_that_no_rule_has_is_an_error_that_names_those_there_are() -> None:
    other = CRITICAL.model_copy(update={"name": "fatal"})
    with pytest.raises(NoData, match="critical, none, warning"):
        judged("severity_channels", running(), severity=other)


def test_a_default_wait_is_late_and_its_parts_are_told() -> None:
    seen = running(lambda c: c["route"].pop("group_wait"))
    found = misses(judged("latency_budget", seen, target=target()))

    assert "longest wait before it is told 30 s, must be <= 5" in found
    assert "group_wait 30s" in found


def test_further_peers_wait_longer() -> None:
    two = peer().model_copy(update={"urls": ["http://a", "http://b", "http://c"]})
    slow = two.model_copy(update={"peer_timeout_s": 15.0})

    assert misses(judged("latency_budget", running(), target=target(alertmanager=two))) == ""
    found = misses(judged("latency_budget", running(), target=target(alertmanager=slow)))
    assert "30 s, must be <= 5" in found
    assert "+ 2 x peer time-out 15s" in found


def test_the_quickest_way_to_a_list_counts() -> None:
    seen = running(lambda c: routes(c, "pager").update(group_wait="1m"))
    assert misses(judged("latency_budget", seen, target=target())) == ""


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


def test_a_list_of_which_one_channel_always_tells_is_not_muted() -> None:
    assert misses(judged("never_muted", muting("pager"))) == ""
    found = misses(judged("never_muted", muting("pager", "sms")))
    assert f"not told {366 * 120} min" in found
    assert "is held back by night, first from" in found


def test_a_week_between_two_messages_is_too_long() -> None:
    seen = running(lambda c: routes(c, "chat").update(repeat_interval="1w"))
    assert "604800 s, must be <= 14400" in misses(judged("repeat_interval", seen))


def test_an_uneven_repeat_interval_is_a_warning() -> None:
    seen = running(lambda c: routes(c, "chat").update(repeat_interval="20m", group_interval="15m"))
    evidence = judged("repeat_interval", seen)

    assert misses(evidence) == ""
    assert "repeats after 30m, not 20m" in evidence.warnings[0]


def rule(source: str, target: str, *equal: str) -> Running:
    made = {"source_matchers": [source], "target_matchers": [target], "equal": list(equal)}
    return running(lambda c: c.update(inhibit_rules=[made]))


def test_inhibition_without_equal_labels_needs_one_source() -> None:
    broad, narrow = 'severity="critical"', 'alertname="Down"'

    assert "empty `equal`" in misses(inhibition(rule(broad, 'severity="warning"')))
    assert misses(inhibition(rule(broad, 'severity="warning"', "instance"))) == ""
    assert misses(inhibition(rule(narrow, 'severity="warning"'))) == ""


def test_the_dead_mans_alert_is_held_back_by_nothing() -> None:
    found = misses(inhibition(rule('alertname="Down"', 'severity!="critical"', "zone")))
    assert "holds Watchdog back" in found


def test_alerts_on_both_sides_are_a_warning() -> None:
    evidence = inhibition(rule('severity=~"critical|warning"', 'severity=~"critical|warning"', "a"))

    assert misses(evidence) == ""
    assert "Canary, Down, Slow" in evidence.warnings[0]
    assert len(RULES) == 4
