"""Whether a service's metrics can be read, are correct, and are scraped as agreed."""

import shlex
from contextlib import ExitStack

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.monitoring.config import Service, Truth
from readiness.areas.monitoring.probes import scraping, truth
from readiness.areas.monitoring.probes.scraping import Scraped
from readiness.areas.monitoring.probes.truth import Counted
from readiness.config.base.watching import Job
from readiness.config.models import Config
from readiness.lib import sampling
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus import exposition as metrics
from readiness.lib.prometheus.exposition import Exposition, Format
from readiness.model.errors import NoData

_TEXT_FORMAT = "text/plain; version=0.0.4"
_SHOWN = 3
# Of the scrapes that fit into the window: a scrape may be late.
_WHOLE_WINDOW = 0.9


@check(
    "monitoring.metrics-endpoint",
    title="Prometheus can read the metrics endpoint, to the last line",
    failure_title="The metrics endpoint answers what Prometheus rejects",
    why="""One malformed line makes Prometheus drop the whole scrape, and Prometheus 3 drops it
    for a wrong content type alone: every alert on the service then goes blind at once. Of a
    duplicate series one value is dropped without a message, so that a counter may never move.
    Lenient parsers, promtool among them, accept both.""",
    fix="""Look at what Prometheus gets:
    curl -si -H 'Accept: text/plain;version=0.0.4' METRICS_URL | head -20
status: exempt the path from the login, or correct `metrics` in [services.NAME].
content-type: send `text/plain; version=0.0.4; charset=utf-8`.
format: escape `\\`, `"` and line ends in label values; end lines with \\n alone.
duplicates: register each collector once (one registry a process, no second exporter mounted).
    curl -s METRICS_URL | grep -v '^#' | sed 's/ [^ ]*$//' | sort | uniq -d
series: register the collectors with the registry that the endpoint exposes.""",
    severity="major",
    effect="observe",
    each="service",
    judgements=("status", "content-type", "format", "duplicates", "series"),
)
def test_metrics_endpoint(service: Service, target: Config, evidence: Evidence) -> None:
    """Read once, as strictly as Prometheus 2 reads; quoted names as the one that scrapes does."""
    found = metrics.scrape(service)
    source = f"GET {found.url}"
    answered = evidence.judge(
        "status",
        Measurement("status of the metrics endpoint", found.status, "status", source),
        equal_to(200),
        says=f"{service.metrics} answered {found.status}",
    )
    if not answered:
        return
    sent = found.content_type or "none"
    evidence.judge(
        "content-type",
        Measurement("content type of the metrics endpoint", sent, "text", source),
        equal_to(_wanted_type(found)),
        says=f"The content type is {sent}, which Prometheus 3 rejects",
    )
    quoted = tuple(f"{name} is quoted, which Prometheus 2 rejects" for name in found.quoted)
    problems = found.problems + (quoted if quoted and not _reads_quoted(target) else ())
    evidence.judge(
        "format",
        Measurement("malformed lines", len(problems), "count", source),
        equal_to(0),
        _first(problems),
        says="Prometheus drops the whole scrape because of malformed lines",
    )
    evidence.judge(
        "duplicates",
        Measurement("duplicate series", len(found.duplicates), "count", source),
        equal_to(0),
        _first(found.duplicates),
        says="Prometheus drops one of the values of each duplicate series",
    )
    evidence.judge(
        "series",
        Measurement("series", len(found.samples), "count", source),
        at_least(1),
        says=f"{service.metrics} exposes no series",
    )


def _reads_quoted(target: Config) -> bool:
    """Whether the Prometheus of the target accepts quoted names, as it does since 3.0."""
    if target.prometheus is None:
        return False
    with Prometheus(target.prometheus) as watcher:
        return not watcher.version().startswith(("1.", "2."))


def _wanted_type(exposition: Exposition) -> str:
    readable = exposition.format is not Format.UNKNOWN
    return exposition.content_type if readable else _TEXT_FORMAT


def _first(found: tuple[str, ...]) -> str:
    return "; ".join(found[:_SHOWN])


