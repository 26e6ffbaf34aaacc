"""Synthetic alerts against a real cluster: contained, ended, and errors where it is down."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from readiness.areas.alerting.config import SyntheticProbe, probed_channels
from readiness.areas.alerting.probes.end_to_end import CanaryPlan, walk
from readiness.areas.alerting.probes.outages import next_beat
from readiness.areas.alerting.probes.pages import dead_ends, failures, is_reached, planned, send
from readiness.areas.alerting.probes.synthetic import (
    new_probe,
    silence_round_trip,
    synthetic,
    travel,
)
from readiness.areas.alerting.probes.webhooks import OK, DrillPlan, answered
from readiness.config.base.watching import Alertmanager
from readiness.config.loading import load
from readiness.config.models import Config
from readiness.lib.alertmanager import Peer
from readiness.lib.guardian import Guardian
from readiness.model.errors import CouldNotMeasure, NoData, SafetyRefusal, Unreachable
from readiness.model.evidence import Evidence
from readiness.reference.system import ReferenceSystem
from readiness.servers.files import Document
from tests.support.monitored_service import misses, suite

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def system() -> Iterator[ReferenceSystem]:
    with ReferenceSystem.start(provider="local", parts={"monitoring"}) as started:
        if {"prometheus", "alertmanager"} & started.absent.keys():
            pytest.skip("; ".join(started.absent.values()))
        yield started


@pytest.fixture
def target(system: ReferenceSystem, monkeypatch: pytest.MonkeyPatch) -> Config:
    for name, value in system.environ.items():
        monkeypatch.setenv(name, value)  # the commands of the canary need them
    return load(system.config_path, os.environ | system.environ).config


@pytest.fixture
def guardian() -> Iterator[Guardian]:
    with Guardian() as guard:
        yield guard


def parts(target: Config) -> tuple[Alertmanager, SyntheticProbe]:
    assert target.alertmanager
    assert target.alerting
    assert target.alerting.probe
    return target.alertmanager, target.alerting.probe


def held(target: Config) -> int:
    settings, probe = parts(target)
    count = 0
    for url in settings.urls:
        with Peer(url, settings) as peer:
            count += len(peer.alerts(f'{probe.label}=~".+"', 'alertname="ReadinessProbe"'))
    return count


def without_probe_route(document: Document) -> None:
    del document["route"]["routes"][1]


def test_alert_for_another_receiver_is_not_sent(
    system: ReferenceSystem, target: Config, guardian: Guardian
) -> None:
    settings, probe = parts(target)
    plan = CanaryPlan.of(target)
    with system.levers.edit_alertmanager(without_probe_route):
        with (
            synthetic(settings, probe) as sender,
            pytest.raises(SafetyRefusal, match="would reach email, pagerduty, slack, sms"),
        ):
            travel(sender, probed_channels(target), probe.budget_s)
        with pytest.raises(SafetyRefusal, match="nothing was sent"):
            walk(plan, guardian)
        assert held(target) == 0


def test_one_peer_with_another_receiver_is_enough_to_refuse(
    system: ReferenceSystem, target: Config
) -> None:
    settings, probe = parts(target)
    with (
        system.levers.edit_alertmanager(without_probe_route, peers=["alertmanager_2"]),
        synthetic(settings, probe) as sender,
        pytest.raises(SafetyRefusal, match="nothing was sent"),
    ):
        sender.hops(new_probe())


def test_an_alert_arrives_once_and_nothing_of_it_is_left(target: Config) -> None:
    settings, probe = parts(target)
    with synthetic(settings, probe) as sender:
        trip = travel(sender, probed_channels(target), probe.budget_s)
    assert {name: len(a.fired) for name, a in trip.arrivals.items()} == dict.fromkeys(
        ["email", "pagerduty", "slack", "sms"], 1
    )
    assert all(arrival.ended for arrival in trip.arrivals.values())
    assert (trip.held, trip.diagnosis) == (0, "")
    assert held(target) == 0


def test_no_check_waits_longer_than_agreed_for_the_route(
    target: Config, guardian: Guardian
) -> None:
    settings, probe = parts(target)
    hurried = settings.model_copy(update={"wait_max_s": 1.0})
    with synthetic(hurried, probe) as sender:
        trip = travel(sender, probed_channels(target), probe.budget_s)
    assert all(arrival.fired for arrival in trip.arrivals.values())
    assert trip.too_long
    assert "group_interval of the route to readiness-probe is 2s" in trip.too_long.message

    with pytest.raises(NoData, match="group_interval"):
        silence_round_trip(hurried, probe, probed_channels(target))
    plan = CanaryPlan.of(target)
    soon = plan.prometheus.model_copy(update={"wait_max_s": 1.0})
    with pytest.raises(NoData, match="would have to wait for"):
        walk(replace(plan, prometheus=soon), guardian)


def test_a_page_reaches_the_real_receivers_of_those_who_consented(target: Config) -> None:
    assert target.alertmanager
    assert target.alerting
    channels = target.alerting.channels
    plan = planned(target.alertmanager, target.alerting, channels["pagerduty"])
    assert plan
    assert plan.name == "critical"
    assert not is_reached(plan, channels["pagerduty"])

    outcome = send(plan)
    for name, receiver in (("pagerduty", "pagerduty"), ("slack", "slack"), ("email", "email")):
        seen = outcome(channels[name])
        assert (seen.receivers, seen.failed) == ((receiver,), "")
        assert seen.after_s is not None
    assert failures(plan, channels["pagerduty"]) == ""

    silent = channels["slack"].model_copy(update={"test_page": False})
    policy = target.alerting.model_copy(update={"channels": {**channels, "slack": silent}})
    with pytest.raises(SafetyRefusal, match=r"would also notify slack/slack\[0\]"):
        send(replace(plan, policy=policy))

    judge = suite("alerting.test_delivery")._judge_page
    assert dead_ends(plan, channels["pagerduty"]) == ""
    with pytest.raises(NoData, match="the real receivers of slack are not proven") as refused:
        judge(silent, target, lambda _: outcome, Evidence())
    assert "set `test_page = true` there" in (refused.value.remedy or "")
    evidence = Evidence()
    judge(channels["slack"], target, lambda _: outcome, evidence)
    assert misses(evidence) == ""


def test_an_address_that_knows_no_such_path_is_told_without_its_secrets(
    system: ReferenceSystem, target: Config
) -> None:
    inbox = system.inbox_url or ""

    def edit(document: Document) -> None:
        receiver = next(r for r in document["receivers"] if r["name"] == "pagerduty")
        receiver["pagerduty_configs"][0]["url"] = f"{inbox}/?key=secret"

    assert target.alertmanager
    assert target.alerting
    channel = target.alerting.channels["pagerduty"]
    plan = planned(target.alertmanager, target.alerting, channel)
    assert plan
    with system.levers.edit_alertmanager(edit):
        host = inbox.removeprefix("http://")
        assert dead_ends(plan, channel) == f"pagerduty/pagerduty[0] at {host} answers 404"


def test_a_killed_run_leaves_an_alert_that_ends_by_itself(
    system: ReferenceSystem, target: Config
) -> None:
    settings, probe = parts(target)
    script = """
