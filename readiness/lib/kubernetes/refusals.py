"""What the API server refuses in an object that has the right fields.

The rules are those of `pkg/apis/{core,apps,autoscaling,policy}/validation/validation.go`.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from readiness.lib.kubernetes.definitions import Tables
from readiness.lib.kubernetes.fields import Mistake, mistakes
from readiness.lib.kubernetes.inventory import Document
from readiness.lib.kubernetes.parts import amount, is_quantity
from readiness.lib.text import clean

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_PORT_NAME: Final = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")
_PERCENT: Final = re.compile(r"[0-9]+%")
_LONGEST: Final = 253
_DEADLINE_S: Final = 600  # the default of progressDeadlineSeconds
_PORTS: Final = range(1, 65536)
_WHOLE_PERCENT: Final = 100
_TEMPLATES: Final = {"Deployment", "StatefulSet", "Rollout"}
_KEPT: Final = 10_000
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOKS: Final = ("exec", "httpGet", "tcpSocket", "sleep")
_AT_LEAST_ONE: Final = ("timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_METRICS: Final = {"Resource": "resource", "Pods": "pods", "Object": "object",
                   "External": "external", "ContainerResource": "containerResource"}  # fmt: skip
# Field -> the words that it takes.
_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "imagePullPolicy": frozenset({"Always", "IfNotPresent", "Never"}),
    "protocol": frozenset({"TCP", "UDP", "SCTP"}),
    "podManagementPolicy": frozenset({"OrderedReady", "Parallel"}),
    "whenUnsatisfiable": frozenset({"DoNotSchedule", "ScheduleAnyway"}),
    "terminationMessagePolicy": frozenset({"File", "FallbackToLogsOnError"}),
    "dnsPolicy": frozenset({"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"}),
}
_TYPES: Final = {"Deployment": {"RollingUpdate", "Recreate"},
                 "StatefulSet": {"RollingUpdate", "OnDelete"}}  # fmt: skip
_SETS: Final = {"In", "NotIn"}

_Map = Mapping[str, Any]


@lru_cache(maxsize=_KEPT)
def mistakes_in(document: Document, tables: Tables | None = None) -> tuple[Mistake, ...]:
    """The mistakes of its fields; each document is looked at once, for however many workloads."""
    return tuple(mistakes(document.api_version, document.kind, document.body, tables))


@lru_cache(maxsize=_KEPT)
def refusals(document: Document) -> tuple[str, ...]:
    """Why the API server would refuse an object, each with its place."""
    body, spec = document.body, _map(document.body.get("spec"))
    found = list(_metadata(document))
    if document.kind in _TEMPLATES:
        found += _workload(document.kind, spec)
    elif document.kind in _OTHERS:
        found += _OTHERS[document.kind](spec)
    return (*found, *_words(body, ""))


def _map(value: object) -> _Map:
    return value if isinstance(value, Mapping) else {}


def _maps(value: object) -> list[_Map]:
    return [_map(one) for one in value] if isinstance(value, list) else []


def _metadata(document: Document) -> Iterator[str]:
    metadata = _map(document.body.get("metadata"))
    if not document.name and not metadata.get("generateName"):
        yield "metadata.name is required"
    elif document.name and not _is_name(document.kind, document.name):
        yield f"metadata.name {_said(document.name)} is not a valid name"
    if document.namespace and not _LABEL.fullmatch(document.namespace):
        yield f"metadata.namespace {_said(document.namespace)} is not a valid name"
    yield from _labels(_map(metadata.get("labels")), "metadata.labels")


def _is_name(kind: str, name: str) -> bool:
    if kind == "Service":
        return bool(re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name))
    return len(name) <= _LONGEST and bool(_SUBDOMAIN.fullmatch(name))


def _labels(labels: _Map, place: str) -> Iterator[str]:
    for key, value in labels.items():
        prefix, slash, name = str(key).rpartition("/")
        good = bool(name) and bool(_VALUE.fullmatch(name))
        if not good or (slash and not _SUBDOMAIN.fullmatch(prefix)):
            yield f"{place} has the key {_said(key)}, which is not valid"
        if isinstance(value, str) and not _VALUE.fullmatch(value):
            yield (
                f"{place}.{_plain(key)} has a value that is not valid: at most 63 letters, digits,"
                " `-`, `_` and `.`"
            )


def _plain(text: object) -> str:
    return clean(str(text), 60)


def _said(text: object) -> str:
    return repr(_plain(text))


def _workload(kind: str, spec: _Map) -> Iterator[str]:
    if kind == "Rollout" and spec.get("workloadRef"):
        return
    template = _map(spec.get("template"))
    if not template:
        yield "spec.template is required"
        return
    labels = _map(_map(template.get("metadata")).get("labels"))
    yield from _labels(labels, "spec.template.metadata.labels")
    yield from _selector(_map(spec.get("selector")), labels)
    yield from _strategy(kind, spec)
    ready_s = spec.get("minReadySeconds") or 0
    deadline_s = spec.get("progressDeadlineSeconds") or _DEADLINE_S
    if kind == "Deployment" and isinstance(ready_s, int) and deadline_s <= ready_s:
        yield f"spec.progressDeadlineSeconds {deadline_s} is not above minReadySeconds, {ready_s}"
    pod = _map(template.get("spec"))
    claims = [
        _map(one.get("metadata")).get("name") for one in _maps(spec.get("volumeClaimTemplates"))
    ]
    yield from _pod(pod, {str(name) for name in claims if name})


def _selector(selector: _Map, labels: _Map) -> Iterator[str]:
    wanted = _map(selector.get("matchLabels"))
    expressions = _maps(selector.get("matchExpressions"))
    if not wanted and not expressions:
        yield "spec.selector is required"
    for key, value in wanted.items():
        if labels.get(key) != value:
            yield f"spec.selector does not match the labels of the pod template: {_plain(key)}"
    for one in expressions:
        name, values = str(one.get("key")), one.get("values") or []
        held = {
            "In": labels.get(name) in values,
            "NotIn": labels.get(name) not in values,
            "Exists": name in labels,
            "DoesNotExist": name not in labels,
        }.get(str(one.get("operator")))
        if held is None:
            operator = _said(one.get("operator"))
            yield f"spec.selector has the operator {operator}, which does not exist"
        elif not held:
            yield f"spec.selector does not match the labels of the pod template: {_plain(name)}"
        if one.get("operator") in _SETS and not values:
            yield f"spec.selector has the operator {one.get('operator')} without values"


def _strategy(kind: str, spec: _Map) -> Iterator[str]:
    key = "updateStrategy" if kind == "StatefulSet" else "strategy"
    strategy, place = _map(spec.get(key)), f"spec.{key}"
    chosen = strategy.get("type") or "RollingUpdate"
    if kind in _TYPES and chosen not in _TYPES[kind]:
        yield f"{place}.type {_said(chosen)} is not one of {', '.join(sorted(_TYPES[kind]))}"
    if kind == "Rollout":
        rolling, place = _map(strategy.get("canary")), f"{place}.canary"
    else:
        rolling, place = _map(strategy.get("rollingUpdate")), f"{place}.rollingUpdate"
        if rolling and chosen != "RollingUpdate":
            yield f"{place} may not be given with type {chosen}"
    for name in ("maxSurge", "maxUnavailable"):
        yield from _share(rolling.get(name), f"{place}.{name}", most=name == "maxUnavailable")
    surge, away = rolling.get("maxSurge"), rolling.get("maxUnavailable")
    if kind != "StatefulSet" and _is_zero(surge) and _is_zero(away):
        yield f"{place}: maxSurge and maxUnavailable may not both be 0"
    if kind == "StatefulSet" and _is_zero(away):
        yield f"{place}.maxUnavailable may not be 0"


def _share(value: object, place: str, *, most: bool = False) -> Iterator[str]:
    """A number or a percentage."""
    if isinstance(value, str):
        if not _PERCENT.fullmatch(value):
            yield f"{place} is neither a number nor a percentage such as 25%"
        elif most and int(value[:-1]) > _WHOLE_PERCENT:
            yield f"{place} is more than 100%"
    elif isinstance(value, int) and value < 0:
        yield f"{place} is negative"


def _is_zero(value: object) -> bool:
    return value is not None and str(value) in {"0", "0%"}


def _pod(pod: _Map, claims: set[str]) -> Iterator[str]:
    place = "spec.template.spec"
    containers, starters = _maps(pod.get("containers")), _maps(pod.get("initContainers"))
    if not containers:
        yield f"{place}.containers is required"
    if pod.get("restartPolicy", "Always") != "Always":
        yield f"{place}.restartPolicy must be Always"
    if pod.get("activeDeadlineSeconds") is not None:
        yield f"{place}.activeDeadlineSeconds may not be given"
    volumes = _maps(pod.get("volumes"))
    yield from _twice((one.get("name") for one in volumes), f"{place}.volumes", "name")
    for number, volume in enumerate(volumes):
        sources = [key for key, value in volume.items() if key != "name" and value is not None]
        if len(sources) > 1:
            yield f"{place}.volumes[{number}] has several sources: {', '.join(sorted(sources))}"
    names = {str(one.get("name")) for one in volumes} | claims
    for kind, some in (("initContainers", starters), ("containers", containers)):
        for number, container in enumerate(some):
            at = f"{place}.{kind}[{number}]"
            yield from _container(container, at, names, starts=kind == "initContainers")
    both = [*starters, *containers]
    yield from _twice((one.get("name") for one in both), f"{place}.containers", "name")
    ports = [p for one in both for p in _maps(one.get("ports")) if p.get("hostPort")]
    used = (
        f"{p['hostPort']}/{p.get('protocol', 'TCP')} {p.get('hostIP', '')}".strip() for p in ports
    )
    yield from _twice(used, f"{place}.containers", "hostPort")


def _container(container: _Map, place: str, volumes: set[str], *, starts: bool) -> Iterator[str]:
    name = container.get("name")
    if isinstance(name, str) and not _LABEL.fullmatch(name):
        yield f"{place}.name {_said(name)} is not a valid name"
    if not container.get("image"):
        yield f"{place}.image is required"
    yield from _ports(_maps(container.get("ports")), f"{place}.ports")
    for number, one in enumerate(_maps(container.get("env"))):
        if one.get("value") and one.get("valueFrom") is not None:
            yield f"{place}.env[{number}] has both value and valueFrom"
    yield from _mounts(_maps(container.get("volumeMounts")), f"{place}.volumeMounts", volumes)
    yield from _resources(_map(container.get("resources")), f"{place}.resources")
    ends = starts and container.get("restartPolicy") != "Always"
    yield from _probes(container, place, ends=ends)


def _mounts(mounts: list[_Map], place: str, volumes: set[str]) -> Iterator[str]:
    for number, mount in enumerate(mounts):
        if mount.get("name") and str(mount["name"]) not in volumes:
            name = _said(mount["name"])
            yield f"{place}[{number}].name {name} is not a volume of the pod"
    yield from _twice((one.get("mountPath") for one in mounts), place, "mountPath")


def _probes(container: _Map, place: str, *, ends: bool) -> Iterator[str]:
    for key in _PROBES:
        if container.get(key) is None:
            continue
        if ends:
            yield f"{place}.{key} may not be given: it ends before the pod is ready"
        yield from _probe(_map(container[key]), f"{place}.{key}", once=key != "readinessProbe")
    for key in ("postStart", "preStop"):
        hook = _map(container.get("lifecycle")).get(key)
        if hook is not None:
            yield from _one_of(_map(hook), _HOOKS, f"{place}.lifecycle.{key}")


def _ports(ports: list[_Map], place: str) -> Iterator[str]:
    yield from _twice((one.get("name") for one in ports), place, "name")
    for number, one in enumerate(ports):
        name = one.get("name")
        if isinstance(name, str) and name and not _PORT_NAME.fullmatch(name):
            yield (
                f"{place}[{number}].name {_said(name)} is not valid: at most 15 lowercase letters,"
                " digits and `-`, with a letter"
            )
        for key in ("containerPort", "hostPort"):
            port = one.get(key)
            if (
                isinstance(port, int)
                and port not in _PORTS
                and not (key == "hostPort" and not port)
            ):
                yield f"{place}[{number}].{key} is not between 1 and 65535"


def _probe(probe: _Map, place: str, *, once: bool) -> Iterator[str]:
    yield from _one_of(probe, _HANDLERS, place)
    for key in _AT_LEAST_ONE:
        # 0 is the default of each.
        if isinstance(probe.get(key), int) and probe[key] < 0:
            yield f"{place}.{key} is negative"
    if isinstance(probe.get("initialDelaySeconds"), int) and probe["initialDelaySeconds"] < 0:
        yield f"{place}.initialDelaySeconds is negative"
    if once and probe.get("successThreshold") not in {None, 0, 1}:
        yield f"{place}.successThreshold must be 1"


def _one_of(handler: _Map, known: Iterable[str], place: str) -> Iterator[str]:
    given = [key for key in known if handler.get(key) is not None]
    if len(given) != 1:
        problem = f"several handlers: {', '.join(given)}" if given else "no handler"
        yield f"{place} has {problem}; exactly one is required"


def _resources(resources: _Map, place: str) -> Iterator[str]:
    requests, limits = _map(resources.get("requests")), _map(resources.get("limits"))
    for key, all_of in (("requests", requests), ("limits", limits)):
        for name, value in all_of.items():
            if is_quantity(value) and amount(value) < 0:
                yield f"{place}.{key}.{_plain(name)} is negative"
    for name in sorted(map(str, requests.keys() | limits.keys())):
        request, limit = requests.get(name), limits.get(name)
        if "/" in name and request is not None and limit is None:
            yield f"{place}: {_plain(name)} has a request without a limit"
        if request is None or limit is None:
            continue
        if not (is_quantity(request) and is_quantity(limit)):
            continue
        if amount(request) > amount(limit):
            yield f"{place}: the request of {_plain(name)} is above its limit"
        elif "/" in name and amount(request) != amount(limit):
            yield f"{place}: the request of {_plain(name)} is not its limit"


def _twice(values: Iterable[object], place: str, what: str) -> Iterator[str]:
    counts = Counter(str(value) for value in values if value)
    for value, count in counts.items():
        if count > 1:
            yield f"{place} has the {what} {_said(value)} {count} times"


def _budget(spec: _Map) -> Iterator[str]:
    for key in ("minAvailable", "maxUnavailable"):
        yield from _share(spec.get(key), f"spec.{key}", most=True)
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        yield "spec: minAvailable and maxUnavailable exclude each other"


def _autoscaler(spec: _Map) -> Iterator[str]:
    least, most = spec.get("minReplicas"), spec.get("maxReplicas")
    if isinstance(least, int) and isinstance(most, int) and most < least:
        yield f"spec.maxReplicas {most} is below minReplicas, {least}"
    kinds = {metric.get("type") for metric in _maps(spec.get("metrics"))}
    if least == 0 and not kinds & {"Object", "External"}:
        yield "spec.minReplicas 0 needs a metric of type Object or External"
    for number, metric in enumerate(_maps(spec.get("metrics"))):
        place, kind = f"spec.metrics[{number}]", str(metric.get("type"))
        if kind not in _METRICS:
            yield f"{place}.type {_said(kind)} does not exist"
            continue
        if metric.get(_METRICS[kind]) is None:
            yield f"{place} is of type {kind} and has no `{_METRICS[kind]}`"
        for other in _METRICS.values():
            if other != _METRICS[kind] and metric.get(other) is not None:
                yield f"{place} is of type {kind} and has `{other}`"


def _service(spec: _Map) -> Iterator[str]:
    ports = _maps(spec.get("ports"))
    if not ports and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName":
        yield "spec.ports is required"
    if len(ports) > 1 and not all(one.get("name") for one in ports):
        yield "spec.ports: each of several ports needs a name"
    yield from _twice((one.get("name") for one in ports), "spec.ports", "name")
    used = (f"{one.get('port')}/{one.get('protocol') or 'TCP'}" for one in ports)
    yield from _twice(used, "spec.ports", "port")
    for number, one in enumerate(ports):
        if isinstance(one.get("port"), int) and one["port"] not in _PORTS:
            yield f"spec.ports[{number}].port is not between 1 and 65535"
        name = one.get("name")
        if isinstance(name, str) and name and not _LABEL.fullmatch(name):
            yield f"spec.ports[{number}].name {_said(name)} is not a valid name"


def _range(spec: _Map) -> Iterator[str]:
    order = ("min", "defaultRequest", "default", "max")
    for number, item in enumerate(_maps(spec.get("limits"))):
        given = [(key, _map(item.get(key))) for key in order]
        for at, (low, lower) in enumerate(given):
            for high, upper in given[at + 1 :]:
                for name in sorted(map(str, lower.keys() & upper.keys())):
                    if not (is_quantity(lower[name]) and is_quantity(upper[name])):
                        continue
                    if amount(lower[name]) > amount(upper[name]):
                        place = f"spec.limits[{number}]"
                        yield f"{place}: {low} of {_plain(name)} is above its {high}"


_OTHERS: Final[Mapping[str, Callable[[_Map], Iterator[str]]]] = {
    "PodDisruptionBudget": _budget,
    "HorizontalPodAutoscaler": _autoscaler,
    "Service": _service,
    "LimitRange": _range,
}


def _words(value: object, place: str) -> Iterator[str]:
    """Fields that take one of a few words, wherever they stand."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _words(item, f"{place}[{number}]")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key in {"labels", "annotations", "matchLabels", "data", "status"}:
                continue
            here = f"{place}.{key}" if place else str(key)
            allowed = _WORDS.get(str(key))
            if allowed and isinstance(item, str) and item and item not in allowed:
                yield f"{here} {_said(item)} is not one of {', '.join(sorted(allowed))}"
            yield from _words(item, here)
