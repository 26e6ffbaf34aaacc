"""Reads a Slack channel, by `conversations.history` of the Web API.

https://docs.slack.dev/reference/methods/conversations.history
"""

import json
from typing import Final

from pydantic import TypeAdapter

from readiness.areas.alerting.config import SlackInbox
from readiness.areas.alerting.inboxes.message import TIMEOUT_S, Message, messages_in
from readiness.areas.alerting.inboxes.over_http import OverHttp
from readiness.lib import api
from readiness.lib.http import Session
from readiness.model.errors import NotPermitted

_NAME: Final = "Slack"
_NEWEST: Final = "100"


class _History(api.Reply):
    ok: bool
    error: str = ""
    messages: tuple[dict[str, object], ...] = ()


_HISTORY: Final = TypeAdapter(_History)


class SlackReader(OverHttp):
    """See `Reader`."""

    # Slack permits fifty calls a minute to workspaces of one's own apps (tier 3).
    poll_s = 1.5

    def __init__(self, inbox: SlackInbox) -> None:
        self._inbox = inbox
        super().__init__(Session(timeout_s=TIMEOUT_S, bearer=inbox.token))

    def read(self, probe: str) -> list[Message]:
        """See `Reader`."""
        asked = {"channel": self._inbox.slack_channel, "limit": _NEWEST}
        answer = self._session.get(
            api.address(self._inbox.url, "/conversations.history", asked), max_bytes=api.MAX_BYTES
        )
        history = api.shaped(_HISTORY, api.document(answer, _NAME), answer, _NAME)
        if not history.ok:
            raise NotPermitted(
                f"Slack refuses to read the channel: {history.error}",
                where=answer.url,
                remedy="give the token the scope channels:history (groups:history for a private"
                " channel), and invite its bot into the channel",
            )
        return [
            Message(parsed.text, _time(message.get("ts")))
            for message in reversed(history.messages)
            for parsed in messages_in(json.dumps([message]), probe, "")
        ]


def _time(ts: object) -> float | None:
    """Slack's `ts` is Unix time, with a part behind the point that makes it unique."""
    try:
        return float(ts) if isinstance(ts, str) else None
    except ValueError:
        return None
