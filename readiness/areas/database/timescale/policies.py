"""The policies that compress and drop the chunks of a hypertable."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from readiness.areas.database.timescale.hypertables import Chunk, Table
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.model.errors import CouldNotMeasure

_RUNS: Final = 2
_POLICIES: Final = """
select job_id, scheduled, extract(epoch from schedule_interval)::float8,
       extract(epoch from (config ->> %s)::interval)::float8
from timescaledb_information.jobs
where proc_name = %s and hypertable_schema = %s and hypertable_name = %s order by job_id"""


class Policy(Enum):
    """A kind of policy: the procedure that it runs, and the key of the age in its settings."""

    COMPRESSION = ("policy_compression", "compress_after")
    RETENTION = ("policy_retention", "drop_after")


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A policy that is switched on.

    Attributes:
        job: the number of its job.
        every_s: seconds from one run to the next.
        after_s: seconds after which a chunk is due.
    """

    job: int
    every_s: float
    after_s: float

    @property
    def overdue_s(self) -> float:
        """The age of a chunk, in seconds, by which two runs have had the time to do it."""
        return self.after_s + _RUNS * self.every_s

    def is_overdue(self, chunk: Chunk) -> bool:
        """Whether it should have been done to a chunk by now."""
        return chunk.age_s > self.overdue_s


def scheduled(connection: Connection, table: Table, kind: Policy) -> Sequence[Scheduled]:
    """The policies of a kind that are switched on for a hypertable.

    Raises:
        CouldNotMeasure: one goes by when a chunk was made, and not by the age of its rows; and
            its kinds, see `postgres.connect`.
    """
    procedure, key = kind.value
    rows = postgres.fetch(connection, _POLICIES, [key, procedure, table.schema, table.table])
    for job, *_, after_s in rows:
        if after_s is None:
            raise CouldNotMeasure(
                f"the policy of job {job} has no {key}: it goes by when a chunk was made",
                where=str(table),
                remedy=f"give the policy {key}, so that the age of the rows decides",
            )
    return [Scheduled(job, every_s, after_s) for job, on, every_s, after_s in rows if on]
