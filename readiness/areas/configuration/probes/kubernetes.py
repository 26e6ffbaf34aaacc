"""The environment of a container of a Kubernetes workload: in manifests, or live.

The rules are those of kubernetes.io, "Define Environment Variables for a Container": `envFrom` in
its order, `env` over it, `$(NAME)` for variables before. Values of live Secrets are not read.
"""

import base64
import binascii
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from readiness.areas.configuration.config import ClusterWorkload, Declared, Secrets
from readiness.areas.configuration.environment import Place, Value
from readiness.areas.configuration.probes.env_files import text_of
from readiness.areas.configuration.probes.kubernetes_secrets import Data, Maker
from readiness.lib.files import matching
from readiness.lib.guardian import Guardian
from readiness.lib.kubernetes.kubectl import Kubectl
from readiness.lib.kubernetes.objects import (
    Container,
    CronJobSpec,
    JobSpec,
    Key,
    Pod,
    PodSpec,
    Template,
    Variable,
    Variables,
)
from readiness.lib.kubernetes.parts import Metadata
from readiness.lib.text import clean, listed
from readiness.lib.yaml_reader import BrokenYaml, Scalars, read_all
from readiness.model.errors import NoData

_T = TypeVar("_T")
_METADATA: Final = TypeAdapter(Metadata)
_JOBS: Final = TypeAdapter(JobSpec)
_CRON_JOBS: Final = TypeAdapter(CronJobSpec)
_MAKER: Final = TypeAdapter(Maker)
_DATA: Final = TypeAdapter(Data)
_PODS: Final = TypeAdapter(Pod)
_CHOSEN: Final = "kubectl.kubernetes.io/default-container"
_REFERENCE: Final = re.compile(r"\$(\$)?\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
_SECRET: Final = "Secret"  # noqa: S105 - the name of a kind
_CONFIG_MAP: Final = "ConfigMap"
_POD: Final = "Pod"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_RENDER: Final = "render it first: helm template, or kustomize build"


@dataclass(frozen=True, slots=True)
class _Entry:
    """The keys of a Secret or ConfigMap, with the values that are known.

    Attributes:
        is_open: whether it may have keys that are not known here.
    """

    keys: Mapping[str, Value | None] = field(default_factory=dict)
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class _Workload:
    """A workload of any kind, and the template of its pods."""

    kind: str
    metadata: Metadata
    template: Template


@dataclass(frozen=True, slots=True)
class _Store:
    """The Secrets and ConfigMaps that can be seen.

    Attributes:
        entries: by kind and name.
        is_whole: whether another one does not exist; in manifests, something else may make it.
    """

    entries: Mapping[tuple[str, str], _Entry]
    is_whole: bool


def of_manifests(declared: Declared, settings: Secrets) -> Place:
    """The environment that rendered manifests give to a container.

    Raises:
        NoData: a file is not understood, or the workload or container is not in them.
        CouldNotMeasure: a file cannot be read.
    """
    patterns = declared.manifests or []
    where = ", ".join(patterns)
    found: list[Mapping[str, object]] = []
    broken: list[str] = []
    for path in matching(patterns, "`manifests`"):
        try:
            found += _objects(path)
        except NoData as error:  # another file may have what is asked for
            broken.append(error.sentence)
    workload = _found(found, declared.workload or "", declared.namespace or "", where, broken)
    namespace = declared.namespace or workload.metadata.namespace or ""
    near = [raw for raw in found if _of_metadata(raw, "namespace") in {"", namespace}]
    store = _Store(dict(_entries(near)), is_whole=False)
    return _Resolver(store, settings).place(workload, declared.container, where)


def of_cluster(cluster: ClusterWorkload, settings: Secrets, table: str) -> Place:
    """The environment that the live objects give to a container, and the image that its pods run.

    Raises:
        NoData: the workload or container does not exist.
        CouldNotMeasure: and its kinds: see `Kubectl`.
    """
    kind = cluster.workload.partition("/")[0]
    # The copy of the credentials is removed, even if we are killed.
    with tempfile.TemporaryDirectory(prefix="readiness-") as folder, Guardian() as guardian:
        guardian.remove(Path(folder))
        kubectl = Kubectl(cluster, Path(folder), table)
        kubectl.copy_config()
        found = [dict(one.body) for one in kubectl.get([f"{kind}s", "configmaps", "pods"])]
        keys = kubectl.secret_keys()
    where = f"cluster {cluster.context}"
    workload = _found(found, cluster.workload, cluster.namespace, where, ())
    secrets = {
        (_SECRET, name): _Entry({key: None if size else Value("") for key, size in sizes.items()})
        for name, sizes in keys.items()
    }
    store = _Store({**dict(_entries(found)), **secrets}, is_whole=True)
    place = _Resolver(store, settings).place(workload, cluster.container, where)
    return replace(place, digests=_running(found, workload, cluster.container, where))


def _running(
    raw: Iterable[Mapping[str, object]], workload: _Workload, container: str | None, where: str
) -> tuple[str, ...]:
    """What the pods of a workload run in a container, by the digests of their images."""
    name = _container_of(workload, container, where).name
    labels = workload.template.metadata.labels.items()
    found: dict[str, None] = {}
    for one in raw:
        if _kind_of(one) != _POD:
            continue
        pod = _valid(_PODS, one, where)
        if not labels or not labels <= pod.metadata.labels.items():
            continue
        for status in pod.status.container_statuses:
            digest = _DIGEST.search(status.image_id)
            if status.name == name and digest:
                found[digest[0]] = None
    return tuple(found)


def _objects(path: Path) -> Iterator[Mapping[str, object]]:
    """The objects of a file, with those in lists."""
    try:
        documents = read_all(text_of(path), Scalars.GO_V2)
    except BrokenYaml as error:
        raise NoData(f"cannot be read: {error}", where=str(path), remedy=_RENDER) from None
    except RecursionError:
        raise NoData("is nested too deeply", where=str(path)) from None
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict):
            raise NoData("is not a Kubernetes object", where=str(path), remedy=_RENDER)
        items = document.get("items")
        if str(document.get("kind", "")).endswith("List") and isinstance(items, list):
            yield from (item for item in items if isinstance(item, dict))
        else:
            yield document


