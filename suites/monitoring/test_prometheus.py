"""Whether Prometheus itself can be relied on, and what the monitoring costs."""

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.monitoring.probes import scraping, server
from readiness.areas.monitoring.probes.server import Offset
from readiness.config.base.tables import Database
from readiness.config.base.watching import Job
from readiness.config.base.watching import Prometheus as Settings
from readiness.config.models import Config
from readiness.lib.alertmanager import Peer
from readiness.lib.prometheus import Prometheus
from readiness.model.errors import NoData, TookTooLong

_DEFAULT_SHARE: float = Settings.model_fields["overhead_max_share"].default


@check(
    "monitoring.prometheus",
    title="Prometheus runs its current configuration, and its clock is right",
    failure_title="Prometheus runs an old configuration, or a clock is wrong",
    explains=("alerting.rules-healthy", "monitoring.scrape-jobs", "monitoring.database-overhead"),
    why="""A configuration or rule file with a mistake is rejected at reload, with one line in a
    log: the rules that were merged last week do not exist. A clock that is off by a minute starts
    and ends silences at the wrong time and misdates every graph.""",
    fix="""An old configuration: find the mistake, correct it, and reload
    promtool check config /etc/prometheus/prometheus.yml
    curl -X POST PROMETHEUS/-/reload
A wrong clock: on that machine (it may be this one), see whether its clock is synchronized
    timedatectl status; chronyc tracking""",
    severity="blocker",
    effect="observe",
    each="prometheus",
    judgements=("configuration", "clock"),
)
def test_prometheus(
    prometheus: Settings, watcher: Prometheus, target: Config, evidence: Evidence
) -> None:
    """Also the clocks of all Alertmanagers; the uncertainty of the round trip is subtracted."""
    runtime = watcher.runtime()
    evidence.judge(
        "configuration",
        Measurement(
            "last reload of the configuration",
            "succeeded" if runtime.config_loaded else "failed",
            "text",
            f"GET {prometheus.url}/api/v1/status/runtimeinfo",
        ),
        equal_to("succeeded"),
        says="The last reload of the configuration failed: Prometheus runs the one of"
        f" {runtime.last_config:%Y-%m-%d %H:%M} UTC",
    )
    with evidence.attempt():
        _judge_clock(server.offset_of(watcher, "Prometheus"), prometheus, evidence)
    if alertmanager := target.alertmanager:
        for url in alertmanager.urls:
            with evidence.attempt(), Peer(url, alertmanager) as peer:
                _judge_clock(server.offset_of(peer, "Alertmanager"), prometheus, evidence)


def _judge_clock(offset: Offset, prometheus: Settings, evidence: Evidence) -> None:
    limit = prometheus.clock_skew_max_s
    if offset.error_s > limit:
        raise TookTooLong(
            f"its answer took so long that its clock is known to {offset.error_s:.1f} s only",
            where=offset.url,
            remedy="run the gate closer to it, or raise `clock_skew_max_s` in [prometheus]",
        )
    direction = "ahead" if offset.ahead_s > 0 else "behind"
    evidence.judge(
        "clock",
        offset.least(),
        at_most(limit, prometheus.deciding("clock_skew_max_s")),
        says=f"The clock of {offset.name} at {offset.url} is"
        f" {abs(offset.ahead_s):.1f} s {direction}",
    )


