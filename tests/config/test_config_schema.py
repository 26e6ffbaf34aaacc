import json
import os
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator

from readiness.config.base import Model
from readiness.config.models import Config
from readiness.config.places import places
from readiness.config.schema import FILE, json_schema, render
from readiness.config.template import template
from tests.config.test_config_errors import CASES
from tests.config.test_config_template import EVERYTHING


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


def test_the_schema_is_valid_draft_7() -> None:
    whole = json_schema()
    Draft7Validator.check_schema(whole)
    for schema in schemas(whole):
        assert schema.keys() <= Draft7Validator.META_SCHEMA["properties"].keys()
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


def mistakes(text: str) -> list[str]:
    """What an editor says of a file; dates are text to it."""
    value = json.loads(json.dumps(tomllib.loads(text), default=str))
    found = Draft7Validator(json_schema()).iter_errors(value)
    return [f"{error.json_path}: {error.message}" for error in found]


def test_the_template_is_valid() -> None:
    assert mistakes(template()) == []
    assert mistakes(EVERYTHING) == []


@pytest.mark.parametrize(
    "text",
    ["[services.api]\nurl = 'http://${H}'\ntimeout_s = '${T:-5}'\n[target]\nname = '${N}'\n"],
)
def test_a_variable_may_stand_for_any_value(text: str) -> None:
    assert mistakes(text) == []


FLAGGED = ["unknown_key", "unknown_table", "number_as_text", "number_negative", "word_misspelt",
           "empty_list_of_urls", "missing_keys", "path_without_slash", "table_as_list"]  # fmt: skip


@pytest.mark.parametrize("mistake", FLAGGED)
def test_an_editor_flags_mistakes(mistake: str) -> None:
    assert mistakes(next(case.text for case in CASES if case.name == mistake))
