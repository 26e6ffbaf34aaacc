"""What puts back what a probe changed, should this process die."""

from collections.abc import Sequence
from typing import Protocol

from readiness.watchdog import COMMAND_TIMEOUT_S


class Undo(Protocol):
    """Remembers commands (`readiness.guardian.Guardian` is one)."""

    def run(self, argv: Sequence[str], *, timeout_s: float = COMMAND_TIMEOUT_S) -> int:
        """Run this command when the process has died; returns a token for `forget`."""
        ...

    def forget(self, token: int) -> None:
        """It has been done."""
        ...
