"""The answers of Prometheus: targets, rules, alerts, samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import Field

from readiness.lib import api
from readiness.lib.durations import prometheus_seconds

Labels = dict[str, str]


class Target(api.Reply):
    """One active target.

    Attributes:
        labels: of its series, `job` and `instance` among them.
        pool: the name of the scrape job.
        url: the scraped address.
        health: `up`, `down`, or `unknown` before the first scrape.
        error: why the last scrape failed; empty if it did not.
        last_scrape: year 1 if there was none.
        last_duration_s: seconds that it took.
    """

    labels: Labels
    pool: str = Field(alias="scrapePool")
    url: str = Field(alias="scrapeUrl")
    health: str
    error: str = Field("", alias="lastError")
    last_scrape: datetime = Field(alias="lastScrape")
    last_duration_s: float = Field(alias="lastScrapeDuration")
    interval: str = Field("", alias="scrapeInterval")
    timeout: str = Field("", alias="scrapeTimeout")

    @property
    def instance(self) -> str:
        """Its label `instance`, or what is scraped."""
        return self.labels.get("instance", self.url)

    @property
    def interval_s(self) -> float:
        """Seconds between two scrapes."""
        return prometheus_seconds(self.interval)

    @property
    def timeout_s(self) -> float:
        """Seconds a scrape may take."""
        return prometheus_seconds(self.timeout)


class Alert(api.Reply):
    """One alert whose condition holds since `active_at`.

    Attributes:
        labels: with templates filled in, without the external labels.
        annotations: with templates filled in.
        state: `pending` or `firing`.
    """

    labels: Labels
    annotations: dict[str, str] = Field(default={})
    state: str
    active_at: datetime = Field(alias="activeAt")

    @property
    def name(self) -> str:
        """Its label `alertname`."""
        return self.labels.get("alertname", "")


class Rule(api.Reply):
    """One loaded rule.

    Attributes:
        name: of the alert, or of the series that it records.
        query: its expression, in PromQL.
        for_s: seconds that it must hold, 0 for recording rules.
        labels: with templates, not filled in, as the annotations.
        health: `ok`, `err`, or `unknown` before the first evaluation.
        error: why the last evaluation failed; empty if it did not.
        evaluated: the last evaluation; year 1 if there was none.
        state: `inactive`, `pending`, `firing` (and `unknown` since 3.8).
        alerts: those that are pending or firing.
    """

    name: str
    type: Literal["alerting", "recording"]
    query: str
    for_s: float = Field(0.0, alias="duration")
    labels: Labels = Field(default={})
    annotations: dict[str, str] = Field(default={})
    health: str
    error: str = Field("", alias="lastError")
    evaluated: datetime = Field(alias="lastEvaluation")
    state: str = ""
    alerts: tuple[Alert, ...] = ()

    @property
    def severity(self) -> str:
        """Its label `severity`, or nothing."""
        return self.labels.get("severity", "")


class RuleGroup(api.Reply):
    """Rules that are evaluated in sequence; `evaluation_s` is the duration of the last time."""

    name: str
    file: str
    interval_s: float = Field(alias="interval")
    evaluation_s: float = Field(0.0, alias="evaluationTime")
    rules: tuple[Rule, ...]


class RuntimeInfo(api.Reply):
    """The state of the server.

    Attributes:
        config_loaded: whether the last reload succeeded; if not, an older configuration runs.
        retention: as `15d` or `15d or 10GiB`.
    """

    config_loaded: bool = Field(alias="reloadConfigSuccess")
    last_config: datetime = Field(alias="lastConfigTime")
    started: datetime = Field(alias="startTime")
    retention: str = Field("", alias="storageRetention")
    series: int = Field(0, alias="timeSeriesCount")


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series."""

    labels: Mapping[str, str]
    value: float
    at: float

    def __str__(self) -> str:
        inside = ",".join(f'{k}="{v}"' for k, v in sorted(self.labels.items()) if k != "__name__")
        return f"{self.labels.get('__name__', '')}{{{inside}}}"


@dataclass(frozen=True, slots=True)
class Points:
    """The values of one series over time, as pairs of Unix time and value."""

    labels: Mapping[str, str]
    values: tuple[tuple[float, float], ...]
