"""What must turn red what is seen from outside: addresses, private pages, dashboards, errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_NOBODY: Final = "http://127.0.0.1:9"
_DASHBOARD: Final = "monitoring.dashboard-panels[shop]"
_SOURCES: Final = "monitoring.grafana-datasources[grafana]"
_SITE: Final = '{instance=~"https://.*"}'


@fault(
    turns_red={"monitoring.blackbox-probes[site]"},
    story="The shop's front door answers 503, while the service behind it is well",
)
@contextmanager
def front_door_is_shut(system: "ReferenceSystem") -> Iterator[None]:
    """What only somebody outside notices."""
    with system.levers.told("site", status=503):
        system.levers.await_series(f"probe_success{_SITE} == 0")
        yield
    system.levers.await_series(f"probe_success{_SITE} == 1")


@fault(
    turns_red={"monitoring.certificate-expiry[site]"},
    story="The certificate ends in three days, and everything works",
)
@contextmanager
def certificate_ends_soon(system: "ReferenceSystem") -> Iterator[None]:
    """What a renewal leaves that has failed for weeks."""
    days = f"(probe_ssl_earliest_cert_expiry{_SITE} - time()) / 86400"
    with system.levers.told("site", days=3):
        system.levers.await_series(f"{days} < 4")
        yield
    system.levers.await_series(f"{days} > 300")


@fault(
    turns_red={"monitoring.private-pages[orders]"},
    story="The administrator's pages are open to everybody",
)
@contextmanager
def admin_pages_are_open(system: "ReferenceSystem") -> Iterator[None]:
    """What a switch for a demonstration does, that nobody turned back."""
    with system.levers.behave(admin_is_open=True):
        yield


@fault(
    turns_red={"monitoring.error-tracker[error-tracker]"},
    story="The error tracker takes every event, and keeps none",
)
@contextmanager
def errors_are_lost(system: "ReferenceSystem") -> Iterator[None]:
    """What a full quota does, or a worker that stands: the answer is 200."""
    with system.levers.told("error_tracker", loses=True):
        yield


@fault(
    turns_red={_SOURCES},
    story="A data source of Grafana leads to an address where nobody answers",
)
@contextmanager
def data_source_is_away(system: "ReferenceSystem") -> Iterator[None]:
    """What moving a server does to whatever was not told."""
    with system.levers.told("grafana", history=_NOBODY):
        yield


@fault(
    turns_red={_SOURCES, _DASHBOARD},
    story="The data source of the dashboard leads to an address where nobody answers",
)
@contextmanager
def dashboard_has_no_source(system: "ReferenceSystem") -> Iterator[None]:
    """The same, where a dashboard asks it: each of its panels is empty."""
    with system.levers.told("grafana", prometheus=_NOBODY):
        yield


@fault(
    turns_red={"monitoring.dashboard-panels[shop-file]"},
    story="A panel asks for a metric that has another name now",
)
@contextmanager
def panel_asks_for_an_old_name(system: "ReferenceSystem") -> Iterator[None]:
    """What a new major version of an exporter leaves behind, in a row that is folded."""

    def rename(document: Any) -> None:
        row = next(panel for panel in document["panels"] if panel["type"] == "row")
        query = row["panels"][0]["targets"][0]
        query["expr"] = query["expr"].replace("pg_up", "postgres_up")

    with system.levers.edit_dashboard(rename):
        yield
