"""Where the shipped suites lie: in a checkout beside the package, in a wheel inside it."""

from functools import cache
from pathlib import Path


@cache
def root() -> Path:
    """The folder that holds `suites/`, `fixtures/` and `conftest.py`."""
    package = Path(__file__).resolve().parent
    packed = package / "_bundle"
    return packed if packed.is_dir() else package.parent


def suites() -> Path:
    """The folder of the shipped suites."""
    return root() / "suites"


def known_ids() -> frozenset[str]:
    """The ids of all shipped checks, as `suites/ids.txt` lists them."""
    try:
        lines = (suites() / "ids.txt").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return frozenset()
    return frozenset(line.strip() for line in lines if line.strip())
