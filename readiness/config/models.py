"""The models of `readiness.toml`: strict, so that a mistake is an error and never a default.

Every limit has a documented default. Lengths of time end in `_s`, `_ms` or `_h`.
"""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from readiness.check import Effect
from readiness.secrets import Dsn, Secret

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""A name that becomes part of check ids: letters, digits, `.`, `_`, `-`."""
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Path_ = Annotated[str, StringConstraints(pattern=r"^/\S*$", max_length=2000)]
Url = Annotated[
    str,
    StringConstraints(pattern=r"^https?://[^\s/?#]+[^\s?#]*$"),
    AfterValidator(lambda url: url.rstrip("/")),
]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Command = Annotated[list[str], Field(min_length=1)]


class Model(BaseModel):
    """Base of all tables: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Named(Model):
    """A table with a name of its own, `[services.NAME]`: the name is set by the loader."""

    name: Name = ""


class HttpMarker(Model):
    """Where the target says over HTTP which environment it is."""

    service: Name
    path: Path_ = "/version"
    field: Text = Field("environment", description="the key of the JSON answer")


class DatabaseMarker(Model):
    """Where the target says in a database which environment it is."""

    database: Name
    sql: Text = Field("select environment from readiness_marker")


class Target(Model):
    """What is judged, and what may be done to it."""

    name: Name
    environment: Name = Field(
        "production", description="what you believe it is; the target's own marker must agree"
    )
    release: Text = Field("unknown", description="the release or commit that is judged")
    deployer: str = Field("", description="who deploys this release; may not sign it off")
    marker: HttpMarker | DatabaseMarker | None = Field(
        None, description="where the target itself says its environment; none means production"
    )
    allow: list[Effect] = Field(
        default=[Effect.OBSERVE], description="effects that checks may have on the target"
    )
    allow_in_production: list[Effect] = Field(
        default=[Effect.OBSERVE],
        description="the same, where the target's marker says production, or says nothing",
    )


class Gate(Model):
    """How the gate decides."""

    suites: list[Text] = Field(default=[], description="folders with checks of your own")
    not_applicable: dict[str, Text] = Field(
        default={}, description="suite or check id that does not apply here, with the reason"
    )
    check_timeout_s: Positive = Field(300, description="a check that takes longer is an error")
    run_timeout_s: Positive = Field(3600, description="a run that takes longer is stopped")
    waiver_max_days: Count = Field(90, description="how far ahead a waiver may expire")


class Truth(Model):
    """A counter that must move by exactly what happened (monitoring.metrics-truth)."""

    path: Path_ = Field(..., description="a request that succeeds and that nobody else sends")
    counter: Text = Field(..., description='series, as `http_requests_total{route="/x"}`')
    requests: Count = 20
    error_path: Path_ = Field(..., description="a request that fails and is counted as an error")
    error_counter: Text
    errors: Count = 5


class Drill(Model):
    """How to take a dependency away from a service, and bring it back."""

    dependency: Text = Field(..., description="what is taken away, in words")
    away: Command = Field(..., description="the command that takes it away, as a list")
    back: Command = Field(..., description="the command that brings it back, as a list")
    within_s: Positive = Field(10, description="how soon ready must answer 503, and 200 again")


class Service(Named):
    """An HTTP service."""

    url: Url
    health: Path_ = "/health"
    ready: Path_ = "/health/ready"
    live: Path_ = "/health/live"
    metrics: Path_ = "/metrics"
    health_fields: list[Text] = Field(
        default=["status", "version"], description="keys that the JSON of `health` must have"
    )
    health_max_ms: Positive = Field(500, description="slowest of the answers of health endpoints")
    timeout_s: Positive = 5
    bearer: Secret | None = Field(None, description="token sent as `Authorization: Bearer`")
    verify_tls: bool = True
    truth: Truth | None = None
    drill: Drill | None = None


class Database(Named):
    """A PostgreSQL database, as a monitoring role sees it."""

    dsn: Dsn
    timeout_s: Positive = 10


