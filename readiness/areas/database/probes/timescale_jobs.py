"""TimescaleDB's background jobs: whether they run and end well, and what starts them.

By job_stats: job_errors and job_history show each role its own jobs alone, and are empty to a
monitoring role, however many jobs fail. A restore that was not ended stops all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.session import in_recovery, need_role
from readiness.lib.retry import until
from readiness.model.errors import CouldNotMeasure, NoData

_FIRST_LOOK_S: Final = 15.0
_START_S: Final = 10.0
_SETTINGS: Final = """
select case when d.setrole = 0 and d.setdatabase = 0 then 'alter role all'
            when d.setrole = 0 then 'alter database ' || current_database()
            when d.setdatabase = 0 then 'alter role ' || d.setrole::regrole::text
            else 'alter role ' || d.setrole::regrole::text || ' in database '
                 || current_database() end
from pg_db_role_setting d cross join unnest(d.setconfig) as line
where d.setdatabase in (0, (select oid from pg_database where datname = current_database()))
  and line ~* '^timescaledb\\.restoring=(on|true|yes|1)$'
union all
select 'the server (' || source || ')' from pg_settings
where name = 'timescaledb.restoring' and setting = 'on'
  and source not in ('database', 'user', 'database user', 'global', 'session')"""
_SCHEDULERS: Final = """
select count(*) from pg_stat_activity
where datname = current_database() and backend_type like 'TimescaleDB Background Worker Scheduler%'
"""
# Telemetry fails without internet access, and is not needed.
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
        procedure: what it calls, as `schema.name`.
        hypertable: what it works on; empty if that is not one hypertable.
        last_run: `Success`, `Failed`, or empty where none has ended.
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
    """
    need_role(connection, "pg_read_all_stats", "background processes are hidden")
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


def restoring(connection: Connection) -> Sequence[str]:
    """Where `timescaledb.restoring` is switched on for sessions of this database."""
    return [str(row[0]) for row in postgres.fetch(connection, _SETTINGS)]


def schedulers(connection: Connection) -> int:
    """How many schedulers drive the jobs of this database; one that just starts is waited for.

    Raises:
        NotPermitted: the role may not see the processes of others.
        CouldNotMeasure: it is a standby, where there is none.
    """
    if in_recovery(connection):
        raise CouldNotMeasure(
            "this is a standby: the scheduler runs on the primary",
            where=connection.info.dbname,
            remedy="point `dsn` at the primary",
        )
    need_role(connection, "pg_read_all_stats", "background processes are hidden")
    return until(
        lambda: int(postgres.fetch_value(connection, _SCHEDULERS)),
        lambda count: count > 0,
        within_s=_START_S,
    )
