"""Whether Prometheus scrapes what it must, as often as agreed, and in time."""

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.monitoring.probes import scraping
from readiness.areas.monitoring.probes.scraping import Scraped
from readiness.config.base.watching import Job
from readiness.lib.prometheus import Prometheus
from readiness.model.errors import NoData

_SHOWN = 3


@check(
    "monitoring.scrape-jobs",
    title="The scrape job is there, with all its targets, and each was scraped a moment ago",
    why="""An alert such as `up == 0` fires for a target that is down. It cannot fire for one that
    Prometheus does not know any more: a job that got lost in a refactoring is silent for ever,
    and so is every rule and dashboard that lives on its series.""",
    fix="""Look at the page `Targets` of Prometheus, or at the same as JSON:
    curl -s PROMETHEUS/api/v1/targets?state=active
Too few targets: correct `scrape_configs` in prometheus.yml, or what it discovers them by.
Down: the page shows the reason; ask as Prometheus does, from where it runs: curl -si TARGET
No scrape for long: Prometheus hangs, or is overloaded; see its log.
Meant to be so: set `min_targets` in [prometheus.jobs.NAME].""",
    severity="blocker",
    effect="observe",
    each="job",
)
def test_scrape_jobs(job: Job, watcher: Prometheus, evidence: Evidence) -> None:
    """A target that is down is given one more scrape."""
    seen = scraping.targets_of(watcher, job)
    source = f"GET {watcher.url}/api/v1/targets?state=active"
    many = evidence.judge(
        "targets",
        Measurement(f"targets of {job.name}", len(seen.targets), "count", source),
        at_least(job.min_targets),
        "what is not scraped is not watched" if seen.targets else "Prometheus has no such job",
    )
    if not (many or seen.targets):
        return
    reasons = [f"{target.instance}: {target.error}" for target in seen.down]
    evidence.judge(
        "targets-down",
        Measurement(
            f"targets of {job.name} that are down",
            len(seen.down),
            "count",
            source,
            len(seen.targets),
        ),
        equal_to(0),
        "; ".join(reasons[:_SHOWN]),
    )
    _judge_freshness(seen, source, evidence)


def _judge_freshness(seen: Scraped, source: str, evidence: Evidence) -> None:
    oldest = max(seen.targets, key=lambda t: seen.age_s(t) - scraping.freshest_s(t))
    evidence.judge(
        "last-scrape",
        Measurement(f"last scrape of {oldest.instance}", seen.age_s(oldest), "s", source),
        at_most(scraping.freshest_s(oldest)),
        f"Prometheus does not keep up: it should scrape every {oldest.interval}",
    )


@check(
    "monitoring.scrape-interval",
    title="The scrape interval is the agreed one, and short enough to survive a lost scrape",
    why="""How soon anything can be noticed is decided here first. An interval of more than half of
    Prometheus's look-back (5 min) makes every series vanish when one scrape is lost: firing
    alerts are called resolved, and `rate(x[5m])` has no value at all.""",
    fix="""Set `scrape_interval` of the job in prometheus.yml, and reload:
    curl -X POST PROMETHEUS/-/reload
If the agreed interval is another one, set `interval_s` in [prometheus.jobs.NAME]. Longer than
150 s: scrape more often, or raise `--query.lookback-delta`.""",
    severity="major",
    effect="observe",
    each="job",
)
def test_scrape_interval(job: Job, watcher: Prometheus, evidence: Evidence) -> None:
    """Of the target that is the furthest off."""
    seen = scraping.present_targets_of(watcher, job)
    source = f"GET {watcher.url}/api/v1/targets?state=active"
    off = max(seen.targets, key=lambda target: abs(target.interval_s - job.interval_s))
    measured = Measurement(
        f"scrape interval of {off.instance}", off.interval_s, "s", source, len(seen.targets)
    )
    evidence.judge("measured", measured, equal_to(job.interval_s), "another one was agreed")
    lookback = watcher.lookback_s()
    evidence.judge(
        "measured",
        measured,
        at_most(lookback / 2),
        f"the look-back is {lookback:g} s: one lost scrape, and its series are gone",
    )


@check(
    "monitoring.scrape-duration",
    title="Nine of ten scrapes leave room before their time-out",
    why="""A scrape that takes longer than its time-out is dropped as a whole, mostly when the
    target is busiest: just then, all its metrics are missing. Scrapes that get slower
    announce it.""",
    fix="""See which scrapes are slow:
    topk(5, quantile_over_time(0.9, scrape_duration_seconds[1h]))
Fewer series, a cheaper query in the exporter, or a longer `scrape_timeout` (up to the interval).
The share that is allowed is `scrape_time_max_share` in [prometheus].""",
    severity="minor",
    effect="observe",
    each="job",
)
def test_scrape_duration(job: Job, watcher: Prometheus, evidence: Evidence) -> None:
    """Of the target that comes closest to its time-out; one disturbed scrape is no finding."""
    share = watcher.settings.scrape_time_max_share
    found = scraping.slow_scrapes(watcher, job, watcher.settings.window_s)
    target, slow = max(found, key=lambda pair: float(pair[1].value) / pair[0].timeout_s)
    evidence.judge(
        "slow",
        slow,
        at_most(share * target.timeout_s),
        f"the time-out is {target.timeout}, and a scrape that reaches it brings nothing",
    )


