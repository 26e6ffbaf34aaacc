"""Whether a service's metrics can be read, and whether they are correct."""

from readiness import Evidence, Measurement, at_least, check, equal_to
from readiness.areas.monitoring.config import Service
from readiness.areas.monitoring.probes import truth
from readiness.lib.prometheus import exposition as metrics
from readiness.lib.prometheus.exposition import Exposition, Format

_TEXT_FORMAT = "text/plain; version=0.0.4"
_SHOWN = 3


@check(
    "monitoring.metrics-endpoint",
    title="Prometheus can read the metrics endpoint, to the last line",
    failure_title="The metrics endpoint answers what Prometheus rejects",
    why="""One malformed line makes Prometheus drop the whole scrape, and Prometheus 3 drops it
    for a wrong content type alone: every alert on the service then goes blind at once. Of a
    duplicate series one value is dropped without a message, so that a counter may never move.
    Lenient parsers, promtool among them, accept both.""",
    fix="""Look at what Prometheus gets:
    curl -si -H 'Accept: text/plain;version=0.0.4' URL/metrics | head -20
A wrong status or HTML: exempt the path from the login, or correct `metrics` in [services.NAME].
A wrong content type: send `text/plain; version=0.0.4; charset=utf-8`.
A malformed line: escape `\\`, `"` and line ends in label values; end lines with \\n alone.
Duplicate series: register each collector once (one registry a process, no second exporter mounted).
    curl -s URL/metrics | grep -v '^#' | sed 's/ [^ ]*$//' | sort | uniq -d
No series: register the collectors with the registry that the endpoint exposes.""",
    severity="major",
    effect="observe",
    each="service",
    judgements=("status", "content-type", "format", "duplicates", "series"),
)
def test_metrics_endpoint(service: Service, evidence: Evidence) -> None:
    """Read once, as strictly as Prometheus reads."""
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
    evidence.judge(
        "format",
        Measurement("malformed lines", len(found.problems), "count", source),
        equal_to(0),
        _first(found.problems),
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


def _wanted_type(exposition: Exposition) -> str:
    readable = exposition.format is not Format.UNKNOWN
    return exposition.content_type if readable else _TEXT_FORMAT


def _first(found: tuple[str, ...]) -> str:
    return "; ".join(found[:_SHOWN])


@check(
    "monitoring.metrics-truth",
    title="Counters count exactly the requests that were sent",
    failure_title="A counter does not count what happened",
    why="""Alerts and dashboards are only as true as the counters under them. A counter that is
    kept for each worker process, counted twice by two middlewares, or never incremented where a
    request fails, looks alive on every graph and hides the outage it is meant to show.""",
    fix="""Repeat it by hand, with the path and series of [services.NAME.truth]:
    curl -s URL/metrics | grep COUNTER
    curl -so /dev/null URL/PATH
    curl -s URL/metrics | grep COUNTER
Too few: several worker processes without a shared registry (Python: set PROMETHEUS_MULTIPROC_DIR
    and use MultiProcessCollector), or `url` is a load balancer: use the address of one instance.
Too many: the middleware is installed twice, or somebody else requests that path.
Errors not counted: count in `finally`, or outside of the handler that turns errors into answers.
Successes counted as errors: count by the status that was sent, or select it in `error_counter`.""",
    severity="major",
    effect="write",
    each="service",
    needs="truth",
    judgements=("requests", "errors", "false-errors"),
)
def test_metrics_truth(service: Service, evidence: Evidence) -> None:
    """Exactly: neither one less nor one more. The probe makes sure that nobody else counts."""
    plan = service.truth
    assert plan, "`needs` of the check"
    counted = truth.measure(service, plan)
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