@check(
    "monitoring.prometheus-capacity",
    title="Scrapes are short and small, and Prometheus keeps enough history",
    failure_title="Scrapes are slow or large, or history is too short",
    why="""A scrape that exceeds its timeout is dropped as a whole, mostly when the target is
    busiest; one label with a customer number makes a series of every customer, until Prometheus
    runs out of memory. And investigating an incident takes the week before it.""",
    fix="""scrape-duration: fewer series, a cheaper query in it, or a longer scrape_timeout
    topk(5, quantile_over_time(0.9, scrape_duration_seconds[1h]))
scrape-time, exporter-cpu: disable unused collectors, or scrape less often
    topk(5, rate(process_cpu_seconds_total[5m]))
samples: remove identifiers from labels, or set `metric_relabel_configs`, `sample_limit`
    topk(10, count by (__name__) ({job="JOB"}))
retention: start Prometheus with a longer one, on a disk with room for it
    prometheus --storage.tsdb.retention.time=15d""",
    severity="minor",
    effect="observe",
    each="prometheus",
    judgements=("scrape-duration", "scrape-time", "samples", "exporter-cpu", "retention"),
)
def test_prometheus_capacity(prometheus: Settings, watcher: Prometheus, evidence: Evidence) -> None:
    """Of each job, the target that comes closest to the limit."""
    watcher.runtime()  # if Prometheus does not answer, that is one error, not one for each job
    for job in prometheus.jobs.values():
        with evidence.attempt():
            _judge_duration(job, watcher, evidence)
        with evidence.attempt():
            _judge_time(job, watcher, evidence)
        with evidence.attempt():
            most = max(scraping.samples_of(watcher, job), key=lambda found: float(found.value))
            limit = at_most(prometheus.samples_max, prometheus.deciding("samples_max"))
            evidence.judge("samples", most, limit)
    with evidence.attempt():
        if not prometheus.jobs:
            raise NoData(
                "no scrape job is declared",
                where="[prometheus.jobs]",
                remedy="declare those that monitor the target, as [prometheus.jobs.NAME]",
            )
        share = at_most(prometheus.overhead_max_share, prometheus.deciding("overhead_max_share"))
        for used in server.cpu_shares(watcher, prometheus.jobs.values(), prometheus.window_s):
            evidence.judge("exporter-cpu", used, share)
    with evidence.attempt():
        evidence.judge(
            "retention",
            server.kept_h(watcher, prometheus.retention_min_h),
            at_least(prometheus.retention_min_h, prometheus.deciding("retention_min_h")),
        )


def _judge_duration(job: Job, watcher: Prometheus, evidence: Evidence) -> None:
    """By the 90th percentile, so that one disturbed scrape does not fail."""
    settings = watcher.settings
    found = scraping.slow_scrapes(watcher, job, settings.window_s)
    target, slow = max(found, key=lambda pair: float(pair[1].value) / pair[0].timeout_s)
    evidence.judge(
        "scrape-duration",
        slow,
        at_most(
            settings.scrape_time_max_share * target.timeout_s,
            settings.deciding("scrape_time_max_share"),
        ),
        f"the timeout is {target.timeout}, and a scrape that reaches it is dropped",
    )


def _judge_time(job: Job, watcher: Prometheus, evidence: Evidence) -> None:
    """By the least that the median scrape takes, so that disturbed scrapes do not fail."""
    settings = watcher.settings
    shares = [
        Measurement(
            f"share of the time in which {target.instance} is scraped",
            float(median.value) / target.interval_s,
            "ratio",
            median.source,
            median.samples,
        )
        for target, median in scraping.usual_scrapes(watcher, job, settings.window_s)
    ]
    evidence.judge(
        "scrape-time",
        max(shares, key=lambda share: float(share.value)),
        at_most(settings.overhead_max_share, settings.deciding("overhead_max_share")),
        f"the median scrape of the job {job.name}, by its interval (lower 95 % bound)",
    )


@check(
    "monitoring.database-overhead",
    title="Monitoring takes a small share of the database's time",
    failure_title="Monitoring takes too much of the database's time",
    why="""Queries of exporters run at every scrape, unnoticed. One that
    counts the rows of a growing table takes a little more of the database each day.""",
    fix="""See which statements of the role are slow:
    select calls, round(total_exec_time) ms, query from pg_stat_statements
    where userid = 'MONITORING_ROLE'::regrole order by total_exec_time desc limit 10
Remove unused queries of the exporter, or run them less often. The role is that of
`dsn` in [databases.NAME].""",
    severity="minor",
    effect="observe",
    each="database",
    judgements=("time-share",),
)
def test_database_overhead(database: Database, target: Config, evidence: Evidence) -> None:
    """Of the time of all statements, or of the time that passed if the database was mostly idle."""
    times = server.times(database)
    limit = (
        at_most(
            target.prometheus.overhead_max_share, target.prometheus.deciding("overhead_max_share")
        )
        if target.prometheus
        else at_most(_DEFAULT_SHARE, "default")
    )
    evidence.judge(
        "time-share",
        Measurement(
            f"share of the database's time that {times.role} takes",
            times.share,
            "ratio",
            "total_exec_time of pg_stat_statements",
        ),
        limit,
        f"{times.own_s:.1f} s; all statements {times.all_s:.1f} s within {times.elapsed_s:.0f} s",
    )
