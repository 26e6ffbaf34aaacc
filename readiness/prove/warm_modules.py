"""Imports everything that a run imports.

Stands alone: the fork server imports it by name, once, and importing it is its only purpose.
"""

import gc
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path


def _load() -> None:
    """Collect the suites once, so that pytest imports them as in a run."""
    # Modules and pytest options of the current folder must have no effect.
    sys.path[:] = [place for place in sys.path if place not in ("", str(Path.cwd()))]
    for name in [name for name in os.environ if name.startswith("PYTEST_")]:
        del os.environ[name]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    import pytest

    from readiness import report  # noqa: F401
    from readiness.lib import bundle
    from readiness.run import conclude, gate  # noqa: F401
    from readiness.run.plugin import appendix, controller, fixtures, running  # noqa: F401

    root, suites = str(bundle.root()), str(bundle.suites())
    settings = str(gate.INI)
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        pytest.main(
            [
                *("-c", settings, "--rootdir", root, "--confcutdir", root),
                *("-p", "pytest_benchmark.plugin", "--collect-only", "-q", suites),
            ]
        )
    gc.collect()
    gc.freeze()  # frozen objects stay shared with the forks


_load()