def _kind_of(raw: Mapping[str, object]) -> str:
    return str(raw.get("kind", ""))


def _of_metadata(raw: Mapping[str, object], key: str) -> str:
    metadata = raw.get("metadata")
    return str(metadata.get(key) or "") if isinstance(metadata, dict) else ""


def _found(
    raw: Iterable[Mapping[str, object]],
    workload: str,
    namespace: str,
    where: str,
    broken: Collection[str],
) -> _Workload:
    kind, _, name = workload.partition("/")
    of_kind = [one for one in raw if _kind_of(one).lower() == kind]
    named = [one for one in of_kind if _of_metadata(one, "name") == name]
    fits = [
        one for one in named if not namespace or _of_metadata(one, "namespace") in {namespace, ""}
    ]
    if len(fits) == 1:
        return _workload_of(fits[0], f"{where} {workload}")
    there = listed(f"{kind}/{_of_metadata(one, 'name')}" for one in of_kind) or f"no {kind}"
    unread = f"; not read: {listed(broken)}" if broken else ""
    raise NoData(
        f"{workload} is there {len(fits)} times"
        if fits
        else f"there is {there}, not {workload}{unread}",
        where=where,
        remedy="set `namespace`" if fits else "correct `workload`, `manifests` or `namespace`",
    )


def _workload_of(raw: Mapping[str, object], where: str) -> _Workload:
    """The workload of an object: a CronJob has its template one level deeper."""
    spec = raw.get("spec") or {}
    if isinstance(spec, Mapping) and "jobTemplate" in spec:
        template = _valid(_CRON_JOBS, spec, where).job_template.spec.template
    else:
        template = _valid(_JOBS, spec, where).template
    return _Workload(_kind_of(raw), _valid(_METADATA, raw.get("metadata") or {}, where), template)


def _valid(kind: TypeAdapter[_T], raw: object, where: str) -> _T:
    try:
        return kind.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise NoData(
            f"an object is not valid: {clean('.'.join(map(str, first['loc'])), 120)}:"
            f" {clean(first['msg'], 120)}",
            where=where,
            remedy="kubectl apply --dry-run=server -f FILE",
        ) from None


