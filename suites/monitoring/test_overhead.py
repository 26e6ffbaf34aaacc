"""Whether watching the target costs little of what is watched."""

from readiness import Evidence, Measurement, at_most, check
from readiness.areas.monitoring.probes import exporters, scraping, statement_time
from readiness.config.base.tables import Database
from readiness.config.base.watching import Prometheus as Settings
from readiness.config.models import Config
from readiness.lib.prometheus import Prometheus
from readiness.model.errors import NoData

_DEFAULT_SHARE: float = Settings.model_fields["overhead_max_share"].default


@check(
    "monitoring.scrape-overhead",
    title="Being scraped takes a small share of the time, and the exporters a small one of the CPU",
    why="""What watches a system runs on it. An exporter that collects for half of each interval, or
    that keeps a core busy, slows down what it is to protect, and does so most when the system is
    loaded.""",
    fix="""See what is slow, and what is busy:
    topk(5, scrape_duration_seconds)
    topk(5, rate(process_cpu_seconds_total[5m]))
Switch off collectors that nobody reads, or scrape less often. The limit is
`overhead_max_share` in [prometheus].""",
    severity="minor",
    effect="observe",
    each="prometheus",
)
def test_scrape_overhead(prometheus: Settings, watcher: Prometheus, evidence: Evidence) -> None:
    """Of the median scrape, so that one which was disturbed is no finding."""
    if not prometheus.jobs:
        raise NoData(
            "no scrape job is declared",
            where="[prometheus.jobs]",
            remedy="declare those that watch the target, as [prometheus.jobs.NAME]",
        )
    limit = at_most(prometheus.overhead_max_share)
    for job in prometheus.jobs.values():
        usual = scraping.usual_scrapes(watcher, job, prometheus.window_s)
        shares = [
            Measurement(
                f"share of the time in which {target.instance} is scraped",
                float(median.value) / target.interval_s,
                "ratio",
                median.source,
            )
            for target, median in usual
        ]
        evidence.judge(
            "max",
            max(shares, key=lambda share: float(share.value)),
            limit,
            f"the median scrape of the job {job.name}, by its interval",
        )
    for share in exporters.cpu_shares(watcher, prometheus.jobs.values(), prometheus.window_s):
        evidence.judge("share", share, limit, "it is missing where the work is done")


@check(
    "monitoring.database-overhead",
    title="The monitoring takes a small share of the database's time",
    why="""Queries of exporters run at every scrape, for ever, and are looked at by nobody. One that
    counts the rows of a table which grows takes a little more of the database each day.""",
    fix="""See which statements of the role it is:
    select calls, round(total_exec_time) ms, query from pg_stat_statements
    where userid = 'MONITORING_ROLE'::regrole order by total_exec_time desc limit 10
Drop the exporter's own queries that nobody reads, or let them run less often. The limit is
`overhead_max_share` in [prometheus]; the role is that of `dsn` in [databases.NAME].""",
    severity="minor",
    effect="observe",
    each="database",
)
def test_database_overhead(database: Database, target: Config, evidence: Evidence) -> None:
    """Of the time of all statements, or of the time that passed if the database was mostly idle."""
    times = statement_time.times(database)
    limit = target.prometheus.overhead_max_share if target.prometheus else _DEFAULT_SHARE
    evidence.judge(
        "share-database-s-time",
        Measurement(
            f"share of the database's time that {times.role} takes",
            times.share,
            "ratio",
            "total_exec_time of pg_stat_statements",
        ),
        at_most(limit),
        f"{times.own_s:.1f} s; all statements {times.all_s:.1f} s within {times.elapsed_s:.0f} s",
    )
