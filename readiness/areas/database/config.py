"""The tables of [databases.NAME].

A description names the source of a default: check_postgres, PgHero and the mixins of the
PostgreSQL exporter where they agree, else PostgreSQL's own settings, else our judgement.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import Count, File, Model, Name, Named, Positive, Share, Text, tables
from readiness.model.secrets import Dsn

_GIB: Final = 1 << 30
Release = Annotated[str, Field(pattern=r"^\d{1,2}(\.\d{1,2})?$")]


class HealthLimits(Model):
    """The limits of a database's health, `[databases.NAME.limits]`.

    Beyond a `*_warn_*` it is a warning, beyond the `*_max_*` (or `*_min_*`) beside it a failure.
    """

    min_version: Release | None = Field(
        None, description="oldest release of the server that may run, as `16.4`"
    )
    support_min_days: Annotated[int, Field(ge=0)] = Field(
        0, description="days that the server's major release must still be supported"
    )
    minors_behind_max: Annotated[int, Field(ge=0)] = Field(
        1, description="minor releases that the server may be behind"
    )
    connections_warn_share: Share = Field(
        0.8, description="share of the connections in use; a warning; the exporter's mixin"
    )
    connections_max_share: Share = Field(
        0.9, description="share of the connections in use; a failure; check_postgres"
    )
    password_warn_days: Count = Field(
        14, description="days until the password of an application's role ends; a warning"
    )
    transaction_warn_s: Positive = Field(
        300, description="seconds a transaction is open; a warning"
    )
    transaction_max_s: Positive = Field(
        1800, description="seconds a transaction is open; a failure"
    )
    idle_transaction_warn_s: Positive = Field(
        60, description="seconds that an open transaction is idle; a warning"
    )
    idle_transaction_max_s: Positive = Field(
        600, description="seconds that an open transaction is idle; a failure"
    )
    blocked_warn_s: Positive = Field(5, description="seconds a session waits for a lock; a warning")
    blocked_max_s: Positive = Field(60, description="seconds a session waits for a lock; a failure")
    deadlocks_max_per_h: Positive = Field(
        1, description="deadlocks an hour since the counters began; at least one hour is counted"
    )
    wraparound_max_age: Count = Field(
        1_000_000_000,
        description="age of the oldest unfrozen transaction or multixact ID; the server stops at"
        " 2,146,000,000",
    )
    horizon_warn_xids: Count = Field(
        1_000_000,
        description="transactions since the oldest one that vacuum must keep rows for; a warning",
    )
    horizon_max_xids: Count = Field(
        50_000_000, description="transactions since that one; a failure"
    )
    prepared_max_s: Positive = Field(300, description="seconds a transaction may stay prepared")
    vacuum_overdue_h: Positive = Field(
        24, description="hours that a table may be due for vacuum or analyze"
    )
    cache_hit_warn_share: Share = Field(
        0.99, description="share of block reads that the cache must serve; else a warning; PgHero"
    )
    cache_hit_min_share: Share = Field(
        0.95, description="share of block reads that the cache must serve; else a failure"
    )
    temp_warn_bytes_per_h: Count = Field(
        _GIB, description="bytes of temporary files an hour; a warning"
    )
    temp_max_bytes_per_h: Count = Field(
        10 * _GIB, description="bytes of temporary files an hour; a failure"
    )
    checkpoints_forced_warn_share: Share = Field(
        0.3, description="share of the checkpoints that the volume of WAL forced; a warning"
    )
    checkpoints_forced_max_share: Share = Field(
        0.5, description="share of forced checkpoints; a failure; the exporter's mixin"
    )
    replication_lag_max_s: Positive = Field(
        10, description="seconds from a commit on the primary until each standby shows it"
    )
    slot_warn_bytes: Count = Field(_GIB, description="bytes of WAL that a slot retains; a warning")
    slot_max_bytes: Count = Field(
        10 * _GIB, description="bytes of WAL that a slot retains; a failure"
    )
    slot_idle_max_s: Positive = Field(
        3600, description="seconds a slot may have no consumer; a warning; from PostgreSQL 17 on"
    )
    sequence_warn_share: Share = Field(
        0.75, description="used share of a sequence's numbers; a warning"
    )
    sequence_max_share: Share = Field(
        0.9, description="used share of a sequence's numbers; a failure; PgHero"
    )
    corruption_sample_bytes: Count = Field(
        1 << 28, description="bytes of tables and indexes that amcheck reads, within 6 s"
    )


class Standby(Named):
    """A streaming standby, `[databases.NAME.standbys.NAME]`."""

    dsn: Dsn = Field(..., description="where it is, and the monitoring role")
    application_name: Text | None = Field(
        None,
        description="its name on the primary, from primary_conninfo; default: the table's name",
    )

    @property
    def known_as(self) -> str:
        """Its name in the primary's pg_stat_replication."""
        return self.application_name or self.name


