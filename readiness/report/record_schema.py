"""The JSON schema of `readiness.json`, which the documentation publishes."""

import json
from typing import Any, Final

from readiness.model.record import FORMAT, RunRecord

NAME: Final = "record.schema.json"
"""Its file in `docs/`; a test keeps it equal to `render()`."""

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_ALWAYS: Final = (
    *("format", "verdict", "reasons", "target", "run", "counts", "suites", "incidents"),
    *("signoffs", "changes", "checks", "record_sha256"),
)
"""What every version of the format has written."""


def json_schema() -> dict[str, Any]:
    """The schema, generated from the models that read a record.

    Unknown keys are allowed: the format grows, and what stands in it does not change its meaning.
    """
    schema = RunRecord.model_json_schema()
    definitions = schema.pop("$defs")
    for known in (schema, *definitions.values()):
        _plain(known)
    return {
        "$schema": _DRAFT,
        "title": f"readiness.json, format {FORMAT}",
        **{key: value for key, value in schema.items() if key not in {"title", "required"}},
        "required": list(_ALWAYS),
        "$defs": dict(sorted(definitions.items())),
    }


def render() -> str:
    """The schema as the text of a file."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def _plain(known: dict[str, Any]) -> None:
    """Remove the titles that only repeat a key, and the layout of the docstrings."""
    for told in (known, *known.get("properties", {}).values()):
        told.pop("title", None)
        if "description" in told:
            first = str(told["description"]).split("\n\nAttributes:", 1)[0]
            told["description"] = " ".join(first.split())
