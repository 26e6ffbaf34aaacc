"""Whether Prometheus scrapes each job as agreed, and gets what must be there."""

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.monitoring.probes import scraping
from readiness.areas.monitoring.probes.scraping import Scraped
from readiness.config.base.watching import Job
from readiness.lib.prometheus import Prometheus
from readiness.model.errors import NoData

_SHOWN = 3


@check(
    "monitoring.scrape-jobs",
    title="Prometheus scrapes the job as agreed, and gets the required metrics",
    failure_title="The job is not scraped as agreed, or required metrics are missing",
    why="""`up == 0` fires for a target that is down, and never for one that Prometheus no longer
    knows: the alerts of a job that was lost in a refactoring are silent for ever. The same is true
    of a metric that was renamed, and of an exporter that is up without its database.""",
    fix="""Look at the page `Targets` of Prometheus, or at the same as JSON:
    curl -s PROMETHEUS/api/v1/targets?state=active
Too few targets: correct `scrape_configs` in prometheus.yml, or its service discovery.
Down: the page shows the reason; request the target from where Prometheus runs: curl -si TARGET
The last scrape is old: Prometheus hangs, or is overloaded; see its log.
Failed scrapes: the target restarts, its timeout is too short, or the network loses packets:
    avg_over_time(up{job="NAME"}[1h]); changes(up{job="NAME"}[1h])
Another interval: set `scrape_interval` of the job, and reload: curl -X POST PROMETHEUS/-/reload
Over half of the look-back: scrape more often, or raise `--query.lookback-delta`.
An exporter does not reach its target: correct its password, its privileges or the network:
    curl -s EXPORTER/metrics | grep -E 'pg_up|_scrape_error'
A required metric is missing or old: compare its source with Prometheus, and initialize counters
with zero before the first event:
    curl -s TARGET/metrics | grep METRIC; count by (__name__) ({job="NAME"})""",
    severity="blocker",
    effect="observe",
    each="job",
    judgements=(
        "targets",
        "up",
        "last-scrape",
        "success-share",
        "interval",
        "look-back",
        "exporter",
        "metric",
        "metric-age",
    ),
)
def test_scrape_jobs(job: Job, watcher: Prometheus, evidence: Evidence) -> None:
    """What is down or wrong gets one more scrape."""
    seen = scraping.targets_of(watcher, job)
    source = f"GET {watcher.url}/api/v1/targets?state=active"
    evidence.judge(
        "targets",
        Measurement(f"targets of the job {job.name}", len(seen.targets), "count", source),
        at_least(job.min_targets, job.deciding("min_targets")),
        "" if seen.targets else "Prometheus has no such job",
    )
    if not seen.targets:
        return
    _judge_targets(seen, source, evidence)
    _judge_interval(job, seen, source, watcher, evidence)
    with evidence.attempt():
        _judge_success_share(job, watcher, evidence)
    for selector, value in scraping.wanted_values(job):
        with evidence.attempt():
            _judge_exporter(job, selector, value, watcher, evidence)
    for selector in job.required_metrics:
        with evidence.attempt():
            _judge_metric(job, selector, watcher, evidence)


def _judge_targets(seen: Scraped, source: str, evidence: Evidence) -> None:
    reasons = [f"{target.instance}: {target.error}" for target in seen.down]
    evidence.judge(
        "up",
        Measurement("targets that are down", len(seen.down), "count", source, len(seen.targets)),
        equal_to(0),
        "; ".join(reasons[:_SHOWN]),
        says=f"{len(seen.down)} of {len(seen.targets)} targets of the job {seen.job} are down",
    )
    oldest = max(seen.targets, key=lambda t: seen.age_s(t) - scraping.freshest_s(t))
    evidence.judge(
        "last-scrape",
        Measurement(
            f"age of the last scrape of {oldest.instance}", seen.age_s(oldest), "s", source
        ),
        at_most(scraping.freshest_s(oldest)),
        f"two intervals of {oldest.interval} and one timeout of {oldest.timeout}",
    )


def _judge_interval(
    job: Job, seen: Scraped, source: str, watcher: Prometheus, evidence: Evidence
) -> None:
    off = max(seen.targets, key=lambda target: abs(target.interval_s - job.interval_s))
    measured = Measurement(
        f"scrape interval of {off.instance}", off.interval_s, "s", source, len(seen.targets)
    )
    evidence.judge("interval", measured, equal_to(job.interval_s, job.deciding("interval_s")))
    lookback = watcher.lookback_s()
    evidence.judge(
        "look-back",
        measured,
        at_most(lookback / 2),
        f"half of the look-back of {lookback:g} s; one lost scrape ends every series of the target",
    )


def _judge_success_share(job: Job, watcher: Prometheus, evidence: Evidence) -> None:
    settings = watcher.settings
    shares = scraping.availability(watcher, job, settings.window_s)
    evidence.judge(
        "success-share",
        min(shares, key=lambda share: float(share.value)),
        at_least(settings.up_min_share, settings.deciding("up_min_share")),
        f"within the last {settings.window_s:g} s",
    )


def _judge_exporter(
    job: Job, selector: str, value: float, watcher: Prometheus, evidence: Evidence
) -> None:
    setting = job.deciding("must_be_one" if value else "must_be_zero")
    found, missing = scraping.values_of(watcher, job, selector, value)
    for measured in found:
        evidence.judge(
            "exporter", measured, equal_to(value, setting), "the exporter is up, its target is not"
        )
    if missing:
        raise NoData(
            f"no series {selector} of {missing[0]}, although its exporter is up",
            where=f"{watcher.url}, [prometheus.jobs.{job.name}]",
            remedy="look for it at the exporter: curl -s EXPORTER/metrics; or correct its name",
        )


def _judge_metric(job: Job, selector: str, watcher: Prometheus, evidence: Evidence) -> None:
    """There, with a sample that is no older than two intervals and one timeout."""
    setting = job.deciding("required_metrics")
    seen, age = scraping.age_of(watcher, job, selector)
    evidence.judge(
        "metric",
        Measurement(
            f"series of {selector}",
            age.samples if age else 0,
            "count",
            f"{selector} of {seen.matchers}",
        ),
        at_least(1, setting),
        f"targets of the job {job.name} are up, and do not expose it",
    )
    if age:
        limit = max(scraping.freshest_s(target) for target in seen.targets)
        evidence.judge("metric-age", age, at_most(limit, setting), "it is no longer exposed")
