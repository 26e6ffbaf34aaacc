"""The tables of `readiness.toml` that all areas share.

Durations end in `_s`, `_ms` or `_h`.
"""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import Discriminator, Field, Tag

from readiness.config.base import (
    Count,
    EffectWord,
    Image,
    Model,
    Name,
    Named,
    Page,
    Path_,
    Positive,
    Share,
    Text,
    Url,
)
from readiness.config.base.migrations import Migrations
from readiness.config.base.signoffs import Signoff, SignoffPolicy
from readiness.config.base.watching import Alertmanager, Prometheus
from readiness.model.check import Effect
from readiness.model.decision import Decision, Kind
from readiness.model.secrets import Dsn, Secret


class HttpMarker(Model):
    """The HTTP answer in which the target reports its environment."""

    service: Name = Field(..., description="the [services.NAME] that serves it")
    path: Path_ = Field("/version", description="path that answers with a JSON object")
    field: Text = Field("environment", description="the key of the JSON answer")


class DatabaseMarker(Model):
    """The database row in which the target reports its environment."""

    database: Name = Field(..., description="the [databases.NAME] that stores it")
    sql: Text = Field(
        "select environment from readiness_marker",
        description="statement that gives one row with one text",
    )


def _kind_of_marker(marker: object) -> str:
    """Which of the two a table means, so that only the mistakes of that one are reported."""
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
        "production", description="the expected environment; the target's own marker must agree"
    )
    release: Text = Field("unknown", description="the release or commit that is judged")
    image: Image | None = Field(
        None,
        description="the artifact that is judged, as `registry/app@sha256:...` or a digest alone;"
        " attestations and sign-offs are bound to it",
    )
    deployer: str = Field("", description="who deploys this release; may not sign it off")
    note: str = Field("", description="a sentence about the target for the report")
    marker: Marker | None = Field(
        None, description="where the target reports its environment; none means production"
    )
    allow: list[EffectWord] = Field(
        default=[Effect.OBSERVE], description="effects that checks may have on the target"
    )
    allow_in_production: list[EffectWord] = Field(
        default=[Effect.OBSERVE],
        description="the same if the target's marker is `production` or missing",
    )


class Gate(Model):
    """How the gate decides."""

    profile: Literal["core", "full"] | Annotated[list[Text], Field(min_length=1)] = Field(
        "core",
        description="what a verdict requires: `core` (what no area may lack, in the areas that this"
        " file declares), `full` (every check), or a list of check ids; what the file declares"
        " beyond it is judged and decides, too",
    )
    min_coverage: Share | None = Field(
        None,
        description="the least share of the required checks that must be judged, from 0 to 1; below"
        " it the verdict is INCOMPLETE",
    )
    suites: list[Text] = Field(default=[], description="folders with checks of your own")
    independent: list[Annotated[list[Text], Field(min_length=1)]] = Field(
        default=[],
        description="drills that do not disturb each other: lists of suites or check ids; the lists"
        " run in parallel",
    )
    check_timeout_s: Positive = Field(1200, description="seconds; a slower check is an error")
    run_timeout_s: Positive = Field(3600, description="seconds; a longer run is stopped")
    waiver_max_days: Count = Field(
        90, description="days; how far ahead a waiver may expire, or [[observe_only]] may end"
    )
    review_max_days: Count = Field(
        366, description="days; how far ahead the review of [[not_applicable]] may be"
    )
    history: Dsn | None = Field(
        None,
        description="a PostgreSQL database for the records of earlier runs, where several pipelines"
        " share them; no literal password; default: files in `history/` beside the reports",
    )


class Links(Model):
    """Where people on call look; the page shows it beside the verdict."""

    dashboard: Url | None = Field(None, description="address of the dashboard")
    runbook: Url | None = Field(None, description="address of the runbook")


class Service(Named):
    """An HTTP service."""

    url: Url = Field(..., description="its address, as `https://api.example.com`")
    health: Path_ = Field(
        "/health", description="path that answers with status and version as JSON"
    )
    ready: Path_ = Field("/health/ready", description="path that answers 200 while it can serve")
    live: Path_ = Field(
        "/health/live", description="path that answers 200 unless it needs a restart"
    )
    metrics: Page = Field(
        "/metrics",
        description="path of the Prometheus metrics, or their whole address where another port or"
        " exporter serves them; `bearer` is sent to the host and port of `url` only",
    )
    timeout_s: Positive = Field(5, description="seconds; time-out of a request")
    bearer: Secret | None = Field(None, description="token sent as `Authorization: Bearer`")
    verify_tls: bool = Field(True, description="whether its certificate must be valid")

    @property
    def metrics_url(self) -> str:
        """The whole address of the metrics."""
        return f"{self.url}{self.metrics}" if self.metrics.startswith("/") else self.metrics

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """Its addresses."""
        paths = {"HEALTH_URL": self.health, "READY_URL": self.ready, "LIVE_URL": self.live}
        pages = {word: f"{self.url}{path}" for word, path in paths.items()}
        return {"URL": self.url, "METRICS_URL": self.metrics_url, **pages}


