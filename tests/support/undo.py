"""Stands in for the guardian where a test wants to see what is registered with it."""

from collections.abc import Sequence


class Undo:
    """Stands in for the guardian: what is registered now."""

    def __init__(self) -> None:
        self.commands: dict[int, list[str]] = {}
        self.processes: dict[int, int] = {}
        self.ever = 0

    def run(self, argv: Sequence[str], *, timeout_s: float = 30) -> int:  # noqa: ARG002
        self.ever += 1
        self.commands[self.ever] = list(argv)
        return self.ever

    def kill(self, pid: int) -> int:
        self.ever += 1
        self.processes[self.ever] = pid
        return self.ever

    def forget(self, token: int) -> None:
        if self.processes.pop(token, None) is None:
            del self.commands[token]
