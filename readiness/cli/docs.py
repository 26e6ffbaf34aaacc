"""`python -m readiness.cli.docs [--check]`: renews the generated files of a checkout.

`suites/catalogue.json`, `suites/ids.txt`, the JSON schemas of file and record, and the pages of all
checks and keys. With `--check`, it only names those that are not what the code says.
"""

import json
import sys
from pathlib import Path
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


def generated() -> dict[Path, str]:
    """Every generated file and its text."""
    declared = list(catalogue.modules())
    ids = sorted(one.spec.id for one in declared)
    docs = bundle.root() / "docs"
    return {
        bundle.suites() / catalogue_file.NAME: catalogue_file.render(
            declared, catalogue.fault_notes()
        ),
        bundle.suites() / bundle.IDS: "".join(f"{name}\n" for name in ids),
        schema.FILE: schema.render(),
        docs / "checks.md": markdown(catalogue.entries()),
        docs / "configuration.md": template.reference(),
        docs / NAME: render(),
    }


def main() -> None:
    """Write all of them, or end with exit code 1 and the names of those that are old."""
    texts = generated()
    if sys.argv[1:] == ["--check"]:
        old = [path.name for path, text in texts.items() if path.read_text() != text]
        sys.exit(f"old: {', '.join(old)}. make docs" if old else 0)
    for path, text in texts.items():
        files.write(path, [text])


if __name__ == "__main__":
    main()