import os, signal, sys
from pathlib import Path
from readiness.config.loading import load
from readiness.areas.alerting.probes.pages import dead_ends, failures, is_reached, planned, send
from readiness.areas.alerting.probes.synthetic import synthetic
config = load(Path(sys.argv[1]), os.environ).config
with synthetic(config.alertmanager, config.alerting.probe) as sender:
    sender.send("rdkilled")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run(
        [sys.executable, "-c", script, system.config_path],
        env=os.environ | system.environ, check=False, timeout=60,
    )  # fmt: skip
    with Peer(settings.urls[0], settings) as peer:
        (alert,) = peer.alerts(f'{probe.label}="rdkilled"')
    left_s = (alert.ends_at - datetime.now(UTC)).total_seconds()
    assert left_s <= probe.budget_s + 60


def test_peer_that_is_down_is_an_error(system: ReferenceSystem, target: Config) -> None:
    settings, probe = parts(target)
    with (
        system.levers.stop_program("alertmanager_2"),
        synthetic(settings, probe) as sender,
        pytest.raises(Unreachable, match="refused"),
    ):
        travel(sender, probed_channels(target), probe.budget_s)


def test_prometheus_that_is_down_is_an_error(
    system: ReferenceSystem, target: Config, guardian: Guardian
) -> None:
    plan = CanaryPlan.of(target)
    with system.levers.stop_program("prometheus"), pytest.raises(Unreachable, match="refused"):
        walk(plan, guardian)


def test_a_channel_that_cannot_be_read_is_an_error_of_that_channel(
    system: ReferenceSystem, target: Config
) -> None:
    settings, probe = parts(target)
    with system.levers.stop_program("inbox"), synthetic(settings, probe) as sender:
        trip = travel(sender, probed_channels(target), 0.2)
    assert trip.arrivals
    for arrival in trip.arrivals.values():
        assert isinstance(arrival.problem, CouldNotMeasure)
        assert not arrival.fired


def test_a_drill_that_is_not_called_is_an_error(system: ReferenceSystem, target: Config) -> None:
    plan = DrillPlan.of(target)

    def elsewhere(document: Document) -> None:
        drill = next(r for r in document["receivers"] if r["name"] == "readiness-drill")
        drill["webhook_configs"][0]["url"] = "http://127.0.0.1:9/"

    with (
        system.levers.edit_alertmanager(elsewhere),
        pytest.raises(NoData, match="was not called within"),
    ):
        answered(plan, lambda _: (OK, 0.0), bool, within_s=3)


def test_channel_without_beats_has_no_beat(system: ReferenceSystem, target: Config) -> None:
    assert target.alerting
    channel = target.alerting.channels["watchdog"]
    assert next_beat(channel, "NoSuchAlert", 0.5).waited_s is None
    with system.levers.stop_program("inbox"), pytest.raises(Unreachable, match="refused"):
        next_beat(channel, "Watchdog", 0.5)
