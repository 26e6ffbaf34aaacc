"""What monitoring sees from outside: private pages, blackbox probes, the error tracker."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

from readiness.areas.monitoring.config import ErrorTracker, Service
from readiness.config.base.watching import BlackboxProbe
from readiness.lib import api, http
from readiness.lib.http import Answer, Session
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Sample
from readiness.lib.retry import until
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement
from readiness.model.secrets import Secret, register

_SUCCESSES: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
_REFUSALS: Final = {401, 403, 407}
_DAY_S: Final = 86400
# Two of the usual intervals of 15 s.
_PATIENCE_S: Final = 30.0
_NAME: Final = "the error tracker"
_OK: Final = 200
_SHOWN: Final = 5
_NOT_FOUND: Final = 404
_ENVELOPE: Final = "application/x-sentry-envelope"
_TEXT: Final = "Test event of the production readiness gate: nothing is wrong"


def refusal(service: Service, path: str) -> Measurement:
    """What a page answers without credentials: `refused`, or `open`.

    Raises:
        NoData: it is neither, as it does not exist, rejects GET, or redirects elsewhere.
        CouldNotMeasure: and its kinds, see `http.get`.
    """
    answer = http.get(
        f"{service.url}{path}", timeout_s=service.timeout_s, verify=service.verify_tls
    )
    said = f"{answer.status} to {answer.location}" if answer.location else str(answer.status)
    return Measurement(
        f"{path} without credentials", _verdict(answer), "text", f"GET {answer.url}: {said}"
    )


def control(service: Service, path: str) -> Measurement | None:
    """The status of a page with the service's token; None without a token.

    Raises:
        NoData: the token does not open it either, so that the refusal proves nothing.
    """
    if service.bearer is None:
        return None
    answer = http.ask(service, path)
    if answer.status not in _SUCCESSES:
        raise NoData(
            f"answers {answer.status} with the token too, so that a refusal proves nothing",
            where=answer.url,
            remedy="set `bearer` to a token that opens the page, or correct the path",
        )
    return Measurement(f"{path} with the token", answer.status, "status", f"GET {answer.url}")


def _verdict(answer: Answer) -> str:
    if answer.status in _SUCCESSES:
        return "open"
    if answer.status in _REFUSALS or answer.redirects_to_login:
        return "refused"
    raise _neither(answer)


def _neither(answer: Answer) -> CouldNotMeasure:
    if answer.status in _REDIRECTS:
        return NoData(
            f"answered {answer.status} and redirects to {answer.location or 'nowhere'}, which is"
            " not recognized as a login",
            where=answer.url,
            remedy="set `private` to the page that it redirects to",
        )
    return NoData(
        f"answered {answer.status}: a GET finds no page there that could be protected",
        where=answer.url,
        remedy="correct `private` in [services.NAME]: pages that a GET with credentials opens",
    )


def successes(prometheus: Prometheus, probe: BlackboxProbe) -> list[Measurement]:
    """Whether the probe of each exporter succeeded: 1 or 0.

    Waits up to 30 s for the first result, and for a failed probe to succeed.

    Raises:
        NoData: no exporter probes that address.
    """
    found = _samples(prometheus, probe, "probe_success{%s}", lambda value: value == 1)
    return [
        Measurement(
            f"probe of {probe.instance} by {sample.labels.get('job', 'an exporter')}",
            int(sample.value),
            "status",
            f"{prometheus.url}: {sample}",
        )
        for sample in found
    ]


def certificate_days(prometheus: Prometheus, probe: BlackboxProbe) -> list[Measurement]:
    """Days until the first certificate of the chain expires; negative if it has expired.

    Raises:
        NoData: no exporter probes that address by TLS.
    """
    asked = "probe_ssl_earliest_cert_expiry{%s} - time()"
    found = _samples(prometheus, probe, asked, lambda _: True)
    return [
        Measurement(
            f"days until the certificate of {probe.instance} ends",
            sample.value / _DAY_S,
            "d",
            f"{prometheus.url}: {asked % _matcher(probe)}",
        )
        for sample in found
    ]


def _samples(
    prometheus: Prometheus, probe: BlackboxProbe, asked: str, good: Callable[[float], bool]
) -> tuple[Sample, ...]:
    asked %= _matcher(probe)
    found = until(
        lambda: prometheus.query(asked),
        lambda samples: bool(samples) and all(good(sample.value) for sample in samples),
        within_s=_PATIENCE_S,
    )
    if not found:
        raise NoData(
            f"no blackbox exporter probes {probe.instance}, or Prometheus does not scrape it"
            f"{_there_is(prometheus)}",
            where=f"{prometheus.url}: {asked}",
            remedy="add the address to the targets of the blackbox job in prometheus.yml, and let"
            " its relabel_configs copy __param_target to instance; or correct `instance` in"
            f" [prometheus.probes.{probe.name}]",
        )
    return found


def _there_is(prometheus: Prometheus) -> str:
    """The instances under which there are probes; without relabeling that is the exporter."""
    there = {
        (s.labels.get("job", ""), s.labels.get("instance", ""))
        for s in prometheus.query("probe_success")
    }
    shown = [f"{instance} (job {job})" for job, instance in sorted(there)[:_SHOWN]]
    more = f", and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
    return f"; there are probes with the instance {', '.join(shown)}{more}" if shown else ""


def _matcher(probe: BlackboxProbe) -> str:
    return f"instance={json.dumps(probe.instance, ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class Sent:
    """The result of sending the test event.

    Attributes:
        event: its id, 32 hexadecimal digits.
        accepted: the status of the answer to it.
        readable_s: seconds until it could be read; None if not within the limit.
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
