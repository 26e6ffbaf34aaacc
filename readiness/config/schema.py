"""The JSON schema of `readiness.toml`, for editors (Draft 7: Taplo, Even Better TOML)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from readiness.config.base import Named
from readiness.config.models import Config

FILE: Final = Path(__file__).with_name("readiness.schema.json")
"""The copy that ships with the package; a test keeps it equal to `render()`."""

Schema = dict[str, Any]

_REFERENCE: Final = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^{}]*)?\}"}
_NARROW: Final = {"pattern", "enum", "const", "format"}


def json_schema() -> Schema:
    """The schema of the whole file, generated from the models."""
    schema = Config.model_json_schema(
        ref_template="#/definitions/{model}", schema_generator=_Generator
    )
    definitions = schema.pop("$defs")
    for model in _kinds_of(Named):
        if model.__name__ in definitions:  # not a base class of others
            definitions[model.__name__]["properties"].pop("name", None)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "readiness.toml",
        **_table({key: value for key, value in schema.items() if key != "title"}),
        "definitions": {name: _table(inner) for name, inner in sorted(definitions.items())},
    }


def render() -> str:
    """The schema as the text of a file."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _kinds_of(model: type[Named]) -> Iterator[type[Named]]:
    for kind in model.__subclasses__():
        yield kind
        yield from _kinds_of(kind)


class _Generator(GenerateJsonSchema):
    """Leaves out titles, which only repeat the key."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's hook
        return False


def _table(schema: Schema) -> Schema:
    """A table; descriptions and defaults stay beside each key."""
    if "properties" not in schema:
        return _value(schema)
    return schema | {"properties": {key: _key(s) for key, s in schema["properties"].items()}}


def _key(schema: Schema) -> Schema:
    notes = {word: schema[word] for word in ("description", "default") if word in schema}
    if notes.get("default", ...) is None:
        notes.pop("default")  # TOML has no null: the key is left out
    kind = {word: value for word, value in schema.items() if word not in {"description", "default"}}
    return notes | _value(kind)


def _value(schema: Schema) -> Schema:
    """One value in Draft 7, where `$ref` hides its sibling keys."""
    if "$ref" in schema:
        return {"allOf": [schema]}
    for word in ("anyOf", "oneOf"):
        if word in schema:
            options = [_value(s) for s in schema[word] if s.get("type") != "null"]
            return options[0] if len(options) == 1 else {"anyOf": options}
    if "items" in schema:
        return schema | {"items": _value(schema["items"])}
    if "patternProperties" in schema:
        tables = {name: _value(s) for name, s in schema["patternProperties"].items()}
        return schema | {"patternProperties": tables, "additionalProperties": False}
    return _or_reference(schema)


def _or_reference(schema: Schema) -> Schema:
    """Allow `${VARIABLE}` for any single value, even one that is not text."""
    plain = schema.get("type") == "string" and not _NARROW & schema.keys()
    if plain or schema.get("type") not in {"string", "number", "integer", "boolean"}:
        return schema
    return {"anyOf": [schema, _REFERENCE]}
