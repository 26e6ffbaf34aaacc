"""M18: an accepted alert that does not arrive. No counter of Alertmanager shows it."""

import os
from collections.abc import Iterator

import pytest

from readiness.areas.alerting.config import probed_channels
from readiness.areas.alerting.probes.synthetic import Trip, synthetic, travel
from readiness.config.loading import load
from readiness.config.models import Config
from readiness.lib.alertmanager import Peer
from readiness.reference.system import ReferenceSystem
from readiness.servers.files import Document


@pytest.fixture(scope="module")
def system() -> Iterator[ReferenceSystem]:
    with ReferenceSystem.start(provider="local", parts={"monitoring"}) as started:
        if "alertmanager" in started.absent:
            pytest.skip(started.absent["alertmanager"])
        yield started


@pytest.fixture
def target(system: ReferenceSystem) -> Config:
    return load(system.config_path, os.environ | system.environ).config


def trip(target: Config) -> Trip:
    assert target.alertmanager
    assert target.alerting
    assert target.alerting.probe
    with synthetic(target.alertmanager, target.alerting.probe) as sender:
        return travel(sender, probed_channels(target), 1.0)


def failures(target: Config) -> float:
    """What Alertmanager counts as failed, at all peers."""
    assert target.alertmanager
    total = 0.0
    for url in target.alertmanager.urls:
        with Peer(url, target.alertmanager) as peer:
            found = peer.metrics().samples
            total += sum(v for s, v in found.items() if "requests_failed_total" in s.name)
    return total


@pytest.mark.parametrize("channel", ["email", "slack"])
def test_m18_a_lost_notification_is_found(
    system: ReferenceSystem, target: Config, channel: str
) -> None:
    before = failures(target)
    with system.levers.inbox_fault(channel, loses=True):
        found = trip(target)
    assert found.arrivals[channel].fired == ()
    assert "calls it active" in found.diagnosis
    assert failures(target) == before, "no counter of failures moved"
    others = found.arrivals.keys() - {channel}
    assert others
    assert all(found.arrivals[name].fired for name in others)


def test_m18_a_muted_notification_is_found(system: ReferenceSystem, target: Config) -> None:
    def mute(document: Document) -> None:
        document["time_intervals"] = [{"name": "always", "time_intervals": [{}]}]
        document["route"]["routes"][1]["mute_time_intervals"] = ["always"]

    before = failures(target)
    with system.levers.edit_alertmanager(mute):
        found = trip(target)
    assert found.arrivals
    assert all(arrival.fired == () for arrival in found.arrivals.values())
    assert "calls it active" in found.diagnosis
    assert failures(target) == before, "no counter of failures moved"