@check(
    "monitoring.scrape-stability",
    title="Nearly every scrape of the last hour succeeded",
    why="""Each failed scrape is a hole: `for` starts again from zero, rates are wrong, and an alert
    on a target that flaps may never fire. A look at one moment does not show it.""",
    fix="""See when scrapes failed:
    avg_over_time(up{job="NAME"}[1h]); changes(up{job="NAME"}[1h])
Restarts of the target, a time-out that is too short, or a network that loses packets. Window and
share are `window_s` and `up_min_share` in [prometheus].""",
    severity="major",
    effect="observe",
    each="job",
)
def test_scrape_stability(job: Job, watcher: Prometheus, evidence: Evidence) -> None:
    """Of the target with the smallest share."""
    settings = watcher.settings
    shares = scraping.availability(watcher, job, settings.window_s)
    evidence.judge(
        "min",
        min(shares, key=lambda share: float(share.value)),
        at_least(settings.up_min_share),
        f"within the last {settings.window_s:g} s",
    )


@check(
    "monitoring.exporter-reaches-target",
    title="The exporter reaches what it exports",
    why="""`up` says that the exporter answers, nothing about what stands behind it. With a wrong
    password or the database away, an exporter goes on answering: `up` is 1, all figures of the
    database are missing, and rules on them are as quiet as on a healthy one.""",
    fix="""Look at what the exporter says about itself, and at its log:
    curl -s EXPORTER/metrics | grep -E 'pg_up|_scrape_error'
Mostly its password, its rights, or the network between the two. The series are those of
`must_be_one` and `must_be_zero` in [prometheus.jobs.NAME]; no series at all is an error.""",
    severity="blocker",
    effect="observe",
    each="exporter_job",
)
def test_exporter_reaches_target(
    exporter_job: Job, watcher: Prometheus, evidence: Evidence
) -> None:
    """A value that is not as it must be is given one more scrape."""
    wanted = [(selector, 1.0) for selector in exporter_job.must_be_one]
    wanted += [(selector, 0.0) for selector in exporter_job.must_be_zero]
    unseen = []
    for selector, value in wanted:
        found, missing = scraping.values_of(watcher, exporter_job, selector, value)
        for measured in found:
            evidence.judge(
                "measured",
                measured,
                equal_to(value),
                "the exporter answers, what it exports does not",
            )
        unseen += [f"{selector} of {name}" for name in missing]
    if unseen:
        raise NoData(
            f"there is no series {unseen[0]}, although its exporter is up",
            where=f"{watcher.url}, [prometheus.jobs.{exporter_job.name}]",
            remedy="see whether the exporter has it: curl -s EXPORTER/metrics; or correct the name",
        )


@check(
    "monitoring.required-metrics",
    title="Every metric that the target must have is there, and fresh",
    why="""A metric that was renamed, or that a release does not expose any more, takes its rules
    and panels with it, without a word: a rule on a series that does not exist is healthy, and
    never fires.""",
    fix="""Ask for it in Prometheus, and at its source:
    count by (__name__) ({job="NAME"})
    curl -s TARGET/metrics | grep METRIC
Let counters begin at zero before the first event, or correct `required_metrics` in
[prometheus.jobs.NAME].""",
    severity="major",
    effect="observe",
    each="measured_job",
)
def test_required_metrics(measured_job: Job, watcher: Prometheus, evidence: Evidence) -> None:
    """There, with a sample that is no older than two intervals."""
    for selector in measured_job.required_metrics:
        seen, age = scraping.age_of(watcher, measured_job, selector)
        there = evidence.judge(
            "series",
            Measurement(
                f"series of {selector}",
                age.samples if age else 0,
                "count",
                f"{selector} of {seen.matchers}",
            ),
            at_least(1),
            f"the job {measured_job.name} is up, and does not expose it",
        )
        if there and age:
            limit = max(scraping.freshest_s(target) for target in seen.targets)
            evidence.judge("age", age, at_most(limit), "it is not exposed any more")


@check(
    "monitoring.cardinality",
    title="No target brings more samples than Prometheus was sized for",
    why="""One label with a customer number in it makes a series of every customer. Prometheus keeps
    them all in memory, and dies of it: on the day with the most customers.""",
    fix="""See which metric it is:
    topk(10, count by (__name__) ({job="NAME"}))
Take identifiers out of labels, or drop the metric with `metric_relabel_configs`; `sample_limit`
protects Prometheus from it. The limit is `samples_max` in [prometheus].""",
    severity="minor",
    effect="observe",
    each="job",
)
def test_cardinality(job: Job, watcher: Prometheus, evidence: Evidence) -> None:
    """Of the target with the most."""
    most = max(scraping.samples_of(watcher, job), key=lambda found: float(found.value))
    evidence.judge(
        "most",
        most,
        at_most(watcher.settings.samples_max),
        "each of them costs memory, as long as it is kept",
    )
