"""`python -m readiness.cli.docs`: renews the generated files of a checkout."""

from readiness.cli.explain import markdown
from readiness.config import schema
from readiness.lib import bundle
from readiness.report import files
from readiness.run import catalogue, catalogue_file


def main() -> None:
    """Write the catalogue, the list of ids, `docs/checks.md` and the JSON schema."""
    listing = catalogue_file.render(catalogue.modules(), catalogue.fault_notes())
    files.write(bundle.suites() / catalogue_file.NAME, [listing])
    entries = catalogue.entries()
    # Ids are only added here: a check that is lost by mistake must still be missed.
    ids = bundle.known_ids() | {entry.spec.id for entry in entries}
    files.write(bundle.suites() / "ids.txt", [f"{one}\n" for one in sorted(ids)])
    files.write(bundle.root() / "docs" / "checks.md", [markdown(entries)])
    files.write(schema.FILE, [schema.render()])


if __name__ == "__main__":
    main()