@check(
    "monitoring.metrics-truth",
    title="Counters count exactly the requests that were sent, also in Prometheus",
    failure_title="A counter does not count what happened, or Prometheus does not see it",
    why="""Alerts and dashboards are only as true as the counters under them. A counter that is
    kept for each worker process, counted twice by two middlewares, or never incremented where a
    request fails, looks alive on every graph and hides the outage it is meant to show. The same is
    true of a decommissioned instance that Prometheus still scrapes in place of the live one.""",
    fix="""Repeat it by hand, with the path and series of [services.NAME.truth]:
    curl -s METRICS_URL | grep COUNTER
    curl -so /dev/null URL/PATH
    curl -s METRICS_URL | grep COUNTER
requests: too few: several worker processes without a shared registry (Python: set
PROMETHEUS_MULTIPROC_DIR and use MultiProcessCollector), or `url` is a load balancer: use the
address of one instance.
Too many: the middleware is installed twice, or another client requests that path.
errors: count in `finally`, or outside of the handler that turns errors into answers.
false-errors: count by the status that was sent, or select it in `error_counter`.
stored: compare what it scrapes with `url`, and correct `scrape_configs`:
    curl -s PROMETHEUS/api/v1/targets?state=active | grep -o '"scrapeUrl":"[^"]*"'""",
    severity="major",
    effect="write",
    each="service",
    needs="truth",
    judgements=("requests", "errors", "false-errors", "stored"),
)
def test_metrics_truth(service: Service, target: Config, evidence: Evidence) -> None:
    """The probe makes sure that there is no other traffic on these series."""
    plan = service.truth
    assert plan, "`needs` of the check"
    with ExitStack() as stack:
        watcher = stack.enter_context(Prometheus(target.prometheus)) if target.prometheus else None
        before = _stored_before(watcher, plan, evidence)
        counted = truth.measure(service, plan)
        _judge_counters(counted, plan, evidence)
        # Where the service counts nothing, that is the finding.
        if watcher and before is not None and counted.requests > 0:
            with evidence.attempt():
                _judge_stored(watcher, plan, before, counted.requests, evidence)


def _stored_before(watcher: Prometheus | None, plan: Truth, evidence: Evidence) -> float | None:
    with evidence.attempt():
        return truth.stored(watcher, plan.counter) if watcher else None
    return None


def _judge_stored(
    watcher: Prometheus, plan: Truth, before: float, sent: float, evidence: Evidence
) -> None:
    moved = truth.stored_increase(watcher, plan.counter, before, sent)
    evidence.judge(
        "stored",
        Measurement(
            f"increase in Prometheus for {sent:g} requests of {plan.path}",
            moved,
            "count",
            f"{watcher.url}: sum({plan.counter})",
        ),
        at_least(sent),
        says=f"The service counted {sent:g} requests, and Prometheus {moved:g}: it scrapes another"
        " instance under this name",
    )


def _judge_counters(counted: Counted, plan: Truth, evidence: Evidence) -> None:
    good, bad = f"{plan.requests} requests of {plan.path}", f"{plan.errors} of {plan.error_path}"
    for key, name, sent, moved, expected, selector in (
        ("requests", "requests", good, counted.requests, plan.requests, plan.counter),
        ("errors", "errors", bad, counted.errors, plan.errors, plan.error_counter),
        ("false-errors", "errors", good, counted.requests_as_errors, 0, plan.error_counter),
    ):
        evidence.judge(
            key,
            Measurement(
                f"{name} counted for {sent}",
                moved,
                "count",
                source=selector,
                samples=plan.requests + plan.errors,
            ),
            equal_to(expected),
            f"no series matches {selector}" if selector in counted.silent else "",
            says=f"The counter of {name} moved by {moved:g} for {sent}, not by {expected}",
        )


