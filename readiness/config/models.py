"""The models of `readiness.toml`: strict, so that a mistake is an error and never a default.

Every limit has a documented default. Lengths of time end in `_s`, `_ms` or `_h`.
"""

from datetime import date
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Discriminator, Field, Tag

from readiness.areas.alerting.config import Alerting, Alertmanager
from readiness.areas.backup.config import Backup
from readiness.areas.database.config import Database
from readiness.areas.deployment.config import Deployment
from readiness.areas.monitoring.config import ErrorTracker, Grafana, Prometheus
from readiness.areas.scaling.config import Scaling
from readiness.config.base import (
    Body,
    Command,
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


class Truth(Model):
    """A counter that must move by exactly what happened (monitoring.metrics-truth)."""

    path: Path_ = Field(..., description="a request that succeeds and that nobody else sends")
    counter: Text = Field(..., description='series, as `http_requests_total{route="/x"}`')
    requests: Count = Field(20, description="how many of them are sent")
    error_path: Path_ = Field(..., description="a request that fails and is counted as an error")
    error_counter: Text = Field(..., description="the series that counts the failed ones")
    errors: Count = Field(5, description="how many failing requests are sent")


class Drill(Model):
    """How to take a dependency away from a service, and bring it back."""

    dependency: Text = Field(..., description="what is taken away, in words")
    away: Command = Field(..., description="the command that takes it away, as a list")
    back: Command = Field(..., description="the command that brings it back, as a list")
    within_s: Positive = Field(10, description="seconds until ready must answer 503, and 200 again")


class Service(Named):
    """An HTTP service."""

    url: Url = Field(..., description="its address, as `https://api.example.com`")
    health: Path_ = Field("/health", description="path that tells status and version as JSON")
    ready: Path_ = Field("/health/ready", description="path that is 200 when it can serve")
    live: Path_ = Field("/health/live", description="path that is 200 when it need not restart")
    metrics: Path_ = Field("/metrics", description="path of the Prometheus metrics")
    health_fields: Annotated[list[Text], Field(min_length=1)] = Field(
        default=["status", "version"], description="keys that the JSON of `health` must have"
    )
    health_max_ms: Positive = Field(
        500, description="milliseconds; median of five answers of each health endpoint"
    )
    timeout_s: Positive = Field(5, description="seconds until a request counts as unanswered")
    bearer: Secret | None = Field(None, description="token sent as `Authorization: Bearer`")
    verify_tls: bool = Field(True, description="whether its certificate must be valid")
    private: list[Path_] = Field(
        default=[], description="paths that must refuse whoever has no credentials, as `/admin`"
    )
    truth: Truth | None = Field(None, description="a counter that is compared with what was sent")
    drill: Drill | None = Field(None, description="how to take a dependency away and bring it back")


class WritePath(Model):
    """How the application itself writes rows: one HTTP request that stores many."""

    service: Name = Field(..., description="the [services.NAME] that takes the request")
    path: Path_ = Field(..., description="path of the request")
    method: Literal["POST", "PUT"] = Field("POST", description="method of the request")
    body: Body = Field(..., description="the JSON body; `{n}` becomes a number never sent before")
    rows_per_request: Count = Field(..., description="rows that one request stores")
    count_sql: Text = Field(..., description="counts the rows that these requests stored")
    cleanup_sql: Text = Field(..., description="removes exactly those rows")
    dsn: Dsn = Field(..., description="a role that may run both statements")


class Ingest(Model):
    """A table that takes rows in."""

    name: Name = Field(..., description="its name in the report")
    table: Text = Field(..., description="schema.table whose shape is written to")
    dsn: Dsn = Field(..., description="a role that may create a schema and read the table")
    min_rows_per_s: Positive = Field(1000, description="rows a second that it must take at least")
    rows: Count = Field(20_000, description="rows a COPY sample writes")
    samples: Annotated[int, Field(ge=3)] = Field(5, description="how often the COPY is measured")
    triggers: bool = Field(
        True, description="run the table's insert triggers too; what they write elsewhere stays"
    )
    write_path: WritePath | None = Field(None, description="how the application writes rows")


class Query(Model):
    """A query whose latency is promised."""

    name: Name = Field(..., description="its name in the report")
    dsn: Dsn = Field(..., description="the role the application uses, or one like it")
    sql: Text = Field(..., description="the statement, with `%s` for each parameter")
    params: Annotated[list[list[str | int | float | bool]], Field(min_length=1)] = Field(
        default=[[]], description="parameter sets, rotated; take them from real traffic"
    )
    max_p95_ms: Positive = Field(100, description="milliseconds; slowest p95 that is promised")
    max_stall_ms: Positive = Field(
        1000, description="milliseconds; slowest single execution, which a percentile hides"
    )
    samples: Annotated[int, Field(ge=59)] = Field(
        400, description="executions measured; 59 are the least that can bound a p95"
    )
    budget_s: Positive = Field(15, description="seconds; a slow query is measured less often")


class Performance(Model):
    """Performance baselines."""

    ingest: Annotated[list[Ingest], Field(min_length=1)] = Field(
        default=[], description="tables that take rows in, as [[performance.ingest]]"
    )
    queries: Annotated[list[Query], Field(min_length=1)] = Field(
        default=[], description="queries with a promised latency, as [[performance.queries]]"
    )


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
    """The whole of `readiness.toml`."""

    target: Target = Field(..., description="what is judged, and what may be done to it")
    gate: Gate = Field(Gate(), description="how the gate decides")
    services: Annotated[dict[Name, Service], Field(min_length=1)] = Field(
        default={}, description="the HTTP services, as [services.NAME]"
    )
    databases: Annotated[dict[Name, Database], Field(min_length=1)] = Field(
        default={}, description="the PostgreSQL databases, as [databases.NAME]"
    )
    prometheus: Prometheus | None = Field(None, description="the Prometheus that watches it")
    alertmanager: Alertmanager | None = Field(None, description="the Alertmanager that notifies")
    grafana: Grafana | None = Field(None, description="the dashboards, and what shows them")
    error_tracker: ErrorTracker | None = Field(None, description="where errors are collected")
    alerting: Alerting | None = Field(None, description="how people are told")
    backup: Annotated[dict[Name, Backup], Field(min_length=1)] = Field(
        default={}, description="the backups, as [backup.NAME]"
    )
    scaling: Annotated[dict[Name, Scaling], Field(min_length=1)] = Field(
        default={}, description="the workloads that scale themselves, as [scaling.NAME]"
    )
    deployment: Deployment | None = Field(
        None, description="how the target changes its release, and what that may cost"
    )
    performance: Performance = Field(Performance(), description="performance baselines")
    signoffs: SignoffPolicy | None = Field(None, description="which sign-offs a release needs")
    signoff: list[Signoff] = Field(default=[], description="what people attested")
    waiver: list[Waiver] = Field(default=[], description="failures that are accepted for a time")

    def named(self) -> Self:
        """The same, with each table's name written into it, and the release into `deployment`."""
        named = _named(self)
        if named.deployment is None or named.deployment.release:
            return named
        deployment = named.deployment.model_copy(update={"release": named.target.release})
        return named.model_copy(update={"deployment": deployment})


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
