"""The programs that tests start: found as the product finds them, and downloaded if need be."""

import os
from typing import Final, NoReturn

import pytest

from readiness.servers import programs
from readiness.servers.programs import AbsentError, Program

NEEDED: Final = "READINESS_TEST_NEEDS_PROGRAMS"
"""The variable that makes a failure of what would be a skip: for a place that must have all."""


def needed(program: Program) -> str:
    """The path of a program. Skips the test where it cannot be had."""
    try:
        return programs.get(program)
    except AbsentError as problem:
        skip(problem)


def skip(problem: AbsentError) -> NoReturn:
    """Skip the test that needs what is absent, or fail it where all must be there."""
    if os.environ.get(NEEDED):
        pytest.fail(f"{NEEDED} is set: {problem.sentence}")
    pytest.skip(problem.sentence)
