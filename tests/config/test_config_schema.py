import os
import re
import tomllib
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from readiness.config.base import Model
from readiness.config.models import Config
from readiness.config.places import places
from readiness.config.schema import FILE, json_schema, render
from readiness.config.template import TEMPLATE
from tests.config.test_config_errors import CASES

EVERYTHING = "\n".join(
    line[1:] if line[:1] == "#" and line[1:2] not in {"", " ", ":"} else line
    for line in TEMPLATE.splitlines()
)
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str, date),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
DRAFT_7 = {
    "$schema", "$ref", "title", "description", "default", "definitions", "type", "enum", "const",
    "properties", "patternProperties", "additionalProperties", "required", "items", "anyOf",
    "allOf", "pattern", "format", "minLength", "maxLength", "minItems", "minProperties",
    "minimum", "exclusiveMinimum", "maximum", "propertyNames",
}  # fmt: skip


def test_the_shipped_file_is_up_to_date() -> None:
    if os.environ.get("READINESS_GOLDEN") == "update":
        FILE.write_text(render(), encoding="utf-8")
    assert FILE.read_text(encoding="utf-8") == render()


def schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """The schema and all schemas in it."""
    yield schema
    for word in ("properties", "patternProperties", "definitions"):
        for inner in schema.get(word, {}).values():
            yield from schemas(inner)
    for inner in [*schema.get("anyOf", []), *schema.get("allOf", [])]:
        yield from schemas(inner)
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from schemas(schema[word])


def test_the_vocabulary_is_that_of_draft_7() -> None:
    whole = json_schema()
    for schema in schemas(whole):
        assert schema.keys() <= DRAFT_7
        if "$ref" in schema:
            assert schema.keys() == {"$ref"}, "whatever stands beside it is not seen"
            assert schema["$ref"].removeprefix("#/definitions/") in whole["definitions"]


def test_every_key_of_every_table_is_described_and_has_its_default() -> None:
    tables = [s for s in schemas(json_schema()) if "properties" in s]
    described = {key: s for table in tables for key, s in table["properties"].items()}
    for place in places():
        for key, field in place.keys.items():
            assert field.description, f"{place.label} {key}"
            assert described[key]["description"]
    models = {model.__name__: model for model in kinds_of(Model)} | {"readiness.toml": Config}
    for table in tables:
        fields = models[table["title"]].model_fields
        for key, schema in table["properties"].items():
            default = fields[key].get_default(call_default_factory=True)
            # TOML has no null: what is None is left out.
            told = not fields[key].is_required() and default is not None
            assert ("default" in schema) == told, key


def kinds_of(model: type[Model]) -> Iterator[type[Model]]:
    for kind in model.__subclasses__():
        yield kind
        yield from kinds_of(kind)


def test_a_name_is_the_header_of_its_table() -> None:
    assert "name" not in json_schema()["definitions"]["Service"]["properties"]


def valid(value: object, schema: Any, root: Any) -> bool:
    """As much of JSON schema as ours uses."""
    if "$ref" in schema:
        return valid(value, root["definitions"][schema["$ref"].rpartition("/")[2]], root)
    return (
        all(valid(value, inner, root) for inner in schema.get("allOf", []))
        and ("anyOf" not in schema or any(valid(value, s, root) for s in schema["anyOf"]))
        and isinstance(value, TYPES.get(schema.get("type", ""), (object,)))
        and value in schema.get("enum", [value])
        and valid_inside(value, schema, root)
    )


def valid_inside(value: object, schema: Any, root: Any) -> bool:
    if isinstance(value, list):
        enough = len(value) >= schema.get("minItems", 0)
        return enough and all(valid(item, schema.get("items", {}), root) for item in value)
    if isinstance(value, dict):
        return valid_table(value, schema, root)
    if isinstance(value, str):
        return re.search(schema.get("pattern", ""), value) is not None
    return not isinstance(value, int | float) or value > schema.get("exclusiveMinimum", -1e9)


def valid_table(value: dict[str, object], schema: Any, root: Any) -> bool:
    if not set(schema.get("required", [])) <= value.keys():
        return False
    for key, inner in value.items():
        patterns = schema.get("patternProperties", {}).items()
        by_pattern = [table for pattern, table in patterns if re.search(pattern, key)]
        known = schema.get("properties", {}).get(key) or next(iter(by_pattern), None)
        if known is None:
            known = schema.get("additionalProperties", {})
        if known is False or not valid(inner, known, root):
            return False
    return True


def test_the_template_is_valid() -> None:
    assert valid(tomllib.loads(TEMPLATE), json_schema(), json_schema())
    assert valid(tomllib.loads(EVERYTHING), json_schema(), json_schema())


@pytest.mark.parametrize(
    "text",
    ["[services.api]\nurl = 'http://${H}'\ntimeout_s = '${T:-5}'\n[target]\nname = '${N}'\n"],
)
def test_a_reference_may_stand_for_any_value(text: str) -> None:
    assert valid(tomllib.loads(text), json_schema(), json_schema())


FLAGGED = ["unknown_key", "unknown_table", "number_as_text", "number_negative", "word_misspelt",
           "empty_list_of_urls", "missing_keys", "path_without_slash", "table_as_list"]  # fmt: skip


@pytest.mark.parametrize("mistake", FLAGGED)
def test_an_editor_flags_mistakes(mistake: str) -> None:
    text = next(case.text for case in CASES if case.name == mistake)
    raw = tomllib.loads(text)
    assert not valid(raw, json_schema(), json_schema())
