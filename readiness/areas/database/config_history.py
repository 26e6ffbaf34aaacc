"""The models of what is judged over time: statements, indexes, bloat, and snapshots.

[databases.NAME.statements], [databases.NAME.indexes], [databases.NAME.bloat] and
[databases.NAME.history].
"""

from typing import Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import Count, Model, Positive, Share, Text

_MIB: Final = 1024 * 1024
_GIB: Final = 1024 * _MIB


class P95(Model):
    """Where the 95th percentile of each statement is read: mean and deviation do not give it."""

    query: Text = Field(
        ...,
        description="PromQL with one series for each statement, as"
        " `histogram_quantile(0.95, sum by (le, statement) (rate(..._bucket[5m])))`",
    )
    calls: Text = Field(
        ...,
        description="PromQL with the number of calls behind each of those series, with the same"
        " labels",
    )
    label: Text = Field("statement", description="the label that names the statement")
    unit: Literal["s", "ms"] = Field("s", description="unit of the values of `query`")


class Statements(Model):
    """How fast statements must be, and how slow ones must be found.

    The levels are the requirement's: a mean up to 100 ms is good, up to 500 a warning, up to
    1,000 an alert, above it critical.
    """

    roles: list[Text] = Field(
        default=[],
        description="roles whose statements are judged, such as the application's; empty: all but"
        " the role of `dsn`",
    )
    warning_ms: Positive = Field(100, description="milliseconds; a slower statement is a warning")
    alert_ms: Positive = Field(500, description="milliseconds; a slower statement fails")
    critical_ms: Positive = Field(
        1000, description="milliseconds; a slower statement is called critical"
    )
    min_calls: Count = Field(
        20, description="calls in the window that a statement must have to be judged"
    )
    window_h: Positive = Field(
        24, description="hours; the window that is judged, as far as snapshots reach back"
    )
    window_max_h: Positive = Field(
        192,
        description="hours; a mean over a longer time says nothing of this release (eight days)",
    )
    logged_from_ms: Positive = Field(
        500, description="milliseconds; a slower statement must be written to the server's log"
    )
    evictions_max_per_day: Positive = Field(
        20, description="evictions a day of pg_stat_statements; each takes 5 % of its statements"
    )
    p95: P95 | None = Field(None, description="where the p95 of each statement is read")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if not self.warning_ms <= self.alert_ms <= self.critical_ms:
            raise PydanticCustomError(
                "rising", "`warning_ms`, `alert_ms` and `critical_ms` must be in rising order"
            )
        return self


class Indexes(Model):
    """What is expected of the indexes."""

    active_days: Positive = Field(
        7, description="days; an index that was used within them is active"
    )
    unused_days: Positive = Field(
        30, description="days without any use, after which an index counts as unused"
    )
    unused_max_bytes: Count = Field(
        100 * _MIB,
        description="bytes; unused indexes of that size together fail, less warns",
    )
    duplicate_max_bytes: Count = Field(
        _GIB, description="bytes; duplicates of that size together fail, less warns"
    )
    foreign_key_min_rows: Count = Field(
        10_000, description="rows of the referencing table from which on an index is required"
    )
    keep: list[Text] = Field(
        default=[],
        description="`schema.index` of indexes that may be unused, as for a yearly report",
    )


class Bloat(Model):
    """How much of tables and indexes may be empty or dead.

    The levels of tables are the requirement's: up to 10 % is healthy, up to 20 % to be monitored,
    up to 50 % a warning, above it critical.
    """

    monitor_share: Share = Field(0.10, description="share of a table; above it, a warning: monitor")
    warning_share: Share = Field(0.20, description="share of a table; above it, a warning")
    critical_share: Share = Field(0.50, description="share of a table; above it, a failure")
    index_warning_share: Share = Field(0.30, description="share of an index; above it, a warning")
    index_critical_share: Share = Field(
        0.50, description="share of an index; above it, the warning calls it critical"
    )
    min_bytes: Count = Field(
        10 * _MIB, description="bytes; smaller tables and indexes are not judged"
    )
    read_max_bytes: Count = Field(
        2 * _GIB,
        description="bytes of tables, and as many of indexes, that pgstattuple reads",
    )

    @model_validator(mode="after")
    def _rising(self) -> Self:
        tables = self.monitor_share <= self.warning_share <= self.critical_share
        if not (tables and self.index_warning_share <= self.index_critical_share):
            raise PydanticCustomError("rising", "the shares must be in rising order")
        return self


class History(Model):
    """The snapshots that `readiness snapshot` takes each hour: counters have no past."""

    path: Text = Field(..., description="file of the snapshots (SQLite), one for each database")
    index_max_age_h: Positive = Field(
        2, description="hours; age of the newest snapshot of counters, which is taken hourly"
    )
    bloat_max_age_h: Positive = Field(
        26, description="hours; age of the newest snapshot of bloat, which is taken daily"
    )
    coverage_min_share: Share = Field(
        0.5, description="share of today's indexes and tables that the newest snapshot must hold"
    )
    keep_days: Count = Field(400, description="days; older snapshots are removed")
    growth_max_bytes: Count = Field(
        10**9, description="bytes that the database may grow in a month of 30 days: 1 GB"
    )
    growth_min_days: Positive = Field(
        7, description="days that snapshots must reach back to judge the growth"
    )
    evidence_warning_days: Positive = Field(
        30, description="days that counters and snapshots must reach back; else a warning"
    )
    evidence_min_days: Positive = Field(
        7, description="days that counters and snapshots must reach back; else a failure"
    )
