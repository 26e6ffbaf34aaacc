"""The models of a database's limits, its standbys and its pooler.

A description names the source of a default: check_postgres, PgHero and the mixins of the
PostgreSQL exporter where they agree, else PostgreSQL's own settings, else our judgement.
"""

from typing import Annotated

from pydantic import Field

from readiness.config.base import Count, Model, Named, Positive, Share, Text
from readiness.model.secrets import Dsn

_GB = 1 << 30
Version = Annotated[str, Field(pattern=r"^\d{1,2}(\.\d{1,2})?$")]


class HealthLimits(Model):
    """The limits of a database's health, `[databases.NAME.limits]`.

    Beyond a `*_warn_*` it is a warning, beyond the `*_max_*` (or `*_min_*`) beside it a failure.
    """

    min_version: Version | None = Field(
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
        _GB, description="bytes of temporary files an hour; a warning"
    )
    temp_max_bytes_per_h: Count = Field(
        10 * _GB, description="bytes of temporary files an hour; a failure"
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
    slot_warn_bytes: Count = Field(_GB, description="bytes of WAL that a slot retains; a warning")
    slot_max_bytes: Count = Field(
        10 * _GB, description="bytes of WAL that a slot retains; a failure"
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
