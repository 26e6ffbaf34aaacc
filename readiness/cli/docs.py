"""`python -m readiness.cli.docs`: renews the generated files of a checkout.

`suites/catalogue.json`, `suites/ids.txt`, the JSON schemas of file and record, and the pages of all
checks and keys.
"""

from readiness.cli.explain import markdown
from readiness.config import schema, template
from readiness.lib import bundle
from readiness.report import files, record_schema
from readiness.run import catalogue, catalogue_file


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
    files.write(docs / record_schema.NAME, [record_schema.render()])


if __name__ == "__main__":
    main()
