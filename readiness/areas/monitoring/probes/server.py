"""Prometheus as a server: its retention and clock, and what monitoring costs."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from psycopg import sql

from readiness.areas.monitoring.probes.scraping import present_targets_of
from readiness.config.base.tables import Database
from readiness.config.base.watching import Job
from readiness.lib import postgres
from readiness.lib.durations import prometheus_seconds
from readiness.lib.postgres import Connection
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Sample
from readiness.lib.retry import until
from readiness.lib.text import clean
from readiness.model.errors import NoData
from readiness.model.measurement import Measurement

_ASKED: Final = 3
_HOUR_S: Final = 3600
# As Prometheus writes bytes (`Base2Bytes`): `10GiB`, `1GiB512MiB`; or a share of the disk.
_SIZE: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:[KMGTPE]i?)?B)+|[0-9]+(?:\.[0-9]+)?%")
_KEPT_SINCE: Final = "max(time() - prometheus_tsdb_lowest_timestamp_seconds)"
# By convention every exporter exposes this, and nothing else does.
_BUILD_INFO: Final = '{__name__=~".+_exporter_build_info"}'
_CORES: Final = 'count by (job, instance) (node_cpu_seconds_total{mode="idle"})'
_FROM_13: Final = 130000
_FROM_14: Final = 140000
_SCHEMA: Final = """
select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'pg_stat_statements'"""
_TIMES: Final = sql.SQL("""
select coalesce(sum(total_exec_time) filter (where userid = r.oid), 0) / 1000,
       coalesce(sum(total_exec_time), 0) / 1000
from {}.pg_stat_statements(false)
cross join (select oid from pg_roles where rolname = current_user) r
where dbid = (select oid from pg_database where datname = current_database())""")
_SINCE: Final = sql.SQL(
    "select extract(epoch from now() - stats_reset)::float8 from {}.pg_stat_statements_info"
)


@dataclass(frozen=True, slots=True)
class Promise:
    """The limits in `storageRetention`.

    Attributes:
        hours: how long samples are kept at most; None without a limit of time.
        size: how much space they may take, such as `10GiB`; empty without a limit of size.
    """

    hours: float | None
    size: str


def read(text: str) -> Promise:
    """Read `15d`, `15d or 10GiB`, or `10GiB`; `0s` means no limit of time.

    Raises:
        NoData: it has neither.
    """
    hours: float | None = None
    size = ""
    for word in filter(None, (part.strip() for part in text.split(" or "))):
        try:
            said_h = prometheus_seconds(word) / _HOUR_S
        except NoData:
            if not _SIZE.fullmatch(word):
                raise _unreadable(text) from None
            size = word
        else:
            hours = said_h or None
    if hours is None and not size:
        raise _unreadable(text)
    return Promise(hours, size)


def _unreadable(text: str) -> NoData:
    return NoData(
        f"it does not report how long it keeps samples ({clean(text, 60)!r})",
        where="storageRetention of /api/v1/status/runtimeinfo",
        remedy="another program than Prometheus answers, or one without its own storage:"
        " look where the samples are stored, and for how long",
    )


def kept_h(prometheus: Prometheus, wanted_h: float) -> Measurement:
    """Hours of history that it promises; where only the size is limited, those that it has.

    Args:
        prometheus: the server.
        wanted_h: hours that must be kept; fewer prove nothing where no time is promised.

    Raises:
        NoData: it promises no time, and its history does not reach that far yet.
    """
    text = prometheus.runtime().retention
    promise = read(text)
    source = f"GET {prometheus.url}/api/v1/status/runtimeinfo: {clean(text, 60)}"
    if promise.hours is not None:
        return Measurement("history that is kept", promise.hours, "h", source)
    held = [sample.value / _HOUR_S for sample in prometheus.query(_KEPT_SINCE)]
    if held and held[0] >= wanted_h:
        return Measurement("history that is there", held[0], "h", _KEPT_SINCE)
    reach = f"{held[0]:.0f} h of history are there" if held else "it does not report its history"
    raise NoData(
        f"its retention is limited by size only ({promise.size}), not by time; {reach}",
        where=source,
        remedy="set --storage.tsdb.retention.time too; and let Prometheus scrape itself, which"
        " provides prometheus_tsdb_lowest_timestamp_seconds",
    )


class Clock(Protocol):
    """A Prometheus or an Alertmanager."""

    url: str

    def clock_offset_s(self) -> tuple[float, float]:
        """Seconds that it is ahead of our clock, and the uncertainty of that in seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Offset:
    """The difference between a clock and ours.

    Attributes:
        name: the program whose clock it is.
        url: its address.
        ahead_s: seconds that it is ahead of our clock; negative if it is behind.
        error_s: uncertainty of that, in seconds.
    """

    name: str
    url: str
    ahead_s: float
    error_s: float

    def least(self) -> Measurement:
        """The smallest possible difference in seconds, given the uncertainty."""
        return Measurement(
            f"clock of {self.name} at {self.url}, off by at least",
            max(0.0, abs(self.ahead_s) - self.error_s),
            "s",
            f"GET {self.url}",
            _ASKED,
        )


