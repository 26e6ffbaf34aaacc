"""Width and color of the terminal, and whether this is a CI job."""

import os
import shutil
from typing import TextIO


def width() -> int:
    """Columns to write in: those of the terminal, between 60 and 100."""
    return max(60, min(100, shutil.get_terminal_size((80, 24)).columns))


def colored(out: TextIO) -> bool:
    """Whether to use color: NO_COLOR, then FORCE_COLOR, then whether it is a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or out.isatty()


def in_ci(out: TextIO) -> bool:
    """Whether a CI system keeps the output as a log: it sets `CI`, and there is no terminal."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"} and not out.isatty()
