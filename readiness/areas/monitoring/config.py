"""The models of what watches the target: Prometheus, its jobs and probes, the dashboards."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import Count, Model, Name, Named, Positive, Share, Text, Url
from readiness.model.secrets import Secret


class Job(Named):
    """A scrape job that must be there, `[prometheus.jobs.NAME]`: the name is Prometheus's."""

    interval_s: Positive = Field(
        ..., description="seconds; the scrape interval that was agreed, exactly"
    )
    min_targets: Count = Field(1, description="targets that it must scrape at least")
    required_metrics: list[Text] = Field(
        default=[], description="selectors, as `orders_total`; each must have a fresh series"
    )
    must_be_one: list[Text] = Field(
        default=[],
        description="selectors whose every value must be 1, as `pg_up`: `up` is only about the"
        " exporter, not about what it exports",
    )
    must_be_zero: list[Text] = Field(
        default=[],
        description="selectors whose every value must be 0, as `pg_exporter_last_scrape_error`",
    )


class BlackboxProbe(Named):
    """An address that a blackbox exporter asks, `[prometheus.probes.NAME]`."""

    instance: Text = Field(..., description="its `instance` label, mostly the address asked")
    certificate_min_days: Positive = Field(
        14, description="days that its certificate must still be valid"
    )

    @property
    def is_https(self) -> bool:
        """Whether there is a certificate."""
        return self.instance.startswith("https://")


class Prometheus(Model):
    """The Prometheus that watches the target."""

    name: ClassVar[str] = "prometheus"

    url: Url = Field(..., description="its address, as `http://prometheus:9090`")
    timeout_s: Positive = Field(10, description="seconds until a request counts as unanswered")
    bearer: Secret | None = Field(None, description="token sent as `Authorization: Bearer`")
    verify_tls: bool = Field(True, description="whether its certificate must be valid")
    jobs: Annotated[dict[Name, Job], Field(min_length=1)] = Field(
        default={}, description="the scrape jobs that must be there, as [prometheus.jobs.NAME]"
    )
    probes: Annotated[dict[Name, BlackboxProbe], Field(min_length=1)] = Field(
        default={}, description="what is asked from outside, as [prometheus.probes.NAME]"
    )
    retention_min_h: Positive = Field(
        360, description="hours of history that it must keep; Prometheus's own default is 15 days"
    )
    clock_skew_max_s: Positive = Field(
        2, description="seconds that its clock may differ from this machine's"
    )
    scrape_time_max_share: Share = Field(
        0.5, description="share of the scrape time-out within which nine of ten scrapes must end"
    )
    window_s: Positive = Field(
        3600, description="seconds; how far back stability and duration of scrapes are judged"
    )
    up_min_share: Share = Field(
        0.99, description="share of the scrapes within `window_s` that must have succeeded"
    )
    samples_max: Count = Field(
        20_000, description="samples that one scrape of one target may bring"
    )
    overhead_max_share: Share = Field(
        0.01, description="share of time that being scraped may take: duration by interval, CPU"
        " of the exporters by cores, and the monitoring roles' time by that of all statements"
    )  # fmt: skip


class Dashboard(Named):
    """A dashboard, `[grafana.dashboards.NAME]`, from Grafana or from a file with its JSON."""

    uid: Text | None = Field(None, description="its uid in Grafana")
    file: Text | None = Field(
        None, description="its JSON, as exported; judged against [prometheus], without a Grafana"
    )
    min_panels: Count = Field(11, description="panels with a query that it must have at least")
    variables: dict[str, Text] = Field(
        default={}, description="values of its variables, where their own default is not wanted"
    )
    may_be_empty: list[Text] = Field(
        default=[], description="titles of panels that show nothing while all is well"
    )
    window_s: Positive = Field(3600, description="seconds; the range that its panels are asked for")

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


class ErrorTracker(Model):
    """Where errors of the application are collected; Sentry, or what speaks like it."""

    name: ClassVar[str] = "error-tracker"

    dsn: Secret = Field(..., description="the DSN that events are sent to")
    url: Url = Field("https://sentry.io", description="address of its web API")
    token: Secret = Field(..., description="token of its web API that may read events")
    organization: Text = Field(..., description="slug of the organization")
    project: Text = Field(..., description="slug of the project")
    within_s: Positive = Field(60, description="seconds until a test event must be readable")
    timeout_s: Positive = Field(10, description="seconds until a request counts as unanswered")