def offset_of(clock: Clock, name: str) -> Offset:
    """The most precise of three answers.

    Raises:
        CouldNotMeasure: it does not answer, or reports no time.
    """
    ahead, error = min((clock.clock_offset_s() for _ in range(_ASKED)), key=lambda pair: pair[1])
    return Offset(name, clock.url, ahead, error)


def cpu_shares(prometheus: Prometheus, jobs: Iterable[Job], window_s: float) -> list[Measurement]:
    """For each machine, the share of its CPU time that the exporters of the jobs used.

    A machine is the host in `instance`. Where no node exporter reports its cores, it counts as
    one.

    Args:
        prometheus: the one that scrapes them.
        jobs: which targets; those of them that are exporters count.
        window_s: seconds over which the use is averaged.

    Raises:
        NoData: an exporter reports no CPU time.
    """
    shares: dict[str, float] = defaultdict(float)
    window = f"[{round(window_s)}s]"
    for job in jobs:
        matchers = present_targets_of(prometheus, job).matchers
        names = _exporters(prometheus, job, matchers)
        asked = f"rate(process_cpu_seconds_total{{{matchers}}}{window})"
        for instance, used in _used(prometheus, job, asked, names).items():
            shares[_machine(instance)] += used
    cores = _cores(prometheus)
    source = f"rate(process_cpu_seconds_total{window}) of the exporters, by cores"
    return [
        Measurement(f"CPU of the exporters on {name}", used / cores.get(name, 1), "ratio", source)
        for name, used in sorted(shares.items())
    ]


def _exporters(prometheus: Prometheus, job: Job, matchers: str) -> set[str]:
    """The instances of a job that are exporters: by declaration, or by what they expose."""
    declared = bool(job.must_be_one or job.must_be_zero)
    found = prometheus.query(
        f"up{{{matchers}}}"
        if declared
        else f"up{{{matchers}}} and on (job, instance) {_BUILD_INFO}"
    )
    return _instances(found)


def _used(prometheus: Prometheus, job: Job, asked: str, names: set[str]) -> dict[str, float]:
    """CPU seconds per second, by instance; waits for the second scrape."""
    found = until(
        lambda: prometheus.query(asked),
        lambda samples: names <= _instances(samples),
        within_s=prometheus.patience_s(2 * job.interval_s),
    )
    if missing := names - _instances(found):
        raise NoData(
            f"the exporter at {min(missing)} reports no CPU time of its own",
            where=f"{prometheus.url}: {asked}",
            remedy="let it expose process_cpu_seconds_total, and let `window_s` of [prometheus]"
            " span at least two scrapes",
        )
    return {s.labels["instance"]: s.value for s in found if s.labels["instance"] in names}


def _cores(prometheus: Prometheus) -> dict[str, float]:
    return {_machine(s.labels["instance"]): s.value for s in prometheus.query(_CORES)}


def _instances(samples: Iterable[Sample]) -> set[str]:
    return {sample.labels.get("instance", "") for sample in samples}


def _machine(instance: str) -> str:
    return instance.rpartition(":")[0] or instance


@dataclass(frozen=True, slots=True)
class Times:
    """Time spent in statements since the statistics were reset.

    Attributes:
        role: whose statements `own_s` counts.
        own_s: seconds that the statements of this role took.
        all_s: seconds that those of all roles took.
        elapsed_s: seconds since the reset.
    """

    role: str
    own_s: float
    all_s: float
    elapsed_s: float

    @property
    def share(self) -> float:
        """Share of the time of all statements; of the time that passed, if that is more.

        In an idle database monitoring is all that happens, however little it is.
        """
        return self.own_s / max(self.all_s, self.elapsed_s)


def times(database: Database) -> Times:
    """The time that the role of a database's `dsn` took there.

    Raises:
        NoData: pg_stat_statements is missing or has counted nothing, or the server is too old.
        CouldNotMeasure: and its kinds, see `postgres.connect`.
    """
    with postgres.connect(database.dsn, timeout_s=database.timeout_s) as connection:
        schema = _schema(connection, database)
        own, total = postgres.fetch(connection, _TIMES.format(schema))[0]
        if total <= 0:
            raise NoData(
                "pg_stat_statements has counted no statement",
                where=database.dsn.address,
                remedy="run the gate again after the database has had some traffic",
            )
        return Times(
            role=str(postgres.fetch_value(connection, "select current_user")),
            own_s=float(own),
            all_s=float(total),
            elapsed_s=_elapsed_s(connection, schema),
        )


def _schema(connection: Connection, database: Database) -> sql.Identifier:
    found = postgres.fetch(connection, _SCHEMA)
    if not found or connection.info.server_version < _FROM_13:
        raise NoData(
            "pg_stat_statements is not installed"
            if not found
            else "PostgreSQL before 13 has no total_exec_time",
            where=database.dsn.address,
            remedy="set shared_preload_libraries = 'pg_stat_statements', restart, and run in that"
            " database: create extension pg_stat_statements",
        )
    return sql.Identifier(found[0][0])


def _elapsed_s(connection: Connection, schema: sql.Identifier) -> float:
    """Seconds since the reset; 0 where the server does not say, as before PostgreSQL 14."""
    if connection.info.server_version < _FROM_14:
        return 0.0
    return float(postgres.fetch_value(connection, _SINCE.format(schema)))
