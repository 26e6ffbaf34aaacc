"""Faults seen from outside: addresses, private pages, dashboards, the error tracker."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final

from readiness.model.fault import Fault, fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_NOWHERE: Final = "http://127.0.0.1:9"
_PROBE: Final = "monitoring.blackbox-probes[site]"
_TRACKER: Final = "monitoring.error-tracker[error-tracker]"
_DASHBOARD: Final = "monitoring.dashboard-panels[shop]"
_FILE: Final = "monitoring.dashboard-panels[shop-file]"
_SOURCES: Final = "monitoring.grafana-datasources[grafana]"
_SITE: Final = '{instance=~"https://.*"}'


def _server_fault(
    server: str, name: str, story: str, misses: dict[str, set[str]], **broken: object
) -> Fault:
    """A fault that one of our own servers is told to have."""

    def apply(system: "ReferenceSystem") -> AbstractContextManager[None]:
        return system.levers.server_fault(server, **broken)

    apply.__name__ = name
    return fault(story=story, misses=misses)(apply)


@fault(
    misses={_PROBE: {"success"}},
    story="The shop's website answers 503, while the service behind it is well",
)
@contextmanager
def front_door_is_shut(system: "ReferenceSystem") -> Iterator[None]:
    """Only a probe from outside notices."""
    with system.levers.server_fault("site", status=503):
        system.levers.await_series(f"probe_success{_SITE} == 0")
        yield
    system.levers.await_series(f"probe_success{_SITE} == 1")


@fault(
    misses={_PROBE: {"certificate"}},
    story="The certificate ends in three days: its renewal has failed for weeks",
)
@contextmanager
def certificate_ends_soon(system: "ReferenceSystem") -> Iterator[None]:
    """Everything works until then."""
    days = f"(probe_ssl_earliest_cert_expiry{_SITE} - time()) / 86400"
    with system.levers.server_fault("site", days=3):
        system.levers.await_series(f"{days} < 4")
        yield
    system.levers.await_series(f"{days} > 300")


@fault(
    misses={"monitoring.private-pages[orders]": {"refused"}},
    story="The administrator's pages are open to everybody since a demonstration",
)
@contextmanager
def admin_pages_are_open(system: "ReferenceSystem") -> Iterator[None]:
    """No token is needed any more."""
    with system.levers.behave(admin_is_open=True):
        yield


errors_are_refused = _server_fault(
    "error_tracker", "errors_are_refused",
    "The error tracker answers 429 to every event: its quota is used up",
    {_TRACKER: {"accepted"}}, status=429,
)  # fmt: skip
errors_are_lost = _server_fault(
    "error_tracker", "errors_are_lost",
    "The error tracker accepts every event, and keeps none: its worker is stopped",
    {_TRACKER: {"readable"}}, loses=True,
)  # fmt: skip
data_source_is_away = _server_fault(
    "grafana", "data_source_is_away",
    "A data source of Grafana has the address of a server that was moved",
    {_SOURCES: {"health"}}, history=_NOWHERE,
)  # fmt: skip
dashboard_has_no_source = _server_fault(
    "grafana", "dashboard_has_no_source",
    "The data source of the dashboard has the address of a server that was moved",
    {_SOURCES: {"health"}, _DASHBOARD: {"panel-data"}}, prometheus=_NOWHERE,
)  # fmt: skip


@fault(
    misses={_FILE: {"panel-data"}},
    story="A panel queries a metric that a new version of its exporter has renamed",
)
@contextmanager
def panel_asks_for_an_old_name(system: "ReferenceSystem") -> Iterator[None]:
    """In a row that is folded."""

    def rename(document: Any) -> None:
        row = next(panel for panel in document["panels"] if panel["type"] == "row")
        query = row["panels"][0]["targets"][0]
        query["expr"] = query["expr"].replace("pg_up", "postgres_up")

    with system.levers.edit_dashboard(rename):
        yield


@fault(
    misses={_FILE: {"panel-count"}},
    story="Half of the panels of the dashboard were deleted",
)
@contextmanager
def panels_are_deleted(system: "ReferenceSystem") -> Iterator[None]:
    """What is left shows data."""

    def delete(document: Any) -> None:
        document["panels"] = document["panels"][:6]

    with system.levers.edit_dashboard(delete):
        yield
