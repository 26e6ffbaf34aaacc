"""What the API server refuses or ignores, of every kind of object that it knows."""

from collections.abc import Iterable, Sequence
from typing import Final

from readiness.areas.manifests.workloads import Side
from readiness.lib.kubernetes.definitions import Tables
from readiness.lib.kubernetes.inventory import EVERY, Document
from readiness.lib.kubernetes.refusals import mistakes_in, refusals

# Those of former releases, too: they are not custom resources.
_OWN: Final = {"", "apps", "autoscaling", "batch", "policy", "extensions"}


def _is_own(document: Document, fields: Tables) -> bool:
    groups = {kind.partition(" ")[0].rpartition("/")[0] for kind in fields.kinds}
    return document.group in groups | _OWN


def judged(side: Side, fields: Tables) -> list[Document]:
    """The documents of Kubernetes' own kinds; live ones were accepted already.

    Those of workloads in [scaling.NAME] are judged by scaling.manifests.
    """
    covered = {(one.kind, one.name) for one in side.workloads if one.is_covered}
    return [
        one
        for one in side.documents
        if not one.is_live and _is_own(one, fields) and (one.kind, one.name) not in covered
    ]


def custom(side: Side, fields: Tables) -> list[str]:
    """The kinds of other projects, whose fields only their definitions know."""
    kinds = {one.kind for one in side.documents if not one.is_live and not _is_own(one, fields)}
    return sorted(kinds)


def _shown(document: Document) -> str:
    return f"{document.where}: {document.kind} {document.name or '?'}"


def unserved(documents: Iterable[Document], fields: Tables) -> list[str]:
    """Objects of a version, or a kind, that the release does not have."""
    return [
        f"{_shown(one)} of {one.api_version}"
        for one in documents
        if f"{one.api_version} {one.kind}" not in fields.kinds
    ]


def refused(side: Side, documents: Sequence[Document], fields: Tables) -> list[str]:
    """What the API server refuses, each with its place."""
    found = [f"{_shown(one)}: {what}" for one in documents for what in _refused(one, fields)]
    known = {id(one) for one in documents}
    broken = [one for one in side.broken if id(one.document) in known]
    told = {text.partition(": ")[0] for text in found}
    found += [
        f"{_shown(one.document)}: {one.error.message}"
        for one in broken
        if one.document.where not in told
    ]
    return list(dict.fromkeys(found))


def _refused(document: Document, fields: Tables) -> list[str]:
    wrong = mistakes_in(document, fields)
    found = [str(one) for one in wrong if not one.unknown]
    # The rules are known of the kinds that have a model.
    rules = refusals(document) if (document.group, document.kind) in EVERY else []
    return [*found, *rules]


def unknown(documents: Iterable[Document], fields: Tables) -> list[str]:
    """Fields that do not exist: `strict decoding error: unknown field`."""
    return [
        f"{_shown(document)}: {one}"
        for document in documents
        for one in mistakes_in(document, fields)
        if one.unknown
    ]
