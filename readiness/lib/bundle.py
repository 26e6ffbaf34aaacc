"""The location of the shipped suites: beside the package in a checkout, inside it in a wheel.

Stands alone: everything that reads a shipped file asks here, also the entry points.
"""

from functools import cache
from pathlib import Path
from typing import Final

from readiness.model.errors import ReadinessError

IDS: Final = "ids.txt"
"""A file beside the suites with the id of every shipped check; each must be collected."""


@cache
def root() -> Path:
    """The folder that holds `suites/` and `conftest.py`."""
    package = Path(__file__).resolve().parents[1]
    packed = package / "_bundle"
    return packed if packed.is_dir() else package.parent


def suites() -> Path:
    """The folder of the shipped suites."""
    return root() / "suites"


def known_ids() -> frozenset[str]:
    """The ids of all shipped checks, as `suites/ids.txt` lists them.

    Raises:
        ReadinessError: the list is missing; without it a missing check would not be noticed.
    """
    path = suites() / IDS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ReadinessError(
            "the list of shipped checks is missing", where=str(path), remedy="install it again"
        ) from None
    return frozenset(line.strip() for line in lines if line.strip())
