"""`python -m readiness.cli.docs`: writes the generated pages of a checkout."""

from readiness.cli.explain import markdown
from readiness.lib import bundle
from readiness.report import files
from readiness.run import catalogue, catalogue_file


def main() -> None:
    """Write `suites/catalogue.json` and `docs/checks.md`."""
    listing = catalogue_file.render(catalogue.modules(), catalogue.fault_notes())
    files.write(bundle.suites() / catalogue_file.NAME, [listing])
    page = bundle.root() / "docs" / "checks.md"
    files.write(page, [markdown(catalogue.entries())])


if __name__ == "__main__":
    main()
