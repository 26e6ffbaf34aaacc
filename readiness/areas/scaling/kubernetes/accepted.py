"""What the API server refuses in the manifests of a workload and of what decides about it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from readiness.areas.scaling.kubernetes.view import View
from readiness.lib.kubernetes.inventory import Document
from readiness.lib.kubernetes.parts import Selector, selects
from readiness.lib.kubernetes.refusals import mistakes_in, refusals

_WORKLOADS: Final = {"Deployment", "StatefulSet", "Rollout"}
# What an update of a StatefulSet may not change; the rest of its spec it may.
_FIXED: Final = ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates")
_DEFAULTS: Final = {"podManagementPolicy": "OrderedReady"}


def refused(view: View) -> list[str]:
    """Objects that are not valid, with the reason."""
    found = [f"{_shown(one.document)}: {one.error.message}" for one in _broken(view)]
    for document in _ours(view):
        known = [str(one) for one in mistakes_in(document) if not one.unknown]
        found += [f"{_shown(document)}: {what}" for what in (*known, *refusals(document))]
    return list(dict.fromkeys(found))


def unknown(view: View) -> list[str]:
    """Fields that do not exist: `strict decoding error: unknown field`."""
    documents = [*_ours(view), *(one.document for one in _broken(view))]
    return [
        f"{_shown(document)}: strict decoding: {one}"
        for document in documents
        for one in mistakes_in(document)
        if one.unknown
    ]


def changed(declared: View, live: View) -> list[str]:
    """Fields that an update may not change, and the manifest does."""
    new, old = _spec(declared), _spec(live)
    if new is None or old is None or "selector" not in old:
        return []
    keys = _FIXED if declared.workload.kind == "StatefulSet" else ("selector",)
    return [f"spec.{key}" for key in keys if key in new and not _same(key, new[key], old.get(key))]


def shared(view: View) -> list[str]:
    """Other workloads whose pods this one's selector matches, or the other way round.

    Such pods are counted and measured twice: an autoscaler reads the metrics of all pods that the
    selector matches.
    """
    own = view.workload.spec
    found = []
    for other in view.others:
        theirs = other.workload.spec
        if _matches(own.selector, other.labels) or _matches(
            theirs.selector, own.template.metadata.labels
        ):
            found.append(other.name)
    return found


def _matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    given = selector.match_labels or selector.match_expressions
    return bool(given) and selects(selector, labels)


def _broken(view: View) -> Iterator[Any]:
    for one in view.broken:
        if one.document.kind not in _WORKLOADS or one.document.name == view.workload.metadata.name:
            yield one


def _ours(view: View) -> list[Document]:
    """The workload itself, and what is not another workload."""
    return [one for one in view.documents if one.kind not in _WORKLOADS or _is_it(one, view)]


def _is_it(document: Document, view: View) -> bool:
    workload = view.workload
    return (document.kind, document.name) == (workload.kind, workload.metadata.name)


def _spec(view: View) -> Mapping[str, Any] | None:
    for document in view.documents:
        spec = document.body.get("spec")
        if _is_it(document, view) and isinstance(spec, Mapping):
            return spec
    return None


def _same(key: str, new: Any, old: Any) -> bool:
    if key == "volumeClaimTemplates":
        # The server fills in defaults, so only what was written is compared.
        return _asked(new) == _asked(old)
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        return {k: v for k, v in new.items() if v} == {k: v for k, v in old.items() if v}
    return bool((new or _DEFAULTS.get(key)) == (old or _DEFAULTS.get(key)))


def _asked(claims: Any) -> list[tuple[Any, ...]]:
    found = []
    for claim in claims if isinstance(claims, list) else []:
        spec = claim.get("spec") or {}
        size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
        found.append(
            ((claim.get("metadata") or {}).get("name"), str(size), spec.get("accessModes"))
        )
    return found


def _shown(document: Document) -> str:
    return f"{document.where}: {document.kind} {document.name or '?'}"
