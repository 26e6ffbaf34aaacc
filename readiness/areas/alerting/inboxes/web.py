"""Reads what arrived over HTTP: any text or JSON, Slack, PagerDuty."""

import json
from datetime import UTC, datetime, timedelta
from typing import Final, Self
from urllib.parse import quote

from pydantic import Field, TypeAdapter

from readiness.areas.alerting.config import HttpInbox, PagerDutyInbox, SlackInbox
from readiness.areas.alerting.inboxes.message import TIMEOUT_S, Message, messages_in, unix_time
from readiness.lib import api
from readiness.lib.http import Session
from readiness.model.errors import NoData, NotPermitted
from readiness.model.secrets import Secret


class OverHttp:
    """Holds the session that a reader asks through, from entering it to leaving it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> Self:
        self._session.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._session.__exit__(*exception)


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


_SLACK: Final = "Slack"
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
        history = api.shaped(_HISTORY, api.document(answer, _SLACK), answer, _SLACK)
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


_PAGERDUTY: Final = "PagerDuty"
_ACCEPT: Final = "application/vnd.pagerduty+json;version=2"
_SINCE: Final = timedelta(hours=1)


class _Incident(api.Reply):
    title: str
    status: str
    created_at: str
    changed_at: str = Field("", alias="last_status_change_at")


class _Incidents(api.Reply):
    incidents: tuple[_Incident, ...]


_INCIDENTS: Final = TypeAdapter(_Incidents)


class PagerDutyReader(OverHttp):
    """See `Reader`. An incident that ended counts as a second message, which says so."""

    # The REST API permits 960 calls a minute to an account.
    poll_s = 1.0

    def __init__(self, inbox: PagerDutyInbox) -> None:
        self._inbox = inbox
        token = Secret(f"token={inbox.token.reveal()}")
        super().__init__(Session(timeout_s=TIMEOUT_S, bearer=token, scheme="Token "))

    def read(self, probe: str) -> list[Message]:
        """See `Reader`."""
        asked = [
            ("service_ids[]", self._inbox.pagerduty_service),
            ("since", (datetime.now(UTC) - _SINCE).isoformat()),
            ("sort_by", "created_at:desc"),
            ("limit", "100"),
        ]
        answer = self._session.get(
            api.address(self._inbox.url, "/incidents", asked), accept=_ACCEPT,
            max_bytes=api.MAX_BYTES,
        )  # fmt: skip
        found = api.shaped(
            _INCIDENTS, api.document(answer, _PAGERDUTY), answer, _PAGERDUTY
        ).incidents
        messages = []
        for incident in reversed(found):
            if probe in incident.title:
                messages.append(Message(incident.title, unix_time(incident.created_at)))
                if incident.status == "resolved":
                    ended = f"resolved: {incident.title}"
                    messages.append(Message(ended, unix_time(incident.changed_at)))
        return messages
