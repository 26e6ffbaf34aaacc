"""Sends a test event to Sentry, or to a server with the same API, and reads it back."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

from readiness.areas.monitoring.config import ErrorTracker
from readiness.lib import api
from readiness.lib.http import Answer, Session
from readiness.lib.retry import until
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement
from readiness.model.secrets import Secret, register

_NAME: Final = "the error tracker"
_OK: Final = 200
_NOT_FOUND: Final = 404
_ENVELOPE: Final = "application/x-sentry-envelope"
_TEXT: Final = "Test event of the production readiness gate: nothing is wrong"


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the test event.

    Attributes:
        event: its id, 32 hexadecimal digits.
        accepted: the status of the answer to it.
        readable_s: seconds until it could be read; None where it could not within the limit.
        reading: the request that reads it.
    """

    event: str
    accepted: Measurement
    readable_s: float | None
    reading: str


@dataclass(frozen=True, slots=True)
class _Ingest:
    """The address in a DSN: `https://KEY@host/prefix/PROJECT`."""

    url: str
    key: str


def send_and_read(tracker: ErrorTracker) -> Sent:
    """Send one event as an SDK does, and request it until it can be read.

    Raises:
        NotPermitted: the token may not read events.
        CouldNotMeasure: the DSN is not valid, or there is no answer.
    """
    event = uuid4().hex
    accepted = _send(tracker, event)
    reading = (
        f"{tracker.url}/api/0/projects/{tracker.organization}/{tracker.project}/events/{event}/"
    )
    measured = Measurement(
        "status of the test event", accepted.status, "status", f"POST {accepted.url}"
    )
    if accepted.status != _OK:
        return Sent(event, measured, None, f"GET {reading}")
    began = time.monotonic()
    with Session(timeout_s=tracker.timeout_s, bearer=tracker.token, verify=True) as session:
        answer = until(
            lambda: _read(session, reading),
            lambda found: found is not None,
            within_s=tracker.within_s,
        )
    readable_s = None if answer is None else time.monotonic() - began
    return Sent(event, measured, readable_s, f"GET {reading}")


def _send(tracker: ErrorTracker, event: str) -> Answer:
    place = _ingest(tracker.dsn)
    with Session(timeout_s=tracker.timeout_s) as session:
        return session.post(
            place.url,
            _envelope(event),
            content_type=_ENVELOPE,
            more={
                "x-sentry-auth": "Sentry sentry_version=7, sentry_client=readiness/1,"
                f" sentry_key={place.key}"
            },
        )


def _read(session: Session, address: str) -> Answer | None:
    """The event, or None as long as it cannot be read.

    Raises:
        NotPermitted, NoData: the answer is neither an event nor a 404.
    """
    answer = session.get(address)
    found = api.document(answer, _NAME, "token")
    if answer.status == _NOT_FOUND:
        return None
    if answer.status != _OK or not isinstance(found, dict) or "eventID" not in found:
        raise NoData(f"answered {answer.status}, without an event", where=answer.url)
    return answer


def _ingest(dsn: Secret) -> _Ingest:
    parts = urlsplit(dsn.reveal())
    prefix, _, project = parts.path.rpartition("/")
    if not (parts.scheme in {"http", "https"} and parts.username and parts.hostname and project):
        raise CouldNotMeasure(
            "is not a valid DSN of an error tracker",
            where="[error_tracker] dsn",
            remedy="write it as https://KEY@sentry.example.com/PROJECT_NUMBER",
        )
    register(parts.username)
    host = parts.netloc.rpartition("@")[2]
    return _Ingest(f"{parts.scheme}://{host}{prefix}/api/{project}/envelope/", parts.username)


def _envelope(event: str) -> bytes:
    now = datetime.now(UTC).isoformat()
    payload = json.dumps(
        {
            "event_id": event,
            "timestamp": now,
            "platform": "other",
            "level": "info",
            "logger": "readiness",
            "message": {"formatted": _TEXT},
            "tags": {"readiness_probe": event},
        }
    )
    lines = (
        json.dumps({"event_id": event, "sent_at": now}),
        json.dumps({"type": "event", "length": len(payload.encode())}),
        payload,
    )
    return "\n".join(lines).encode() + b"\n"
