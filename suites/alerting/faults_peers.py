"""What must turn the checks of Alertmanager's peers and silences red, each taken back."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_CONFIG: Final = {"alerting.alertmanager-config[alertmanager]"}
_CLUSTER: Final = {"alerting.alertmanager-cluster[alertmanager]"}
# With one peer named, the other one is a stranger to Prometheus's list, and there is no failover.
_ONE_PEER: Final = {
    "alerting.alertmanagers-reachable[prometheus]",
    "alerting.failover[first-peer]",
}
_SILENCES: Final = {"alerting.silences[alertmanager]"}
_SECOND: Final = "alertmanager_2"
Document = dict[str, Any]


@fault(turns_red=_SILENCES, story="a silence covers all that is critical, for two weeks")
@contextmanager
def silence_covers_pages(system: "ReferenceSystem") -> Iterator[None]:
    """What is left of last night's deployment; synthetic alerts are left out, to be exact."""
    with system.levers.silenced({"severity": "critical", "readiness_probe": ""}, days=14):
        yield


@fault(turns_red=_SILENCES, story="a silence covers one critical rule by its name")
@contextmanager
def silence_covers_a_rule(system: "ReferenceSystem") -> Iterator[None]:
    """What somebody makes who cannot bear it any more."""
    with system.levers.silenced({"alertname": "MemoryCritical"}, days=365):
        yield


@fault(turns_red=_CONFIG, story="the second Alertmanager runs another configuration")
@contextmanager
def peers_run_different_configurations(system: "ReferenceSystem") -> Iterator[None]:
    """What a deployment does that reaches one machine of two."""

    def edit(config: Document) -> None:
        config["route"]["group_interval"] = "6s"

    with system.levers.edit_alertmanager(edit, peers=[_SECOND]):
        yield


@fault(turns_red=_CONFIG, story="the configuration on disk is broken, and the old one runs on")
@contextmanager
def alertmanager_refuses_its_configuration(system: "ReferenceSystem") -> Iterator[None]:
    """What a reload answers that nobody reads."""

    def edit(config: Document) -> None:
        config["route"]["receiver"] = "on-cal"

    with system.levers.edit_alertmanager(edit, loads=False):
        yield


@fault(
    turns_red=_CLUSTER | _ONE_PEER,
    story="a peer is in the cluster of which readiness.toml knows nothing",
)
@contextmanager
def second_peer_is_not_named(system: "ReferenceSystem") -> Iterator[None]:
    """It waits for its turn and sends all the same; what is measured at the first one is half."""

    def edit(text: str) -> str:
        return re.sub(r'(?m)^(\[alertmanager\]\nurls = \["[^"]+"), "[^"]+"\]', r"\1]", text)

    with system.levers.edit_config(edit):
        yield


@fault(turns_red=_CLUSTER, story="a third peer has joined the cluster, and nobody knows of it")
@contextmanager
def third_peer_has_joined(system: "ReferenceSystem") -> Iterator[None]:
    """What is left of a migration: it is not handed any alert, and is one more to wait for."""
    with system.levers.third_peer():
        yield
