"""A client of Alertmanager's API v2; each peer is asked separately."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Self

from pydantic import AliasPath, Field, TypeAdapter

from readiness.config.base.watching import Alertmanager as Settings
from readiness.lib import api
from readiness.lib.http import Answer, Session
from readiness.lib.prometheus import exposition
from readiness.lib.text import clean
from readiness.model.errors import NoData

_NAME: Final = "Alertmanager"
_OK: Final = 200
_GONE: Final = 410
_NOT_FOUND: Final = 404
Labels = Mapping[str, str]


class ClusterStatus(api.Reply):
    """The cluster state of one peer: `ready`, `settling` or `disabled`."""

    status: str
    peers: tuple[dict[str, str], ...] = ()


class Status(api.Reply):
    """The status of one peer.

    Attributes:
        cluster: its view of the other peers.
        config: its configuration as YAML, with defaults written out and secrets replaced.
        version: as `0.25.0`.
        uptime: since when it runs.
    """

    cluster: ClusterStatus
    config: str = Field(validation_alias=AliasPath("config", "original"))
    version: str = Field("unknown", validation_alias=AliasPath("versionInfo", "version"))
    uptime: datetime


class AlertStatus(api.Reply):
    """`unprocessed`, `active` or `suppressed`, and by what."""

    state: str
    silenced_by: tuple[str, ...] = Field((), alias="silencedBy")
    inhibited_by: tuple[str, ...] = Field((), alias="inhibitedBy")


class _Receiver(api.Reply):
    name: str


class HeldAlert(api.Reply):
    """One alert of a peer, with the receivers of its routes."""

    labels: dict[str, str]
    annotations: dict[str, str] = Field(default={})
    status: AlertStatus
    receivers_: tuple[_Receiver, ...] = Field((), alias="receivers")
    fingerprint: str = ""
    starts_at: datetime = Field(alias="startsAt")
    ends_at: datetime = Field(alias="endsAt")
    updated_at: datetime = Field(alias="updatedAt")

    @property
    def receivers(self) -> tuple[str, ...]:
        """The names of the receivers that it is routed to."""
        return tuple(receiver.name for receiver in self.receivers_)


class Matcher(api.Reply):
    """One condition on a label, as the API writes it."""

    name: str
    value: str
    is_regex: bool = Field(False, alias="isRegex")
    is_equal: bool = Field(True, alias="isEqual")


class Silence(api.Reply):
    """One silence; its state is `active`, `pending` or `expired`."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: datetime = Field(alias="startsAt")
    ends_at: datetime = Field(alias="endsAt")
    created_by: str = Field("", alias="createdBy")
    comment: str = ""
    state: str = Field(validation_alias=AliasPath("status", "state"))

    @property
    def active(self) -> bool:
        """Whether it silences now."""
        return self.state == "active"


class _SilenceId(api.Reply):
    id: str = Field(alias="silenceID")


@dataclass(frozen=True, slots=True)
class NewAlert:
    """An alert to send.

    Attributes:
        labels: its identity.
        annotations: its texts.
        starts_at: when it began; if in the past, `group_wait` is skipped.
        ends_at: when it ends by itself, in case the run is killed.
    """

    labels: Labels
    annotations: Labels
    starts_at: datetime
    ends_at: datetime

    def to_json(self) -> dict[str, object]:
        """As the API expects it; times are UTC, with their zone."""
        return {
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "startsAt": self.starts_at.astimezone(UTC).isoformat(),
            "endsAt": self.ends_at.astimezone(UTC).isoformat(),
        }


_STATUS: Final = TypeAdapter(Status)
_ALERTS: Final = TypeAdapter(tuple[HeldAlert, ...])
_SILENCES: Final = TypeAdapter(tuple[Silence, ...])
_SILENCE_ID: Final = TypeAdapter(_SilenceId)


class Peer:
    """One Alertmanager, a context manager.

    Every method raises `CouldNotMeasure`: `Unreachable`, `TookTooLong`, `NotPermitted` if it
    requires a login, `NoData` if something else answers or the request is refused.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        self.url = url
        self._session = Session(
            timeout_s=settings.timeout_s, bearer=settings.bearer, verify=settings.verify_tls
        )

    def __enter__(self) -> Self:
        self._session.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._session.__exit__(*exception)

    def status(self) -> Status:
        """Its configuration, its version, and its view of its peers."""
        return api.shaped(_STATUS, *self._json("GET", "/api/v2/status"), _NAME)

    def alerts(self, *filters: str) -> tuple[HeldAlert, ...]:
        """Its active alerts, including silenced and inhibited ones.

        Args:
            filters: matchers that must all hold, as `severity="critical"`.
        """
        asked = [("filter", text) for text in filters]
        return api.shaped(
            _ALERTS, *self._json("GET", api.address("", "/api/v2/alerts", asked)), _NAME
        )

    def post(self, alerts: Sequence[NewAlert]) -> None:
        """Send alerts. A 200 only means that they are in its memory."""
        self._json("POST", "/api/v2/alerts", [alert.to_json() for alert in alerts])

    def silences(self) -> tuple[Silence, ...]:
        """All silences, the expired ones too."""
        return api.shaped(_SILENCES, *self._json("GET", "/api/v2/silences"), _NAME)

    def silence(
        self, matchers: Sequence[Matcher], *, until: datetime, by: str, comment: str
    ) -> str:
        """Create a silence that begins now; gives its id."""
        body = {
            "matchers": [matcher.model_dump(by_alias=True) for matcher in matchers],
            "startsAt": datetime.now(UTC).isoformat(),
            "endsAt": until.astimezone(UTC).isoformat(),
            "createdBy": by,
            "comment": comment,
        }
        return api.shaped(_SILENCE_ID, *self._json("POST", "/api/v2/silences", body), _NAME).id

    def expire_silence(self, silence_id: str) -> None:
        """End a silence."""
        self._json("DELETE", f"/api/v2/silence/{silence_id}")

    def metrics(self) -> exposition.Exposition:
        """Its own metrics."""
        return exposition.parse(self._session.get(f"{self.url}/metrics", max_bytes=api.MAX_BYTES))

    def clock_offset_s(self) -> tuple[float, float]:
        """How far its clock is ahead of ours, and the uncertainty, both in seconds.

        The header `Date` has whole seconds: the uncertainty is at least half a second.

        Raises:
            NoData: the answer has no such header.
        """
        before = time.time()
        answer = self._session.get(f"{self.url}/-/ready")
        after = time.time()
        try:
            theirs = parsedate_to_datetime(answer.date).timestamp() + 0.5
        except ValueError:
            raise NoData("the answer has no Date header", where=answer.url) from None
        return theirs - (before + after) / 2, (after - before) / 2 + 0.5

    def _json(self, method: str, path: str, body: object = None) -> tuple[object, Answer]:
        sent = None if body is None else json.dumps(body).encode()
        answer = self._session.request(method, f"{self.url}{path}", sent, max_bytes=api.MAX_BYTES)
        if answer.status == _OK and not answer.body.strip():
            return None, answer
        if answer.status in {_NOT_FOUND, _GONE}:
            raise NoData(
                f"answered {answer.status}: no API v2 at this address",
                where=answer.url,
                remedy="name the address of Alertmanager itself, with its path prefix"
                " (--web.route-prefix) if it has one; versions before 0.16 are not supported",
            )
        found = api.document(answer, _NAME)
        if answer.status != _OK:
            raise NoData(
                f"answered {answer.status}: {clean(json.dumps(found), 300)}", where=answer.url
            )
        return found, answer