class Prometheus(Model):
    """The Prometheus that watches the target."""

    url: Url
    timeout_s: Positive = 10


class Alertmanager(Model):
    """The Alertmanager, all peers of it."""

    urls: Annotated[list[Url], Field(min_length=1)]
    timeout_s: Positive = 10


class Backup(Named):
    """A logical backup: a folder of `pg_dump -Fc` files, each with a manifest beside it."""

    database: Name
    path: Text = Field(..., description="the folder the backups are written to")
    pattern: Text = "*.dump"
    max_age_h: Positive = Field(26, description="age of the newest one: a day and two hours")
    min_bytes: Count = Field(1024, description="a smaller file is no backup")
    rto_s: Positive = Field(900, description="longest restore, from start to the last index")
    scratch_dsn: Dsn | None = Field(
        None,
        description="an empty server to restore into; default: a private one on this machine",
    )


class WritePath(Model):
    """How the application itself writes rows: one HTTP request that stores many."""

    service: Name
    path: Path_
    method: Literal["POST", "PUT"] = "POST"
    body: Text = Field(..., description="the JSON body; `{n}` becomes a number never sent before")
    rows_per_request: Count = Field(..., description="rows that one request stores")
    count_sql: Text = Field(..., description="counts the rows that these requests stored")
    cleanup_sql: Text = Field(..., description="removes exactly those rows")
    dsn: Dsn = Field(..., description="a role that may run both statements")


class Ingest(Model):
    """A table that takes rows in."""

    name: Name
    table: Text = Field(..., description="schema.table whose shape is written to")
    dsn: Dsn = Field(..., description="a role that may create a schema and read the table")
    min_rows_per_s: Positive = 1000
    rows: Count = Field(20_000, description="rows a COPY sample writes")
    samples: Annotated[int, Field(ge=3)] = 5
    triggers: bool = Field(
        True, description="run the table's insert triggers too; what they write elsewhere stays"
    )
    write_path: WritePath | None = None


class Query(Model):
    """A query whose latency is promised."""

    name: Name
    dsn: Dsn = Field(..., description="the role the application uses, or one like it")
    sql: Text
    params: list[list[str | int | float | bool]] = Field(
        default=[[]], description="parameter sets, rotated; take them from real traffic"
    )
    max_p95_ms: Positive = 100
    samples: Annotated[int, Field(ge=59)] = Field(
        400, description="executions measured; 59 are the least that can bound a p95"
    )
    budget_s: Positive = Field(15, description="a slow query is measured less often than that")


class Performance(Model):
    """Performance baselines."""

    ingest: list[Ingest] = []
    queries: list[Query] = []


class Signoff(Model):
    """What a person attests for one release."""

    item: Name
    person: Text
    evidence: Text = Field(..., description="a link or document number")
    release: Text
    expires: date


class SignoffPolicy(Model):
    """Which sign-offs a release needs."""

    required: Annotated[list[Name], Field(min_length=1)]


class Waiver(Model):
    """An accepted failure."""

    check: Text
    subject: str = Field("", description="one subject; empty for all of the check")
    owner: Text
    approver: Text
    reason: Text
    expires: date


class Config(Model):
    """The whole of `readiness.toml`."""

    target: Target
    gate: Gate = Gate()
    services: dict[Name, Service] = {}
    databases: dict[Name, Database] = {}
    prometheus: Prometheus | None = None
    alertmanager: Alertmanager | None = None
    backup: dict[Name, Backup] = {}
    performance: Performance = Performance()
    signoffs: SignoffPolicy | None = None
    signoff: list[Signoff] = []
    waiver: list[Waiver] = []

    def named(self) -> Self:
        """The same, with each table's name written into it."""
        return self.model_copy(
            update={
                kind: {
                    name: table.model_copy(update={"name": name})
                    for name, table in sorted(getattr(self, kind).items())
                }
                for kind in ("services", "databases", "backup")
            }
        )
