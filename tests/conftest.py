"""What all tests share: pytester, and gates in folders of their own."""

import signal
from collections.abc import Iterator

import hypothesis
import pytest

from readiness.model import secrets

# Started in the background of a script, we would hand on that Ctrl-C is ignored to every program
# that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A deadline for an example would be one for the machine.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

pytest_plugins = [
    "pytester",
    "tests.plugin.gates",
    "tests.support.leftovers",
    "tests.support.timescale_server",  # before servers, which imports it: assertions are rewritten
    "tests.support.servers",
    "tests.support.sharing",
]


@pytest.fixture(autouse=True)
def _secrets_are_forgotten() -> Iterator[None]:
    """What a test calls a secret is none in the next one, where it may be a word of a message."""
    known, ordered = secrets._known.copy(), secrets._ordered.copy()
    yield
    secrets._known.clear()
    secrets._known.update(known)
    secrets._ordered[:] = ordered
