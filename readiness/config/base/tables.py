"""The tables of `readiness.toml` that belong to no one area.

Every limit has a documented default. Lengths of time end in `_s`, `_ms` or `_h`.
"""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Self, TypeVar

from pydantic import Discriminator, Field, Tag

from readiness.config.base import (
    Count,
    EffectWord,
    Model,
    Name,
    Named,
    Path_,
    Positive,
    Text,
    Url,
)
from readiness.config.base.migrations import Migrations
from readiness.config.base.watching import Alertmanager, Prometheus
from readiness.model.check import Effect
from readiness.model.secrets import Dsn, Secret


class HttpMarker(Model):
    """Where the target says over HTTP which environment it is."""

    service: Name = Field(..., description="the [services.NAME] that serves it")
    path: Path_ = Field("/version", description="path that answers with a JSON object")
    field: Text = Field("environment", description="the key of the JSON answer")


class DatabaseMarker(Model):
    """Where the target says in a database which environment it is."""

    database: Name = Field(..., description="the [databases.NAME] that stores it")
    sql: Text = Field(
        "select environment from readiness_marker",
        description="statement that gives one row with one text",
    )


def _kind_of_marker(marker: object) -> str:
    """Which of the two a table means, so that only that one's mistakes are told."""
    if isinstance(marker, dict):
        return "DatabaseMarker" if {"database", "sql"} & marker.keys() else "HttpMarker"
    return type(marker).__name__ if isinstance(marker, Model) else "HttpMarker"


Marker = Annotated[
    Annotated[HttpMarker, Tag("HttpMarker")] | Annotated[DatabaseMarker, Tag("DatabaseMarker")],
    Discriminator(_kind_of_marker),
]


class Target(Model):
    """What is judged, and what may be done to it."""

    name: Name = Field(..., description="the name of the system, as the report shows it")
    environment: Name = Field(
        "production", description="what you believe it is; the target's own marker must agree"
    )
    release: Text = Field("unknown", description="the release or commit that is judged")
    deployer: str = Field("", description="who deploys this release; may not sign it off")
    note: str = Field("", description="what a reader of the report should know of the target")
    marker: Marker | None = Field(
        None, description="where the target itself says its environment; none means production"
    )
    allow: list[EffectWord] = Field(
        default=[Effect.OBSERVE], description="effects that checks may have on the target"
    )
    allow_in_production: list[EffectWord] = Field(
        default=[Effect.OBSERVE],
        description="the same, where the target's marker says production, or says nothing",
    )


class Gate(Model):
    """How the gate decides."""

    suites: list[Text] = Field(default=[], description="folders with checks of your own")
    not_applicable: dict[str, Text] = Field(
        default={}, description="suite or check id that does not apply here, with the reason"
    )
    independent: list[Annotated[list[Text], Field(min_length=1)]] = Field(
        default=[],
        description="drills that do not disturb each other: rows of suites or check ids; the rows"
        " run beside each other, instead of one drill after the other",
    )
    check_timeout_s: Positive = Field(1200, description="seconds; a slower check is an error")
    run_timeout_s: Positive = Field(3600, description="seconds; a run that takes longer is stopped")
    waiver_max_days: Count = Field(90, description="days; how far ahead a waiver may expire")


class Service(Named):
    """An HTTP service."""

    url: Url = Field(..., description="its address, as `https://api.example.com`")
    health: Path_ = Field("/health", description="path that tells status and version as JSON")
    ready: Path_ = Field("/health/ready", description="path that is 200 when it can serve")
    live: Path_ = Field("/health/live", description="path that is 200 when it need not restart")
    metrics: Path_ = Field("/metrics", description="path of the Prometheus metrics")
    timeout_s: Positive = Field(5, description="seconds until a request counts as unanswered")
    bearer: Secret | None = Field(None, description="token sent as `Authorization: Bearer`")
    verify_tls: bool = Field(True, description="whether its certificate must be valid")


class Database(Named):
    """A PostgreSQL database, as a monitoring role sees it."""

    dsn: Dsn = Field(..., description="where it is, and the monitoring role; no literal password")
    timeout_s: Positive = Field(10, description="seconds a connection or statement may take")
    migrations: Migrations | None = Field(None, description="how its schema is changed")


class Signoff(Model):
    """What a person attests for one release."""

    item: Name = Field(..., description="one of [signoffs] required")
    person: Text = Field(..., description="who attests it; not the deployer")
    evidence: Text = Field(..., description="a link or document number")
    release: Text = Field(..., description="the release it was given for; no other counts")
    expires: date = Field(..., description="last day (UTC) on which it counts")


class SignoffPolicy(Model):
    """Which sign-offs a release needs."""

    required: Annotated[list[Name], Field(min_length=1)] = Field(
        ..., description="the items that somebody must sign, by name"
    )


class Waiver(Model):
    """An accepted failure."""

    check: Text = Field(..., description="the id of the check, as `backup.age`")
    subject: str = Field("", description="one subject; empty for all of the check")
    owner: Text = Field(..., description="who mends it")
    approver: Text = Field(..., description="who accepted it")
    reason: Text = Field(..., description="why it may stay for now")
    expires: date = Field(..., description="last day (UTC) on which it counts")


class Config(Model):
    """What all areas may read of `readiness.toml`; each adds its own tables to a kind of this."""

    target: Target = Field(..., description="what is judged, and what may be done to it")
    gate: Gate = Field(Gate(), description="how the gate decides")
    services: Annotated[Mapping[Name, Service], Field(min_length=1)] = Field(
        default={}, description="the HTTP services, as [services.NAME]"
    )
    databases: Annotated[Mapping[Name, Database], Field(min_length=1)] = Field(
        default={}, description="the PostgreSQL databases, as [databases.NAME]"
    )
    prometheus: Prometheus | None = Field(None, description="the Prometheus that watches it")
    alertmanager: Alertmanager | None = Field(None, description="the Alertmanager that notifies")
    signoffs: SignoffPolicy | None = Field(None, description="which sign-offs a release needs")
    signoff: list[Signoff] = Field(default=[], description="what people attested")
    waiver: list[Waiver] = Field(default=[], description="failures that are accepted for a time")

    def named(self) -> Self:
        """The same, with its name and its place written into each table."""
        return _named(self)


_M = TypeVar("_M", bound=Model)


def _named(model: _M, place: str = "") -> _M:
    """Write into each table where it stands, and into a `Named` the key it stands under."""
    updates: dict[str, object] = {}
    for field, value in model:
        here = f"{place}.{field}" if place else field
        if isinstance(value, Model):
            updates[field] = _named(value, here)
        elif isinstance(value, list) and any(isinstance(item, Model) for item in value):
            updates[field] = [_named(item, f"{here}[{i}]") for i, item in enumerate(value)]
        elif isinstance(value, dict) and any(isinstance(item, Named) for item in value.values()):
            updates[field] = {
                name: _named(table, f"{here}.{name}").model_copy(update={"name": name})
                for name, table in sorted(value.items())
            }
    fields_set = set(model.model_fields_set)
    named = model.placed(place).model_copy(update=updates)
    named.model_fields_set.intersection_update(fields_set)
    return named
