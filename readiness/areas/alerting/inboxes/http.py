"""Reads a channel over HTTP: whatever answers with the newest messages."""

from typing import Final
from urllib.parse import quote

from readiness.areas.alerting.config import HttpInbox
from readiness.areas.alerting.inboxes.message import TIMEOUT_S, Message, messages_in
from readiness.areas.alerting.inboxes.over_http import OverHttp
from readiness.lib.http import Session
from readiness.model.errors import NoData, NotPermitted

_OK: Final = 200
_LOGIN: Final = {401, 403}
_MAX_BYTES: Final = 32 * 1024 * 1024


class HttpReader(OverHttp):
    """See `Reader`."""

    poll_s = 0.02

    def __init__(self, inbox: HttpInbox) -> None:
        self._inbox = inbox
        super().__init__(Session(timeout_s=TIMEOUT_S, bearer=inbox.bearer))

    def read(self, probe: str) -> list[Message]:
        """See `Reader`."""
        query = self._inbox.query.replace("{probe}", quote(probe, safe=""))
        url = f"{self._inbox.url}?{query}" if query else self._inbox.url
        answer = self._session.get(url, max_bytes=_MAX_BYTES)
        if answer.status in _LOGIN:
            raise NotPermitted(
                str(answer), where=self._inbox.url, remedy="set `bearer` of this inbox"
            )
        if answer.status != _OK:
            raise NoData(str(answer), where=self._inbox.url, remedy="correct `url` of this inbox")
        return messages_in(answer.body.decode("utf-8", "replace"), probe, self._inbox.time_field)
