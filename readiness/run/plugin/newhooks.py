"""The hooks that the plugin offers. Alone, since pytest takes every function of this module."""

from typing import TYPE_CHECKING

import pytest

# Not imported at run time: pytest loads this module even where nothing is judged.
if TYPE_CHECKING:
    from readiness.model.record import RunRecord


def pytest_readiness_concluded(config: pytest.Config, record: "RunRecord") -> None:
    """The record is sealed and every report is written; for outputs of your own.

    Called once, in the controlling process, for a run that was judged. It cannot change the record,
    the reports or the exit code: an exception is only printed.

    Args:
        config: of pytest.
        record: of the run.
    """
