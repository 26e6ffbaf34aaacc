"""`python -m readiness.docs`: writes the generated pages of a checkout."""

from readiness import bundle, catalogue, catalogue_file
from readiness.explain import markdown
from readiness.report import files


def main() -> None:
    """Write `suites/catalogue.json` and `docs/checks.md`."""
    listing = catalogue_file.render(catalogue.modules(), catalogue.fault_notes())
    files.write(bundle.suites() / catalogue_file.NAME, [listing])
    page = bundle.root() / "docs" / "checks.md"
    files.write(page, [markdown(catalogue.entries())])


if __name__ == "__main__":
    main()