class Pooler(Model):
    """The PgBouncer in front of a database, `[databases.NAME.pooler]`."""

    dsn: Dsn = Field(
        ..., description="its console: the database `pgbouncer`, as one of its `stats_users`"
    )
    wait_warn_s: Positive = Field(
        1, description="seconds a client waits for a connection; a warning"
    )
    wait_max_s: Positive = Field(
        5, description="seconds a client waits for a connection; a failure"
    )


_MIB: Final = 1024 * 1024


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

    path: File = Field(..., description="file of the snapshots (SQLite), one for each database")
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


Version = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+){0,2}$")]
# The schema is named, so that no search_path decides which table is judged.
TableName = Annotated[str, StringConstraints(pattern=r"^\S[^\n]*\.[^\n]*\S$", max_length=200)]


class Hypertable(Named):
    """A table that must be a hypertable."""

    table: TableName = Field(..., description="schema.table; in quotes if it has capitals")
    chunk_interval_h: Positive | None = Field(
        None, description="hours that each new chunk covers; default: not judged"
    )
    compressed: bool = Field(True, description="whether older chunks must be compressed")
    compression_min_ratio: Share = Field(
        0.7, description="share of the bytes that compression must save: 0.7 leaves 30 of 100"
    )
    compression_min_coverage: Share = Field(
        1.0, description="share of the due chunks that must be compressed"
    )
    keep_d: Positive | None = Field(
        None, description="days after which rows must be dropped; default: kept for ever"
    )
    growth_max_gb: Positive = Field(
        1.0, description="GB (10^9 bytes) that the rows of 30 days may take on disk"
    )


class Timescale(Model):
    """What is expected of TimescaleDB in a database."""

    min_version: Version | None = Field(
        None, description="oldest version of the extension that may run, as `2.14`"
    )
    hypertables: Annotated[dict[Name, Hypertable], Field(min_length=1)] = Field(
        ..., description="the expected hypertables, as [databases.NAME.timescale.hypertables.NAME]"
    )


class Database(tables.Database):
    """A PostgreSQL database, with what is expected of its health."""

    limits: HealthLimits = Field(HealthLimits(), description="limits of its health")
    standbys: Annotated[dict[Name, Standby], Field(min_length=1)] = Field(
        default={}, description="its streaming standbys, as [databases.NAME.standbys.NAME]"
    )
    pooler: Pooler | None = Field(None, description="the PgBouncer in front of it")
    timescale: Timescale | None = Field(None, description="what is expected of TimescaleDB in it")
    statements: Statements = Field(Statements(), description="how fast its statements must be")
    indexes: Indexes = Field(Indexes(), description="what is expected of its indexes")
    bloat: Bloat = Field(
        Bloat(), description="how much of its tables and indexes may be dead or empty"
    )
    history: History | None = Field(None, description="the snapshots that are taken of it")
    unlogged: list[Text] = Field(
        default=[],
        description="`schema.table`, or patterns with `*`, of unlogged tables whose rows may be"
        " lost, as `staging.*`",
    )


class Config(tables.Config):
    """The tables of database."""

    databases: Annotated[Mapping[Name, Database], Field(min_length=1)] = Field(
        default={}, description="the PostgreSQL databases, as [databases.NAME]"
    )
