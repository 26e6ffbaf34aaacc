"""Whether a database was left in the mode that a restore needs, and whether its jobs are driven."""

from collections.abc import Sequence
from typing import Final

from readiness.lib import postgres
from readiness.lib.patience import until
from readiness.lib.postgres import Connection, timescale
from readiness.model.errors import CouldNotMeasure

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


def restoring(connection: Connection) -> Sequence[str]:
    """Where `timescaledb.restoring` is switched on for sessions of this database.

    Raises:
        CouldNotMeasure: and its kinds, see `postgres.connect`.
    """
    return [str(row[0]) for row in postgres.fetch(connection, _SETTINGS)]


def schedulers(connection: Connection) -> int:
    """How many schedulers drive the jobs of this database; one that just starts is waited for.

    Raises:
        NotPermitted: the role may not see the processes of others.
        CouldNotMeasure: it is a standby, where there is none; and its kinds, see
            `postgres.connect`.
    """
    if postgres.fetch_value(connection, "select pg_is_in_recovery()"):
        raise CouldNotMeasure(
            "this is a standby: the scheduler runs on the primary",
            where=connection.info.dbname,
            remedy="let `dsn` lead to the primary",
        )
    timescale.may_see_processes(connection)
    return until(
        lambda: int(postgres.fetch_value(connection, _SCHEDULERS)),
        lambda count: count > 0,
        within_s=_START_S,
    )
