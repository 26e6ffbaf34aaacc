"""The objects in a manifest's text: YAML of several documents, JSON, and lists of objects."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from readiness.lib.yaml_reader import BrokenYaml, Scalars, read_all
from readiness.model.errors import NoData

_RENDER: Final = "render it first: helm template, kustomize build, or kubectl get -o json"
_LIST: Final = "List"
_SHORT: Final = 100_000
# What they hold is nobody's business here: they are dropped before anything looks at them.
_SECRET: Final = "Secret"  # noqa: S105 - the name of a kind


@dataclass(frozen=True, slots=True)
class Document:
    """One object, as it is written.

    Attributes:
        where: the file, and which of its documents.
        group: of the API, `apps` of `apps/v1`; empty for the core.
        version: of the API.
        kind: as `Deployment`.
        body: everything in it.
    """

    where: str
    group: str
    version: str
    kind: str
    body: Mapping[str, object]


class _Twice(Exception):
    """A key that stands twice in one mapping."""


def documents(text: str, where: str) -> list[Document]:
    """Every object in a text, without the secrets.

    The API server keeps the last of two equal keys, or refuses them, depending on who asks; what
    was meant is not known, and so it is an error here.

    Args:
        text: YAML or JSON.
        where: the file, for messages.

    Raises:
        NoData: it is neither, a key is given twice, or a document is no Kubernetes object.
    """
    try:
        found = (
            _json(text, where)
            if text.lstrip().startswith(("{", "["))
            else read_all(text, Scalars.GO_V2)
        )
        return [
            document
            for number, one in enumerate(found, 1)
            if one is not None
            for document in _objects(
                one, f"{where}, document {number}" if len(found) > 1 else where
            )
        ]
    except _Twice as twice:
        raise NoData(
            f"{twice} stands twice in one mapping", where=where, remedy="keep one of them"
        ) from None
    except RecursionError:
        raise NoData("nests too deep", where=where) from None
    except BrokenYaml as error:
        raise NoData(f"cannot be read: {error}", where=where, remedy=_RENDER) from None


def _json(text: str, where: str) -> list[object]:
    try:
        return [json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)]
    except ValueError:
        if len(text) > _SHORT:
            raise NoData("is no JSON, or ends too early", where=where) from None
        return read_all(text, Scalars.GO_V2)  # in one line, YAML looks like this, too


def _no_number(word: str) -> float:
    raise ValueError(word)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(repr(next(name for name in names if names.count(name) > 1)))
    return found


def _objects(one: object, where: str) -> Iterator[Document]:
    """The object, or those of a list of objects."""
    if not isinstance(one, dict):
        raise NoData("is no Kubernetes object, but a text or a list", where=where, remedy=_RENDER)
    kind, version = one.get("kind"), one.get("apiVersion")
    if not (isinstance(kind, str) and isinstance(version, str) and kind and version):
        raise NoData(
            "is no Kubernetes object: it has no kind or no apiVersion", where=where, remedy=_RENDER
        )
    items = one.get("items")
    if kind.endswith(_LIST) and isinstance(items, list):
        for number, item in enumerate(items, 1):
            yield from _objects(_typed(item, kind, version), f"{where}, item {number}")
    elif kind != _SECRET:
        group, slash, rest = version.partition("/")
        yield Document(where, group if slash else "", rest or group, kind, one)


def _typed(item: object, kind: str, version: str) -> object:
    """What stands in the list of one kind need not repeat it."""
    own = kind.removesuffix(_LIST)
    if isinstance(item, dict) and own and "kind" not in item:
        return {"kind": own, "apiVersion": version, **item}
    return item
