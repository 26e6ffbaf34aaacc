"""Finds and loads the configuration that a command or a run works on."""

import os
from pathlib import Path

from readiness.config.loading import Loaded, find, load
from readiness.errors import UsageError


def locate(explicit: Path | None) -> Path:
    """The file to use: the one named, or the one that is found.

    Raises:
        UsageError: there is none.
    """
    path = find(Path.cwd(), explicit, os.environ)
    if path is None:
        raise UsageError(
            "there is no readiness.toml here, nor in a folder above",
            remedy="make one with `readiness init`, name one with --config FILE, or see the"
            " tool work on its own reference system: `readiness run --reference`",
        )
    return path


def configured(explicit: Path | None) -> Loaded:
    """The loaded configuration.

    Raises:
        UsageError: there is none.
        ConfigError: it has mistakes.
    """
    return load(locate(explicit), os.environ)
