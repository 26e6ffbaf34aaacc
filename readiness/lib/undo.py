"""What puts back what a probe changed, or ends what it started, should this process die."""

from collections.abc import Sequence
from typing import Protocol

from readiness.lib.watchdog import COMMAND_TIMEOUT_S


class Undo(Protocol):
    """Remembers commands and processes (`readiness.lib.guardian.Guardian` is one)."""

    def run(self, argv: Sequence[str], *, timeout_s: float = COMMAND_TIMEOUT_S) -> int:
        """Run this command when the process has died; returns a token for `forget`."""
        ...

    def kill(self, pid: int) -> int:
        """End this leader of a group, and its group, when the process has died; as for `run`."""
        ...

    def forget(self, token: int) -> None:
        """It has been done."""
        ...
