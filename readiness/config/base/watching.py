"""The tables of Prometheus and Alertmanager."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import Command, Count, Model, Name, Named, Positive, Share, Text, Url
from readiness.model.secrets import Secret

_M = TypeVar("_M", bound=Model)


def both_or_none(model: _M, first: str, second: str) -> _M:
    """Require both keys or none: what is stopped must be started again."""
    if (getattr(model, first) is None) is not (getattr(model, second) is None):
        raise PydanticCustomError("pair", f"`{first}` and `{second}` must be set together")
    return model


class Job(Named):
    """A required scrape job, `[prometheus.jobs.NAME]`; NAME is the job name in Prometheus."""

    interval_s: Positive = Field(..., description="seconds; the agreed scrape interval, exactly")
    min_targets: Count = Field(1, description="minimal number of targets")
    required_metrics: list[Text] = Field(
        default=[],
        description="selectors, as `orders_total`; each target that is up must have a fresh"
        ' series, and of `x{instance="a:1"}` only that one',
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

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """Its name in Prometheus."""
        return {"JOB": self.name}


class BlackboxProbe(Named):
    """An address probed by a blackbox exporter, `[prometheus.probes.NAME]`."""

    instance: Text = Field(..., description="its `instance` label, usually the probed address")
    certificate_min_days: Positive = Field(
        14, description="days; how long its certificate must still be valid"
    )

    @property
    def is_https(self) -> bool:
        """Whether there is a certificate."""
        return self.instance.startswith("https://")

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """What is probed."""
        host = urlsplit(self.instance).hostname or ""
        return {"ADDRESS": self.instance, "HOST": host}


class Prometheus(Model):
    """The Prometheus that monitors the target."""

    name: ClassVar[str] = "prometheus"

    url: Url = Field(..., description="its address, as `http://prometheus:9090`")
    timeout_s: Positive = Field(10, description="seconds; time-out of a request")
    bearer: Secret | None = Field(None, description="token sent as `Authorization: Bearer`")
    verify_tls: bool = Field(True, description="whether its certificate must be valid")
    jobs: Annotated[dict[Name, Job], Field(min_length=1)] = Field(
        default={}, description="the required scrape jobs, as [prometheus.jobs.NAME]"
    )
    probes: Annotated[dict[Name, BlackboxProbe], Field(min_length=1)] = Field(
        default={}, description="blackbox probes, as [prometheus.probes.NAME]"
    )
    retention_min_h: Positive = Field(
        360, description="hours of history that it must keep; Prometheus's own default is 15 days"
    )
    clock_skew_max_s: Positive = Field(
        2, description="seconds that its clock may differ from this machine's"
    )
    scrape_time_max_share: Share = Field(
        0.5, description="share of the scrape timeout within which nine of ten scrapes must end"
    )
    window_s: Positive = Field(
        3600, description="seconds; how far back stability and duration of scrapes are judged"
    )
    up_min_share: Share = Field(
        0.99, description="share of the scrapes within `window_s` that must have succeeded"
    )
    wait_max_s: Positive = Field(
        60, description="seconds that a check waits at most for what your intervals decide, as an"
        " evaluation or a scrape; what takes longer is judged on paper, or is an error"
    )  # fmt: skip
    samples_max: Count = Field(20_000, description="maximal samples of one scrape of one target")
    overhead_max_share: Share = Field(
        0.01, description="share of time that being scraped may take: duration by interval, CPU"
        " of the exporters by cores, and the monitoring roles' time by that of all statements"
    )  # fmt: skip

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """Its address."""
        return {"PROMETHEUS": self.url}


class Alertmanager(Model):
    """The Alertmanager, all peers of it."""

    name: ClassVar[str] = "alertmanager"

    urls: Annotated[list[Url], Field(min_length=1)] = Field(
        ..., description="the addresses of all peers"
    )
    timeout_s: Positive = Field(10, description="seconds; time-out of a request")
    bearer: Secret | None = Field(None, description="token sent as `Authorization: Bearer`")
    verify_tls: bool = Field(True, description="whether its certificate must be valid")
    seen_as: dict[str, Url] = Field(
        default={},
        description="address in Prometheus's configuration, as `http://am:9093`, to the one that"
        " reaches it from this machine",
    )
    peer_timeout_s: Positive = Field(
        15, description="seconds; --cluster.peer-timeout: how long each position waits for the last"
    )
    wait_max_s: Positive = Field(
        60, description="seconds that a check waits at most because `group_wait` and"
        " `group_interval` of the routes of synthetic alerts say so"
    )  # fmt: skip
    stop_peer: Command | None = Field(
        None, description="the command that stops the first peer (alerting.failover)"
    )
    start_peer: Command | None = Field(None, description="the command that starts it again")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        return both_or_none(self, "stop_peer", "start_peer")

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """The address of the first peer."""
        return {"ALERTMANAGER": self.urls[0]}
