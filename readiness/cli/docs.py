"""`python -m readiness.cli.docs`: renews the generated files of a checkout.

`suites/catalogue.json`, `suites/ids.txt`, the JSON schemas of file and record, and the pages of all
checks and keys.
"""

import json
from typing import Any, Final

from readiness.cli.explain import markdown
from readiness.config import schema, template
from readiness.lib import bundle
from readiness.model.record import FORMAT, RunRecord
from readiness.report import files
from readiness.run import catalogue, catalogue_file

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


def main() -> None:
    """Write all of them."""
    declared = list(catalogue.modules())
    listing = catalogue_file.render(declared, catalogue.fault_notes())
    files.write(bundle.suites() / catalogue_file.NAME, [listing])
    ids = sorted(one.spec.id for one in declared)
    files.write(bundle.suites() / bundle.IDS, ["".join(f"{name}\n" for name in ids)])
    files.write(schema.FILE, [schema.render()])
    docs = bundle.root() / "docs"
    files.write(docs / "checks.md", [markdown(catalogue.entries())])
    files.write(docs / "configuration.md", [template.reference()])
    files.write(docs / NAME, [render()])


if __name__ == "__main__":
    main()
