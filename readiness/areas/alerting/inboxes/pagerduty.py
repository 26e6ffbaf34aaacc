"""Reads the incidents of a PagerDuty service, by its REST API v2.

https://developer.pagerduty.com/api-reference/9d0b4b12e36f9-list-incidents
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import Field, TypeAdapter

from readiness.areas.alerting.config import PagerDutyInbox
from readiness.areas.alerting.inboxes.message import TIMEOUT_S, Message, unix_time
from readiness.areas.alerting.inboxes.over_http import OverHttp
from readiness.lib import api
from readiness.lib.http import Session
from readiness.model.secrets import Secret

_NAME: Final = "PagerDuty"
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
        found = api.shaped(_INCIDENTS, api.document(answer, _NAME), answer, _NAME).incidents
        messages = []
        for incident in reversed(found):
            if probe in incident.title:
                messages.append(Message(incident.title, unix_time(incident.created_at)))
                if incident.status == "resolved":
                    ended = f"resolved: {incident.title}"
                    messages.append(Message(ended, unix_time(incident.changed_at)))
        return messages
