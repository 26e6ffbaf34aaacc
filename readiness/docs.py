"""`python -m readiness.docs`: writes the generated pages of a checkout."""

from readiness import bundle, catalogue
from readiness.explain import markdown
from readiness.report import files


def main() -> None:
    """Write `docs/checks.md`."""
    page = bundle.root() / "docs" / "checks.md"
    files.write(page, [markdown(catalogue.entries())])


if __name__ == "__main__":
    main()
