"""What a service on Render runs, how it scales, and where its logs and metrics go.

api-docs.render.com: "Retrieve service", "List deploys", "Retrieve log stream", "Retrieve metrics
stream".
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import AwareDatetime, TypeAdapter

from readiness.areas.platforms.config import Render
from readiness.areas.platforms.probes.live import ENABLED, Camel, Live, Sent, api_of
from readiness.lib.text import clean
from readiness.lib.vendor import Client

_SCOPES: Final = "use an API key of a member of the workspace that has the service"
_LIMIT: Final = 20
_LIVE: Final = "live"
_WEB: Final = "web_service"


class _Autoscaling(Camel):
    enabled: bool
    min: int
    max: int


class _Maintenance(Camel):
    enabled: bool = False


class _Details(Camel):
    health_check_path: str | None = None
    num_instances: int | None = None
    autoscaling: _Autoscaling | None = None
    maintenance_mode: _Maintenance | None = None


class _Service(Camel):
    id: str
    type: str
    owner_id: str
    suspended: str
    service_details: _Details


class _Commit(Camel):
    id: str | None = None


class _Image(Camel):
    ref: str | None = None
    sha: str | None = None


class _Deploy(Camel):
    id: str
    status: str
    commit: _Commit | None = None
    image: _Image | None = None
    finished_at: AwareDatetime | None = None
    created_at: AwareDatetime | None = None


class _Entry(Camel):
    cursor: str | None = None
    deploy: _Deploy


class _LogStream(Camel):
    endpoint: str | None = None


class _OwnLogStream(_LogStream):
    setting: str | None = None


class _MetricsStream(Camel):
    url: str | None = None


_SERVICE: Final = TypeAdapter(_Service)
_DEPLOYS: Final = TypeAdapter(tuple[_Entry, ...])
_LOGS: Final = TypeAdapter(_LogStream)
_OWN_LOGS: Final = TypeAdapter(_OwnLogStream)
_METRICS: Final = TypeAdapter(_MetricsStream)


@dataclass(frozen=True, slots=True)
class Running:
    """A service.

    Attributes:
        live: the deploy that serves.
        health_path: the path of its health check; empty if none is set, None if a service of its
            type cannot have one.
        least: instances that always run; None if its type has none.
        most: instances up to which it scales.
    """

    live: Live
    health_path: str | None
    least: int | None
    most: int | None


def running_on(render: Render) -> Running:
    """The service, and its live deploy.

    Raises:
        CouldNotMeasure: and its kinds.
    """
    path = _path(render)
    with _client(render) as client:
        service = client.read(path, _SERVICE)
        deploy, newest = _live(client, f"{path}/deploys")
    details, problems = service.service_details, []
    if service.suspended != "not_suspended":
        problems.append("it is suspended")
    if details.maintenance_mode and details.maintenance_mode.enabled:
        problems.append("it is in maintenance mode")
    if deploy is None:
        problems.append(f"no deploy is live; the newest is {newest}")
    scales = details.autoscaling if details.autoscaling and details.autoscaling.enabled else None
    image = deploy.image if deploy else None
    return Running(
        Live(
            state="; ".join(problems) or _LIVE,
            problems=tuple(problems),
            commit=(deploy.commit.id or "").lower() if deploy and deploy.commit else "",
            image=(image.ref or "") if image else "",
            digest=(image.sha or "") if image else "",
            since=_since(deploy),
            source=f"GET {render.address}{path}, and /deploys",
        ),
        health_path=(details.health_check_path or "") if service.type == _WEB else None,
        least=scales.min if scales else details.num_instances,
        most=scales.max if scales else details.num_instances,
    )


def _live(client: Client, path: str) -> tuple[_Deploy | None, str]:
    """The deploy that serves, and the state of the newest one."""
    newest = ""
    for page in client.by_cursor(f"{path}?limit={_LIMIT}", _DEPLOYS, _cursor):
        for entry in page:
            newest = newest or clean(entry.deploy.status, 40)
            if entry.deploy.status == _LIVE:
                return entry.deploy, newest
    return None, newest or "none"


def _cursor(page: tuple[_Entry, ...]) -> str:
    return (page[-1].cursor or "") if page else ""


def _since(deploy: _Deploy | None) -> datetime | None:
    return (deploy.finished_at or deploy.created_at) if deploy else None


def streamed_from(render: Render) -> Sent:
    """What the streams of the workspace take from the service."""
    with _client(render) as client:
        owner = client.read(_path(render), _SERVICE).owner_id
        logs = client.find(f"/logs/streams/owner/{owner}", _LOGS)
        own = client.find(f"/logs/streams/resource/{render.service}", _OWN_LOGS)
        metrics = client.find(f"/metrics-stream/{owner}", _METRICS)
    found: dict[str, str] = {}
    if own and own.setting == "drop":
        found["logs"] = "dropped for this service"
    elif (own and own.endpoint) or (logs and logs.endpoint):
        found["logs"] = ENABLED
    if metrics and metrics.url:
        found["metrics"] = ENABLED
    return Sent(found, f"GET {render.address}/logs/streams and /metrics-stream")


def _client(render: Render) -> Client:
    return Client(api_of(render, render.service, "`service` and `url`", _SCOPES))


def _path(render: Render) -> str:
    return f"/services/{render.service}"
