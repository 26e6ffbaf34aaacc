"""The models of what a database's health is held against: limits, standbys, the pooler.

Where a limit comes from stands in its description: check_postgres, PgHero and the mixins of the
PostgreSQL exporter where they agree, else PostgreSQL's own settings, else our judgement.
"""

from typing import Annotated

from pydantic import Field

from readiness.config.base import Count, Model, Named, Positive, Share, Text
from readiness.model.secrets import Dsn

_GB = 1 << 30
Version = Annotated[str, Field(pattern=r"^\d{1,2}(\.\d{1,2})?$")]


class HealthLimits(Model):
    """What the health of a database is held against, `[databases.NAME.limits]`.

    A `*_warn_*` is where a warning begins, the `*_max_*` (or `*_min_*`) beside it where it fails.
    """

    min_version: Version | None = Field(
        None, description="the oldest release of the server that may run, as `16.4`"
    )
    support_min_days: Annotated[int, Field(ge=0)] = Field(
        0, description="days that the server's major release must still be supported"
    )
    minors_behind_max: Annotated[int, Field(ge=0)] = Field(
        1, description="minor releases that the server may be behind"
    )
    connections_warn_share: Share = Field(
        0.8, description="share of the connections that are in use; the exporter's mixin"
    )
    connections_max_share: Share = Field(
        0.9, description="share of the connections that may be in use; check_postgres"
    )
    transaction_warn_s: Positive = Field(300, description="seconds a transaction is open")
    transaction_max_s: Positive = Field(1800, description="seconds a transaction may be open")
    idle_transaction_warn_s: Positive = Field(
        60, description="seconds that an open transaction does nothing"
    )
    idle_transaction_max_s: Positive = Field(
        600, description="seconds that an open transaction may do nothing"
    )
    blocked_warn_s: Positive = Field(5, description="seconds a session waits for another's lock")
    blocked_max_s: Positive = Field(60, description="seconds a session may wait for another's lock")
    deadlocks_max_per_h: Positive = Field(
        1, description="deadlocks an hour since the counters began; an hour at least is counted"
    )
    wraparound_max_age: Count = Field(
        1_000_000_000,
        description="transactions since the oldest unfrozen one; at 2,146,000,000 the server stops",
    )
    horizon_warn_xids: Count = Field(
        1_000_000, description="transactions since the oldest one that vacuum must keep rows for"
    )
    horizon_max_xids: Count = Field(50_000_000, description="the same, where it fails")
    prepared_max_s: Positive = Field(300, description="seconds a transaction may stay prepared")
    vacuum_overdue_h: Positive = Field(
        24, description="hours that a table may wait for a vacuum or analyze that it needs"
    )
    cache_hit_warn_share: Share = Field(
        0.99, description="share of block reads that the cache must serve; PgHero"
    )
    cache_hit_min_share: Share = Field(0.95, description="the same, where it fails")
    temp_warn_bytes_per_h: Count = Field(
        _GB, description="bytes an hour that sorts and hashes write to temporary files"
    )
    temp_max_bytes_per_h: Count = Field(10 * _GB, description="the same, where it fails")
    checkpoints_forced_warn_share: Share = Field(
        0.3, description="share of the checkpoints that the volume of WAL forced"
    )
    checkpoints_forced_max_share: Share = Field(
        0.5, description="the same, where it fails; the exporter's mixin"
    )
    replication_lag_max_s: Positive = Field(
        10, description="seconds from a commit until each standby shows it"
    )
    slot_warn_bytes: Count = Field(_GB, description="bytes of WAL that a slot holds back")
    slot_max_bytes: Count = Field(10 * _GB, description="bytes of WAL that a slot may hold back")
    slot_idle_max_s: Positive = Field(
        3600, description="seconds a slot may have no consumer; known from PostgreSQL 17 on"
    )
    sequence_warn_share: Share = Field(
        0.75, description="share of its numbers that a sequence has used up"
    )
    sequence_max_share: Share = Field(
        0.9, description="share of its numbers that a sequence may have used up; PgHero"
    )
    corruption_sample_bytes: Count = Field(
        1 << 28, description="bytes of tables and indexes that are read to find damage, in 6 s"
    )


class Standby(Named):
    """A streaming standby, `[databases.NAME.standbys.NAME]`."""

    dsn: Dsn = Field(..., description="where it is, and the monitoring role")
    application_name: Text | None = Field(
        None, description="as the primary knows it (primary_conninfo); default: its table's name"
    )

    @property
    def known_as(self) -> str:
        """Its name in the primary's pg_stat_replication."""
        return self.application_name or self.name


class Pooler(Model):
    """The PgBouncer in front of a database, `[databases.NAME.pooler]`."""

    dsn: Dsn = Field(
        ..., description="its console, the database `pgbouncer`, as one of its `stats_users`"
    )
    wait_warn_s: Positive = Field(1, description="seconds a client waits for a connection")
    wait_max_s: Positive = Field(5, description="seconds a client may wait for a connection")
