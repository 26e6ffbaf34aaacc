"""Whether probes and hooks do what they are for, by the defaults of Kubernetes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from readiness.areas.manifests.workloads import Side, Workload, services_of
from readiness.lib.kubernetes import pods
from readiness.lib.kubernetes.objects import Container, Service

_GRACE_S: Final = 30
_FAILURES: Final = 3
_PERIOD_S: Final = 10
_LOCAL: Final = re.compile(
    r"localhost|127\.[\d.]+|0\.0\.0\.0|::1|\[::1?\]|\$[({]?\w+[)}]?|/.*|", re.IGNORECASE
)
_URL: Final = re.compile(
    r"[a-z][a-z0-9+]*://(?:[^\s/@\"']*@)?\[?(?P<host>[0-9a-f:]*(?=\])|[^\s/:\]\"']+)"
)
# Clients that take the host of a server as `-h HOST`, `--host HOST` or `--host=HOST`.
_CLIENTS: Final = {"pg_isready", "psql", "redis-cli", "mysqladmin", "mysql", "mariadb", "mongosh"}
_HOST: Final = re.compile(r"(?:-h[ =]?|--host[ =])(?P<host>[^\s\"'-][^\s\"']*)")
_NETCAT: Final = re.compile(r"\b(?:nc|ncat|netcat)\s+(?:-\w+\s+)*(?P<host>[A-Za-z][\w.-]*)\s+\d+")
_SLEEP: Final = re.compile(r"\bsleep[ \"',]+(?P<seconds>\d+(?:\.\d+)?)(?P<unit>[smh]?)\b")
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}
_ASKED: Final = ("exec", "httpGet", "tcpSocket", "grpc")
_PROBES: Final = ("readiness", "liveness", "startup")

_Probe = Mapping[str, Any]


def _probes(container: Container) -> Iterator[tuple[str, _Probe]]:
    probes = (container.readiness_probe, container.liveness_probe, container.startup_probe)
    yield from ((kind, one) for kind, one in zip(_PROBES, probes, strict=True) if one)


def _each(workloads: Iterable[Workload]) -> Iterator[tuple[str, Container]]:
    for one in workloads:
        if not one.ends:
            yield from ((f"container {c.name} of {one}", c) for c in one.staying)


def unready(side: Side) -> list[str]:
    """Containers that get requests, and have no readiness probe that can fail."""
    services = side.of(Service)
    return [
        f"container {name} of {one}"
        for one in side.workloads
        if one.source is not None and not one.is_covered
        if (sending := services_of(one, services))
        for name in pods.unprobed(one.source, sending)
    ]


def unfailing(workloads: Iterable[Workload]) -> list[str]:
    """Liveness and startup probes that succeed whatever happens."""
    return [
        f"{where}: {kind}"
        for where, container in _each(workloads)
        for kind, probe in _probes(container)
        if kind != "readiness" and not pods.can_fail(probe)
    ]


def without_port(workloads: Iterable[Workload]) -> list[str]:
    """Probes of a named port that the container does not declare: each of them fails."""
    return [
        f"{where}: {kind} (port {port})"
        for where, container in _each(workloads)
        for kind, probe in _probes(container)
        if pods.is_unknown(port := pods.port_of(probe), container)
    ]


def identical(workloads: Iterable[Workload]) -> list[str]:
    """Containers that are restarted as soon as they are not ready: both probes ask the same.

    With a higher failure threshold of liveness that is a common pattern
    (`kubernetes.io/docs/concepts/workloads/pods/probes`), and an open port says nothing of others.
    """
    return [
        where
        for where, container in _each(workloads)
        if container.liveness_probe
        and container.readiness_probe
        and not container.liveness_probe.get("tcpSocket")
        and _asked(container.liveness_probe) == _asked(container.readiness_probe)
        and _fails_after_s(container.liveness_probe) <= _fails_after_s(container.readiness_probe)
    ]


def _fails_after_s(probe: _Probe) -> int:
    """Seconds of failures after which a probe acts; the defaults are three of 10 s."""
    return _count(probe, "failureThreshold", _FAILURES) * _count(probe, "periodSeconds", _PERIOD_S)


def _count(probe: _Probe, key: str, default: int) -> int:
    found = probe.get(key)
    return found if isinstance(found, int) and found else default


def _asked(probe: _Probe) -> list[object]:
    """What a probe asks, without how often."""
    return [_plain(probe.get(handler)) for handler in _ASKED]


def _plain(handler: object) -> object:
    """`path: /` and `scheme: HTTP` are defaults."""
    if not isinstance(handler, Mapping):
        return handler
    defaults = {"path": "/", "scheme": "HTTP", "host": ""}
    return {**defaults, **{key: str(value) for key, value in handler.items()}}


def on_others(workloads: Iterable[Workload]) -> list[str]:
    """Liveness probes that ask another host: when it is down, every pod is restarted."""
    return [
        f"{where} asks {host}"
        for where, container in _each(workloads)
        if container.liveness_probe and (host := _other_host(container.liveness_probe))
    ]


def _other_host(probe: _Probe) -> str:
    for handler in ("httpGet", "tcpSocket"):
        host = str(pods.handler_of(probe, handler).get("host") or "")
        if not _LOCAL.fullmatch(host):
            return host
    script = " ".join(pods.command_of(probe))
    hosts = [found["host"] for found in _URL.finditer(script)]
    if any(client in script for client in _CLIENTS):
        hosts += [found["host"] for found in _HOST.finditer(script)]
    hosts += [found["host"] for found in _NETCAT.finditer(script)]
    return next((host for host in hosts if not _LOCAL.fullmatch(host)), "")


def left_after_hook(workload: Workload) -> tuple[float, str] | None:
    """The fewest seconds between the end of a preStop hook and SIGKILL, and the container.

    The grace period, 30 s by default, begins with the hook. None if no container has a hook whose
    duration can be told.
    """
    grace = workload.pod.termination_grace_period_seconds
    whole = _GRACE_S if grace is None else grace
    waits = [(_waits(one), one.name) for one in workload.staying]
    known = [(whole - seconds, name) for seconds, name in waits if seconds is not None]
    return min(known, default=None)


def _waits(container: Container) -> float | None:
    hook = container.lifecycle.pre_stop if container.lifecycle else None
    if hook is None:
        return None
    if hook.sleep:
        return hook.sleep.seconds
    script = " ".join(pods.command_of({"exec": hook.exec}))
    sleeps = list(_SLEEP.finditer(script))
    if not sleeps:
        return None
    return sum(float(one["seconds"]) * _UNITS[one["unit"]] for one in sleeps)
