"""Reads a channel by a command of the user's."""

from typing import Self

from readiness.areas.alerting.config import CommandInbox
from readiness.areas.alerting.inboxes.message import TIMEOUT_S, Message, messages_in
from readiness.lib import command


class CommandReader:
    """See `Reader`. The command prints a JSON list, or one message a line."""

    poll_s = 0.5

    def __init__(self, inbox: CommandInbox) -> None:
        self._argv = inbox.command

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open."""

    def read(self, probe: str) -> list[Message]:
        """See `Reader`."""
        argv = [word.replace("{probe}", probe) for word in self._argv]
        printed = command.run(
            argv, "read the channel", "run it by hand; it prints the newest messages",
            timeout_s=TIMEOUT_S,
        )  # fmt: skip
        return messages_in(printed, probe, "at")
