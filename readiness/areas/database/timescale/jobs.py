"""Whether TimescaleDB's background jobs run, and end well.

By job_stats: job_errors and job_history show each role its own jobs alone, and are empty to a
monitoring role, however many jobs fail.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from readiness.lib import postgres
from readiness.lib.patience import until
from readiness.lib.postgres import Connection, timescale
from readiness.model.errors import NoData

_FIRST_LOOK_S: Final = 15.0
# Telemetry fails wherever there is no way to the internet, and nobody misses it.
_JOBS: Final = """
select j.job_id, j.proc_schema || '.' || j.proc_name, coalesce(j.hypertable_name, ''), j.scheduled,
       coalesce(s.last_run_status, ''), coalesce(s.total_runs, 0), coalesce(s.total_failures, 0),
       coalesce(s.job_status, '') = 'Running',
       not coalesce(isfinite(j.next_start), false)
           and coalesce(j.initial_start, '-infinity') < now(),
       coalesce(isfinite(j.next_start)
                and j.next_start < now() - greatest(j.schedule_interval, interval '1 minute'),
                false)
       or coalesce(isfinite(s.last_successful_finish)
                   and s.last_successful_finish < now() - 2 * j.schedule_interval
                       - coalesce(s.last_run_duration, interval '0') - interval '1 minute',
                   false)
from timescaledb_information.jobs j
left join timescaledb_information.job_stats s on s.job_id = j.job_id
where j.proc_name <> 'policy_telemetry' order by j.job_id"""


@dataclass(frozen=True, slots=True)
class Job:
    """A background job.

    Attributes:
        job: its number.
        procedure: what it calls, as `schema.name`.
        hypertable: what it works on; empty if that is not one hypertable.
        scheduled: whether it is switched on.
        last_run: `Success`, `Failed`, or empty where none has ended.
        runs: how often it was started.
        failures: how often it failed.
        running: whether it works now.
        unplanned: no start is planned for it.
        late: it should have been started, or have succeeded, at least a whole interval ago.
    """

    job: int
    procedure: str
    hypertable: str
    scheduled: bool
    last_run: str
    runs: int
    failures: int
    running: bool
    unplanned: bool
    late: bool

    @property
    def has_failed(self) -> bool:
        """Whether its last run failed."""
        return self.last_run == "Failed"

    @property
    def is_overdue(self) -> bool:
        """Whether it is switched on, and does not run when it should."""
        return self.scheduled and not self.running and (self.unplanned or self.late)

    def __str__(self) -> str:
        work = f" on {self.hypertable}" if self.hypertable else ""
        failed = f"{self.failures} of {self.runs} runs failed"
        return f"job {self.job}, {self.procedure}{work} ({failed})"


def jobs(connection: Connection) -> Sequence[Job]:
    """All jobs but telemetry; a new one is given the time to be planned.

    Raises:
        NoData: there are none.
        NotPermitted: the role does not see which of them run.
        CouldNotMeasure: and its kinds, see `postgres.connect`.
    """
    timescale.may_see_processes(connection)
    found = until(
        lambda: [Job(*row) for row in postgres.fetch(connection, _JOBS)],
        lambda seen: not any(job.unplanned and job.is_overdue for job in seen),
        within_s=_FIRST_LOOK_S,
    )
    if not found:
        raise NoData(
            "TimescaleDB has no job in this database",
            where=connection.info.dbname,
            remedy="add the policies; see select * from timescaledb_information.jobs",
        )
    return found
