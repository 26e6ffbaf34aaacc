"""The fields of all kinds of Kubernetes objects, from the definitions of a release.

`fields.json` is made from the newest ones by `python -m readiness.lib.kubernetes.definitions FILE`;
those of other releases come from the package kubernetes-validate, which is an extra.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from readiness.model.errors import CouldNotMeasure, NoData

_PACKAGE: Final = "kubernetes_validate"
_INSTALL: Final = "pip install kubernetes-validate; or leave `kubernetes_version` out"
_SCALARS: Final = {"string", "boolean", "integer", "number"}
_PREFIXES: Final = ("io.k8s.api.", "io.k8s.apimachinery.pkg.apis.", "io.k8s.")
_BOTH: Final = {"IntOrString": "intstr", "Quantity": "quantity"}
_LIST: Final = "List"
_LISTS: Final = {"containers", "monitors", "nodeSelectorTerms", "paths"}
_MAY_BE_EMPTY: Final = {"value"}

_Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The kinds and the types of a release.

    Attributes:
        source: the release, for messages.
        kinds: by `apiVersion kind`, the name of the type.
        types: by name, the fields with their types: `[]T` is a list, `{}T` a mapping, `!` a
            required field.
    """

    source: str
    kinds: Mapping[str, str]
    types: Mapping[str, Mapping[str, str]]


@cache
def newest() -> Tables:
    """Those of the newest release that we know."""
    text = resources.files(__package__).joinpath("fields.json").read_text(encoding="utf-8")
    found = json.loads(text)
    types = {
        name: dict(field.rsplit(":", 1) for field in fields.split())
        for name, fields in found["types"].items()
    }
    return Tables(found["source"], found["kinds"], types)


@cache
def of_release(version: str) -> Tables:
    """Those of a release such as `1.33`.

    Raises:
        CouldNotMeasure: the package with them is not installed.
        NoData: it does not have that release.
    """
    package = find_spec(_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise CouldNotMeasure(
            f"the package kubernetes-validate, which has the fields of Kubernetes {version}, is not"
            " installed",
            where="`kubernetes_version`",
            remedy=_INSTALL,
        )
    # Its files are what is needed: the package itself need not be imported.
    folder = Path(package.submodule_search_locations[0], "kubernetes-json-schema")
    file = folder / f"v{version}.0-local-strict" / "_definitions.json"
    if not file.is_file():
        raise NoData(
            f"kubernetes-validate does not know Kubernetes {version}",
            where="`kubernetes_version`",
            remedy="pip install --upgrade kubernetes-validate; or name another release",
        )
    return tables(json.loads(file.read_text(encoding="utf-8")), f"Kubernetes {version}")


def tables(document: _Schema, source: str) -> Tables:
    """The tables of a document of definitions."""
    definitions = {_name(name): schema for name, schema in document["$defs"].items()}
    kinds = {
        f"{one['group']}/{one['version']} {one['kind']}".removeprefix("/"): name
        for name, schema in definitions.items()
        for one in schema.get("x-kubernetes-group-version-kind", ())
        if _is_object(one["kind"], schema)
    }
    types: dict[str, Mapping[str, str]] = {}
    left = list(kinds.values())
    while left:
        name = left.pop()
        if name not in types:
            types[name] = _fields(definitions, name, root=name in kinds.values())
            inner = (one.strip("[]{}!") for one in types[name].values())
            left += [one for one in inner if "properties" in definitions.get(one, {})]
    return Tables(source, dict(sorted(kinds.items())), dict(sorted(types.items())))


def _is_object(kind: str, schema: _Schema) -> bool:
    fields = schema.get("properties", {})
    return "metadata" in fields and not (kind.endswith(_LIST) and "items" in fields)


def _fields(definitions: _Schema, name: str, *, root: bool) -> dict[str, str]:
    """An apply ignores `status`."""
    schema: _Schema = definitions[name]
    required = set() if root else set(schema.get("required", ()))
    found = {key: _type(definitions, of) for key, of in sorted(schema["properties"].items())}
    if root and "status" in found:
        found["status"] = "any"
    return {
        key: f"{kind}!" if key in required and _must_be_given(key, kind) else kind
        for key, kind in found.items()
    }


def _must_be_given(key: str, kind: str) -> bool:
    """Of what OpenAPI calls required, the server fills in mappings, and takes some empty texts."""
    return (kind in _SCALARS or key in _LISTS) and key not in _MAY_BE_EMPTY


def _type(definitions: _Schema, schema: _Schema) -> str:
    if "$ref" in schema:
        name = _name(schema["$ref"].removeprefix("#/$defs/"))
        of = definitions.get(name, {})
        if name in _BOTH.values() or "properties" in of:
            return name
        return "string" if "string" in of.get("type", ()) else "any"
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        kind = next(one for one in kind if one != "null")
    if kind == "array":
        return "[]" + _type(definitions, schema.get("items", {}))
    if kind in _SCALARS or kind == "any":
        return str(kind)
    inner = schema.get("additionalProperties")
    return "{}" + (_type(definitions, inner) if isinstance(inner, Mapping) else "any")


def _name(definition: str) -> str:
    """`apps.v1.Deployment` of `io.k8s.api.apps.v1.Deployment`."""
    last = definition.rpartition(".")[2]
    if last in _BOTH:
        return _BOTH[last]
    for prefix in _PREFIXES:
        definition = definition.removeprefix(prefix)
    return definition


def _main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123 - a file of any place
        found = tables(json.load(file), sys.argv[2])
    types = {
        name: " ".join(f"{key}:{kind}" for key, kind in fields.items())
        for name, fields in found.types.items()
    }
    whole = {"source": found.source, "kinds": found.kinds, "types": types}
    sys.stdout.write(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    _main()