@check(
    "monitoring.scrape-jobs",
    title="Prometheus scrapes the job as agreed, and gets the required metrics",
    failure_title="The job is not scraped as agreed, or required metrics are missing",
    core=True,
    explains=("monitoring.metrics-truth", "alerting.job-loss"),
    why="""`up == 0` fires for a target that is down, and never for one that Prometheus no longer
    knows: the alerts of a job that was lost in a refactoring are silent for ever. The same is true
    of a metric that was renamed, and of an exporter that is up without its database.""",
    fix="""Look at the page `Targets` of Prometheus, or at the same as JSON:
    curl -s PROMETHEUS/api/v1/targets?state=active
targets: correct `scrape_configs` in prometheus.yml, or its service discovery.
up: the page shows the reason; request the target from where Prometheus runs.
last-scrape: Prometheus hangs, or is overloaded; see its log.
success-share: the target restarts, its timeout is too short, or the network loses packets:
    avg_over_time(up{job="JOB"}[1h]); changes(up{job="JOB"}[1h])
interval: set `scrape_interval` of the job, and reload: curl -X POST PROMETHEUS/-/reload
look-back: scrape more often, or raise `--query.lookback-delta`.
exporter: it does not reach its target: correct its password, its privileges or the network:
    curl -s EXPORTER/metrics | grep -E 'pg_up|_scrape_error'
metric, metric-age: compare the metric's source with Prometheus, and initialize counters with zero
before the first event:
    curl -s TARGET/metrics | grep METRIC; count by (instance) (METRIC{job="JOB"})
collisions: `labeldrop` and `replacement` in `metric_relabel_configs` must leave what
distinguishes series; drop whole series instead (`action: drop`):
    rate(prometheus_target_scrapes_sample_duplicate_timestamp_total[5m])
once: remove one of the two jobs, or one of ServiceMonitor and PodMonitor.""",
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
        "collisions",
        "once",
    ),
)
def test_scrape_jobs(job: Job, watcher: Prometheus, evidence: Evidence) -> None:
    """A target that is down, or a wrong value, gets one more scrape."""
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
    if seen.well:
        with evidence.attempt():
            _judge_storage(job, watcher, evidence)


def _judge_targets(seen: Scraped, source: str, evidence: Evidence) -> None:
    reasons = [f"{target.instance}: {target.error}" for target in seen.down]
    evidence.judge(
        "up",
        Measurement("targets that are down", len(seen.down), "count", source, len(seen.targets)),
        equal_to(0),
        "; ".join(reasons[:_SHOWN]),
        says=f"{len(seen.down)} of {len(seen.targets)} targets of the job {seen.job} are down",
        commands=[f"curl -si {shlex.quote(target.url)}" for target in seen.down[:_SHOWN]],
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
    """A history that is shorter than the window decides only what it can."""
    settings = watcher.settings
    shares = scraping.availability(watcher, job, settings.window_s)
    worst = min(shares, key=lambda share: float(share.value))
    whole = worst.samples >= _WHOLE_WINDOW * settings.window_s / job.interval_s
    good, least = round(float(worst.value) * worst.samples), settings.up_min_share
    chance = sampling.chance_of(good, worst.samples, least)
    # One failure is that of a start, however few scrapes there are.
    unclear = chance > 1 - sampling.CONFIDENCE or worst.samples - good == 1
    if good < least * worst.samples and not whole and unclear:
        raise NoData(
            f"{good} of {worst.samples} {worst.name}: too few scrapes to decide on {least:.0%}",
            where=worst.source,
            remedy=f"run the gate when Prometheus has scraped it for {settings.window_s:g} s",
        )
    evidence.judge(
        "success-share",
        worst,
        at_least(least, settings.deciding("up_min_share")),
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
    """Each target exposes it, with a sample no older than two intervals and one timeout."""
    setting = job.deciding("required_metrics")
    found = scraping.exposed(watcher, job, selector)
    targets = len(found.seen.targets)
    source = f"{selector} of {found.seen.matchers}"
    evidence.judge(
        "metric",
        Measurement(
            f"targets without {selector}", len(found.missing), "count", source, samples=targets
        ),
        equal_to(0, setting),
        f"the job {job.name} is up: {', '.join(found.missing[:_SHOWN])}",
        says=f"{len(found.missing)} of {targets} targets that are up do not expose {selector}",
    )
    if found.age:
        limit = max(scraping.freshest_s(target) for target in found.seen.targets)
        evidence.judge("metric-age", found.age, at_most(limit, setting), "it is no longer exposed")


def _judge_storage(job: Job, watcher: Prometheus, evidence: Evidence) -> None:
    """What a scrape got is stored, and stored once."""
    for lost in scraping.thrown_away(watcher, job):
        evidence.judge(
            "collisions",
            lost,
            equal_to(0),
            "relabeling made several series one, the target exposes a series twice, or a time of"
            " its own is too old",
        )
    again = scraping.twice(watcher, job)
    evidence.judge(
        "once",
        again,
        equal_to(0),
        f"also as {again.source}",
        says=f"{again.value} targets of the job {job.name} are scraped a second time, and every sum"
        " counts them twice",
    )
