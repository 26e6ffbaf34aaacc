"""What must turn the checks of Prometheus itself red: its configuration, its memory, its clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem


@fault(
    turns_red={"monitoring.prometheus-config[prometheus]"},
    story="Prometheus has refused its new configuration, and runs the old one",
)
@contextmanager
def prometheus_refuses_its_configuration(system: "ReferenceSystem") -> Iterator[None]:
    """What a mistake does that nobody had checked."""

    def spoil(document: Any) -> None:
        document["scrape_config"] = []

    with system.levers.edit_prometheus(spoil, loads=False):
        yield


@fault(
    turns_red={"monitoring.retention[prometheus]"},
    story="Prometheus was told to keep two hours",
)
@contextmanager
def history_is_short(system: "ReferenceSystem") -> Iterator[None]:
    """What is done when a disk runs full, and stays."""
    flag = "--storage.tsdb.retention.time="
    with system.levers.with_argument("prometheus", f"{flag}1d", f"{flag}2h"):
        _await_all_up(system)
        yield
    _await_all_up(system)


def _await_all_up(system: "ReferenceSystem") -> None:
    """Wait until Prometheus, just restarted, scrapes and evaluates as before."""
    system.levers.await_targets(
        lambda found: bool(found) and all(target["health"] == "up" for target in found)
    )
    system.levers.await_answer(
        "/api/v1/rules",
        lambda found: all(
            rule["health"] == "ok" for group in found["data"]["groups"] for rule in group["rules"]
        ),
    )


@fault(
    turns_red={"monitoring.clock-skew[prometheus]"},
    story="Prometheus's clock is 37 s ahead",
)
@contextmanager
def clock_is_ahead(system: "ReferenceSystem") -> Iterator[None]:
    """What a virtual machine does that slept, and whose clock nobody keeps."""
    with system.levers.prometheus_clock_ahead(seconds=37):
        yield