class Database(Named):
    """A PostgreSQL database."""

    dsn: Dsn = Field(
        ..., description="connection string of the monitoring role; no literal password"
    )
    timeout_s: Positive = Field(10, description="seconds a connection or statement may take")
    migrations: Migrations | None = Field(None, description="how its schema is changed")

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """Its name in the file."""
        return {"DATABASE_NAME": self.name}


_WHAT: Final = (
    "a check id, `id[subject]`, an area, or a pattern of these with `*`, as `backup` or `scaling.*`"
)


class Waiver(Model):
    """An accepted failure."""

    check: Text = Field(..., description="the id of the check, as `backup.fresh`")
    subject: str = Field("", description="one subject; empty for all of the check")
    error: str = Field(
        "",
        description="accept an error instead of a failure: text that each of its causes must"
        " contain; any other error still counts",
    )
    owner: Text = Field(..., description="who is responsible for the fix")
    approver: Text = Field(..., description="who accepted it")
    reason: Text = Field(..., description="justification")
    expires: date = Field(..., description="last day (UTC) on which it counts")

    @property
    def decision(self) -> Decision:
        """As the engine and the record know it."""
        return Decision(
            kind=Kind.WAIVER,
            what=f"{self.check}[{self.subject}]" if self.subject else self.check,
            **self.model_dump(include={"owner", "approver", "reason", "expires", "error"}),
        )


class NotApplicable(Model):
    """A decision that a check does not apply to the target; it is listed on the page."""

    what: Text | Annotated[list[Text], Field(min_length=1)] = Field(
        ..., description=f"{_WHAT}; or a list of these, where one reason covers them all"
    )
    reason: Text = Field(..., description="why it does not apply")
    owner: Text = Field(..., description="who answers for it")
    approver: Text = Field(..., description="who agreed")
    review: date = Field(
        ..., description="last day (UTC) on which it counts; after it the checks are required again"
    )

    @property
    def each(self) -> list[str]:
        """What it excuses, one by one."""
        return [self.what] if isinstance(self.what, str) else self.what

    @property
    def decisions(self) -> list[Decision]:
        """As the engine and the record know it, one for each."""
        said = self.model_dump(include={"owner", "approver", "reason"})
        return [
            Decision(kind=Kind.NOT_APPLICABLE, what=what, expires=self.review, **said)
            for what in self.each
        ]


class ObserveOnly(Model):
    """A check that is judged and shown, and does not decide until a day."""

    what: Text = Field(..., description=f"{_WHAT}, or `*` for all")
    reason: Text = Field(..., description="why it does not decide yet")
    owner: Text = Field(..., description="who prepares the day on which it decides")
    until: date = Field(..., description="last day (UTC) on which it does not decide")

    @property
    def decision(self) -> Decision:
        """As the engine and the record know it."""
        return Decision(
            kind=Kind.OBSERVE_ONLY,
            expires=self.until,
            **self.model_dump(include={"what", "owner", "reason"}),
        )


class Config(Model):
    """The tables that all areas may read; each area adds its own in a subclass."""

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
    links: Links = Field(Links(), description="links for people on call, shown on the page")
    signoffs: SignoffPolicy | None = Field(None, description="which sign-offs a release needs")
    signoff: list[Signoff] = Field(default=[], description="the sign-offs")
    waiver: list[Waiver] = Field(default=[], description="accepted failures")
    not_applicable: list[NotApplicable] = Field(
        default=[], description="what does not apply to the target"
    )
    observe_only: list[ObserveOnly] = Field(
        default=[], description="what is judged and does not decide yet"
    )

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """All decisions: waivers first, each kind in the order of the file."""
        return (
            *(one.decision for one in self.waiver),
            *(decision for one in self.not_applicable for decision in one.decisions),
            *(one.decision for one in self.observe_only),
        )

    def named(self) -> Self:
        """The same, with name and place set in each table."""
        return _named(self)


_M = TypeVar("_M", bound=Model)


def _named(model: _M, place: str = "") -> _M:
    """Set the place of each table, and the name of each `Named`."""
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