def _entries(raw: Iterable[Mapping[str, object]]) -> Iterator[tuple[tuple[str, str], _Entry]]:
    """The Secrets and ConfigMaps, and those that operators make of other objects.

    One that is not valid is left out: what refers to it is then unknown.
    """
    for one in raw:
        kind = _kind_of(one)
        with suppress(NoData):
            if kind in {_SECRET, _CONFIG_MAP}:
                data = _valid(_DATA, one, kind)
                yield (kind, data.metadata.name), _Entry(_keys_of(data))
            elif kind in _MAKERS:
                for name, entry in _MAKERS[kind](_valid(_MAKER, one, kind)):
                    yield (_SECRET, name), entry


def _keys_of(data: Data) -> dict[str, Value | None]:
    decode = _decoded if data.kind == _SECRET else Value
    keys: dict[str, Value | None] = {key: decode(text) for key, text in data.data.items()}
    keys |= {key: Value(text) for key, text in data.string_data.items()}
    return keys | dict.fromkeys(data.binary_data)


def _decoded(text: str) -> Value | None:
    """A value of `data`; None if it is not text."""
    try:
        return Value(base64.b64decode(text, validate=False).decode())
    except (binascii.Error, UnicodeDecodeError):
        return None


def _of_sealed(maker: Maker) -> Iterator[tuple[str, _Entry]]:
    template = maker.spec.template
    name = (template.metadata.name if template else "") or maker.metadata.name
    yield name, _Entry(dict.fromkeys(maker.spec.encrypted_data))


def _of_external(maker: Maker) -> Iterator[tuple[str, _Entry]]:
    spec = maker.spec
    target = spec.target or spec.destination
    name = (target.name if target else "") or maker.metadata.name
    keys = dict.fromkeys(one.secret_key for one in spec.data)
    # A template of the target may make others of them.
    yield name, _Entry(keys, is_open=True)


def _of_provider(maker: Maker) -> Iterator[tuple[str, _Entry]]:
    for one in maker.spec.secret_objects:
        yield one.secret_name, _Entry(dict.fromkeys(key.key for key in one.data))


def _of_certificate(maker: Maker) -> Iterator[tuple[str, _Entry]]:
    yield maker.spec.secret_name, _Entry(dict.fromkeys(("tls.crt", "tls.key", "ca.crt")), True)


def _of_sops(maker: Maker) -> Iterator[tuple[str, _Entry]]:
    yield maker.metadata.name, _Entry(is_open=True)


_MAKERS: Final[Mapping[str, Callable[[Maker], Iterator[tuple[str, _Entry]]]]] = {
    "SealedSecret": _of_sealed,
    "ExternalSecret": _of_external,
    "SecretProviderClass": _of_provider,
    "Certificate": _of_certificate,
    "VaultStaticSecret": _of_external,
    "VaultDynamicSecret": _of_external,
    "OnePasswordItem": _of_sops,
}


