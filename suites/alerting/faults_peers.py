"""What must turn the checks of Alertmanager's peers and silences red, each taken back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from readiness.faults import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_CONFIG: Final = {"alerting.alertmanager-config[alertmanager]"}
_CLUSTER: Final = {"alerting.alertmanager-cluster[alertmanager]"}
_SILENCES: Final = {"alerting.silences[alertmanager]"}
_SECOND: Final = "alertmanager_2"
Document = dict[str, Any]


@fault(turns_red=_SILENCES, story="a silence covers all that is critical, for two weeks")
@contextmanager
def silence_covers_pages(system: "ReferenceSystem") -> Iterator[None]:
    """What is left of last night's deployment."""
    with system.levers.silenced({"severity": "critical"}, days=14):
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
def configuration_is_refused(system: "ReferenceSystem") -> Iterator[None]:
    """What a reload answers that nobody reads."""

    def edit(config: Document) -> None:
        config["route"]["receiver"] = "on-cal"

    with system.levers.edit_alertmanager(edit, loads=False):
        yield


@fault(turns_red=_CLUSTER, story="the second Alertmanager is stopped")
@contextmanager
def second_alertmanager_is_stopped(system: "ReferenceSystem") -> Iterator[None]:
    """All goes well without it, until the first one fails."""
    with system.levers.stop_program(_SECOND):
        yield
