"""The tables of monitoring: dashboards, error tracker, and the health of services."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import (
    Command,
    Count,
    File,
    Model,
    Name,
    Named,
    Path_,
    Positive,
    Text,
    Url,
    tables,
)
from readiness.model.secrets import Secret


class Dashboard(Named):
    """A dashboard, `[grafana.dashboards.NAME]`, from Grafana or from a file with its JSON."""

    uid: Text | None = Field(None, description="its uid in Grafana")
    file: File | None = Field(
        None, description="its JSON, as exported; judged against [prometheus], without a Grafana"
    )
    min_panels: Count = Field(11, description="fewest panels with a query that it must have")
    variables: dict[str, Text] = Field(
        default={}, description="values of its variables, in place of those it was saved with"
    )
    may_be_empty: list[Text] = Field(
        default=[], description="titles of panels that are empty while all is well"
    )
    window_s: Positive = Field(
        3600, description="seconds; the range that its panels are queried for"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.uid is None) is (self.file is None):
            raise PydanticCustomError("one_of", "needs either `uid` or `file`, and not both")
        return self


class Grafana(Model):
    """The dashboards, and the Grafana that shows them."""

    name: ClassVar[str] = "grafana"

    url: Url | None = Field(None, description="its address; not needed for dashboards from files")
    token: Secret | None = Field(None, description="token of a service account that may read")
    timeout_s: Positive = Field(10, description="seconds until a request counts as unanswered")
    verify_tls: bool = Field(True, description="whether its certificate must be valid")
    datasources: list[Text] = Field(
        default=[], description="uids of the data sources that must be healthy"
    )
    dashboards: Annotated[dict[Name, Dashboard], Field(min_length=1)] = Field(
        default={}, description="the dashboards, as [grafana.dashboards.NAME]"
    )

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """Its address."""
        return {"GRAFANA": self.url} if self.url else {}


class ErrorTracker(Model):
    """Where errors of the application are collected: Sentry, or a server with the same API."""

    name: ClassVar[str] = "error-tracker"

    dsn: Secret = Field(..., description="the DSN that events are sent to")
    url: Url = Field("https://sentry.io", description="address of its web API")
    token: Secret = Field(..., description="token of its web API that may read events")
    organization: Text = Field(..., description="slug of the organization")
    project: Text = Field(..., description="slug of the project")
    within_s: Positive = Field(60, description="seconds until a test event must be readable")
    timeout_s: Positive = Field(10, description="seconds until a request counts as unanswered")


class Truth(Model):
    """Counters that must count exactly the requests that are sent (monitoring.metrics-truth)."""

    path: Path_ = Field(..., description="a request that succeeds and that no other client sends")
    counter: Text = Field(..., description='series, as `http_requests_total{route="/x"}`')
    requests: Count = Field(20, description="how many of them are sent")
    error_path: Path_ = Field(..., description="a request that fails and is counted as an error")
    error_counter: Text = Field(..., description="the series that counts the failed ones")
    errors: Count = Field(5, description="how many failing requests are sent")


class Drill(Model):
    """How to take a dependency away from a service, and restore it."""

    dependency: Text = Field(..., description="what is taken away, in words")
    away: Command = Field(..., description="the command that takes it away, as a list")
    back: Command = Field(..., description="the command that restores it, as a list")
    within_s: Positive = Field(10, description="seconds until ready must answer 503, and 200 again")


class UserPath(Named):
    """A path that users take, `[services.NAME.paths.NAME]`, as they must see it."""

    path: Path_ = Field(..., description="the path, as `/` or `/search?q=tea`; requested by GET")
    status: Count = Field(200, description="the status that it must answer")
    contains: Annotated[list[Text], Field(min_length=1)] = Field(
        ..., description="texts that each answer must contain, as `Add to cart`"
    )
    max_ms: Positive = Field(
        ..., description="milliseconds to the last byte; the median of five answers"
    )


class Service(tables.Service):
    """An HTTP service, with what monitoring expects of it."""

    health_fields: list[Text] = Field(
        default=["status", "version"],
        description="keys that the JSON of `health` must have; with `[]` it may be any text",
    )
    health_max_ms: Positive = Field(
        500, description="milliseconds; median of five answers of each health endpoint"
    )
    clock_skew_max_s: Positive = Field(
        5, description="seconds that the `Date` of its answers may differ from this machine's clock"
    )
    private: list[Path_] = Field(
        default=[], description="paths that must refuse requests without credentials, as `/admin`"
    )
    paths: Annotated[dict[Name, UserPath], Field(min_length=1)] = Field(
        default={}, description="paths that users take, as [services.NAME.paths.NAME]"
    )
    truth: Truth | None = Field(
        None, description="counters that are compared with the requests sent"
    )
    drill: Drill | None = Field(None, description="how to take a dependency away and restore it")


class Config(tables.Config):
    """The tables of monitoring."""

    services: Annotated[Mapping[Name, Service], Field(min_length=1)] = Field(
        default={}, description="the HTTP services, as [services.NAME]"
    )
    grafana: Grafana | None = Field(
        None, description="the dashboards, and the Grafana that shows them"
    )
    error_tracker: ErrorTracker | None = Field(None, description="where errors are collected")
