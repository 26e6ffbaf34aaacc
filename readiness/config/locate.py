"""Finds and loads the configuration that a command or a run works on."""

import os
from pathlib import Path

from readiness.config.files import locate
from readiness.config.loading import Loaded, load


def configured(explicit: Path | None) -> Loaded:
    """The loaded configuration.

    Raises:
        UsageError: there is none.
        ConfigError: it has mistakes.
    """
    return load(locate(explicit), os.environ)
