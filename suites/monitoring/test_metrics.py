"""Whether a service's metrics can be read, and whether they are true."""

from readiness import Evidence, Measurement, at_least, check, equal_to
from readiness.areas.monitoring.config import Service
from readiness.areas.monitoring.probes import truth
from readiness.lib.prometheus import exposition as metrics
from readiness.lib.prometheus.exposition import Exposition, Format

_TEXT_FORMAT = "text/plain; version=0.0.4"
_SHOWN = 3


@check(
    "monitoring.metrics-endpoint",
    title="The metrics endpoint answers what Prometheus can read, to the last line",
    why="""One malformed line makes Prometheus drop the whole scrape, and Prometheus 3 drops it
    for a wrong content type alone: every alert on the service then goes blind at once. Of a
    series that stands twice, one value is dropped without a word, so that a counter may never
    move. Lenient parsers, promtool among them, accept both.""",
    fix="""Look at what Prometheus gets:
    curl -si -H 'Accept: text/plain;version=0.0.4' URL/metrics | head -20
A wrong status or HTML: exempt the path from the login, or correct `metrics` in [services.NAME].
A wrong content type: send `text/plain; version=0.0.4; charset=utf-8`.
A malformed line: escape `\\`, `"` and line ends in label values; end lines with \\n alone.
A series twice: register each collector once (one registry a process, no second exporter mounted).
    curl -s URL/metrics | grep -v '^#' | sed 's/ [^ ]*$//' | sort | uniq -d""",
    severity="major",
    effect="observe",
    each="service",
)
def test_metrics_endpoint(service: Service, evidence: Evidence) -> None:
    """Read once, as strictly as Prometheus reads."""
    exposition = metrics.scrape(service)
    source = f"GET {exposition.url}"
    answered = evidence.judge(
        "status-metrics",
        Measurement("status of metrics", exposition.status, "status", source),
        equal_to(200),
    )
    if not answered:
        return
    evidence.judge(
        "content-type-metrics",
        Measurement("content type of metrics", exposition.content_type or "none", "text", source),
        equal_to(_wanted_type(exposition)),
        "Prometheus 3 refuses the scrape",
    )
    for name, found, because in (
        ("malformed lines", exposition.problems, "Prometheus drops the whole scrape"),
        ("series that stand twice", exposition.duplicates, "Prometheus drops one of the values"),
    ):
        evidence.judge(
            "name",
            Measurement(name, len(found), "count", source),
            equal_to(0),
            f"{because}: {'; '.join(found[:_SHOWN])}",
        )
    evidence.judge(
        "series",
        Measurement("series", len(exposition.samples), "count", source),
        at_least(1),
        "there is nothing to alert on",
    )


def _wanted_type(exposition: Exposition) -> str:
    readable = exposition.format is not Format.UNKNOWN
    return exposition.content_type if readable else _TEXT_FORMAT


@check(
    "monitoring.metrics-truth",
    title="Counters move by exactly what happened",
    why="""Alerts and dashboards are only as true as the counters under them. A counter that is
    kept for each worker process, counted twice by two middlewares, or never incremented where a
    request fails, looks alive on every graph and hides the outage it is meant to show.""",
    fix="""Repeat it by hand, with the path and series of [services.NAME.truth]:
    curl -s URL/metrics | grep COUNTER
    curl -so /dev/null URL/PATH
    curl -s URL/metrics | grep COUNTER
Too few: several worker processes without a shared registry (Python: set PROMETHEUS_MULTIPROC_DIR
    and use MultiProcessCollector), or `url` leads to several instances in turn: name one.
Too many: the middleware is installed twice, or somebody else asks for that path.
Errors not counted: count in `finally`, or outside of the handler that turns errors to answers.""",
    severity="major",
    effect="write",
    each="counted_service",
)
def test_metrics_truth(counted_service: Service, evidence: Evidence) -> None:
    """Exactly: neither one less nor one more. The probe makes sure that nobody else counts."""
    plan = counted_service.truth
    assert plan, "the subject declares its counters"
    counted = truth.measure(counted_service, plan)
    good, bad = f"{plan.requests} of {plan.path}", f"{plan.errors} of {plan.error_path}"
    for name, moved, expected, selector in (
        (f"requests counted, {good}", counted.requests, plan.requests, plan.counter),
        (f"errors counted, {bad}", counted.errors, plan.errors, plan.error_counter),
        (f"errors counted, {good}", counted.requests_as_errors, 0, plan.error_counter),
    ):
        evidence.judge(
            "name",
            Measurement(name, moved, "count", source=selector, samples=plan.requests + plan.errors),
            equal_to(expected),
            "it does not tell what happened"
            if selector not in counted.silent
            else f"no series matches {selector}",
        )