class _Resolver:
    """Follows the references of one container."""

    def __init__(self, store: _Store, settings: Secrets) -> None:
        self._store = store
        self._settings = settings
        self._values: dict[str, Value] = {}
        self._unread: set[str] = set()
        self._unresolved: list[str] = []
        self._unknown: list[str] = []
        self._whole = True

    def place(self, workload: _Workload, container: str | None, where: str) -> Place:
        """The environment of a container of a workload."""
        pod = workload.template.spec
        chosen = _container_of(workload, container, where)
        for source in chosen.env_from:
            self._take_all(source)
        for one in chosen.env:
            self._take(one)
        self._mount(pod)
        name = f"{workload.kind.lower()}/{workload.metadata.name}"
        digest = _DIGEST.search(chosen.image)
        return Place(
            source=f"{name} of {where}, container {clean(chosen.name)}",
            values=self._values,
            unread=frozenset(self._unread),
            unresolved=tuple(dict.fromkeys(self._unresolved)),
            unknown=tuple(dict.fromkeys(self._unknown)),
            image=chosen.image,
            digests=(digest[0],) if digest else (),
            # Containers of a pod share an address: a sidecar answers at localhost.
            is_container=len(pod.containers) == 1
            and not pod.init_containers
            and not pod.host_network,
            whole=self._whole,
        )

    def _entry(self, kind: str, key: Key) -> _Entry | None:
        """An object that is referred to; None if it is not known, which is noted."""
        found = self._store.entries.get((kind, key.name))
        if found is not None or key.optional or key.name in self._settings.provided:
            return found
        what = f"{kind} {clean(key.name, 100)}"
        if self._store.is_whole:
            self._unresolved.append(f"{what} does not exist")
        else:
            self._unknown.append(what)
        return None

    def _take_all(self, source: Variables) -> None:
        for kind, key in ((_SECRET, source.secret_ref), (_CONFIG_MAP, source.config_map_ref)):
            entry = self._entry(kind, key) if key else None
            if key and (entry is None or entry.is_open):
                self._whole = False  # it may have any keys
            for name, value in (entry.keys if entry else {}).items():
                self._set(f"{source.prefix}{name}", value)

    def _take(self, one: Variable) -> None:
        if one.value_from is None:
            self._expand(one.name, one.value or "")
            return
        source = one.value_from
        for kind, key in (
            (_SECRET, source.secret_key_ref),
            (_CONFIG_MAP, source.config_map_key_ref),
        ):
            if key:
                self._take_key(one.name, kind, key)
                return
        self._set(one.name, None)  # from the pod's own fields

    def _take_key(self, variable: str, kind: str, key: Key) -> None:
        entry = self._entry(kind, key)
        if entry is None:
            # Optional ones that are missing leave the variable unset.
            if not key.optional:
                self._set(variable, None)
            return
        what = f"{kind} {clean(key.name, 100)}"
        if key.key not in entry.keys:
            if entry.is_open:
                self._set(variable, None)
            elif not key.optional:
                self._unresolved.append(f"{what} has no key {clean(key.key, 100)} ({variable})")
            return
        value = entry.keys[key.key]
        if value is not None and not value.reveal().strip():
            self._unresolved.append(f"{what}, key {clean(key.key, 100)}, is empty ({variable})")
        self._set(variable, value)

    def _set(self, name: str, value: Value | None) -> None:
        self._values.pop(name, None)
        self._unread.discard(name)
        if value is None:
            self._unread.add(name)
        else:
            self._values[name] = value

    def _expand(self, name: str, text: str) -> None:
        """Set a variable whose text may name others; one that is not set stays as written."""
        hidden = False

        def one(found: re.Match[str]) -> str:
            nonlocal hidden
            if found[1]:
                return found[0][1:]
            hidden = hidden or found[2] in self._unread
            known = self._values.get(found[2])
            return known.reveal() if known else found[0]

        filled = _REFERENCE.sub(one, text)
        self._set(name, None if hidden else Value(filled))

    def _mount(self, pod: PodSpec) -> None:
        """Whatever is mounted, or needed to pull the image, must exist."""
        for volume in pod.volumes:
            if volume.secret:
                named = Key(name=volume.secret.secret_name, optional=volume.secret.optional)
                self._entry(_SECRET, named)
            if volume.config_map:
                self._entry(_CONFIG_MAP, volume.config_map)
            for source in volume.projected.sources if volume.projected else []:
                if source.secret:
                    self._entry(_SECRET, source.secret)
                if source.config_map:
                    self._entry(_CONFIG_MAP, source.config_map)
        for pull in pod.image_pull_secrets:
            self._entry(_SECRET, pull)


def _container_of(workload: _Workload, wanted: str | None, where: str) -> Container:
    pod = workload.template.spec
    by_name = {one.name: one for one in [*pod.containers, *pod.init_containers]}
    if wanted:
        if wanted in by_name:
            return by_name[wanted]
        raise NoData(
            f"{workload.metadata.name} has no container {wanted!r}, only {listed(by_name)}",
            where=where,
            remedy="correct `container`",
        )
    chosen = workload.template.metadata.annotations.get(_CHOSEN, "")
    for name in (chosen, workload.metadata.name):
        if name in by_name:
            return by_name[name]
    if not pod.containers:
        raise NoData(f"{workload.metadata.name} has no containers", where=where)
    return pod.containers[0]
