"""The option `--config` of all commands.

Stands alone: `readiness --help` imports it, and nothing heavier.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])


def config_option(function: _F) -> _F:
    """Add `--config` to a command."""
    return click.option(
        "--config", type=click.Path(path_type=Path), help="The readiness.toml to use."
    )(function)
