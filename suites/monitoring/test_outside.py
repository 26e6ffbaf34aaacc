"""What is seen from outside: addresses, certificates, pages that must be private, errors."""

from readiness import Evidence, at_least, check, equal_to
from readiness.areas.monitoring.config import ErrorTracker, Service
from readiness.areas.monitoring.probes import blackbox, private
from readiness.areas.monitoring.probes import error_tracker as tracker
from readiness.config.base.watching import BlackboxProbe
from readiness.lib.prometheus import Prometheus
from readiness.model.measurement import Measurement


@check(
    "monitoring.blackbox-probes",
    title="The address answers as it should when it is asked from outside",
    why="""All that a system says about itself can be well while nobody reaches it: the name, the
    certificate, the load balancer are only seen from outside. `up` of a blackbox exporter is
    about the exporter; whether its probe succeeded is another series.""",
    fix="""Ask the exporter what went wrong, step by step:
    curl -s 'BLACKBOX/probe?module=http_2xx&debug=true&target=ADDRESS'
The address is `instance` in [prometheus.probes.NAME].""",
    severity="blocker",
    effect="observe",
    each="probe",
)
def test_blackbox_probes(probe: BlackboxProbe, watcher: Prometheus, evidence: Evidence) -> None:
    """By every exporter that asks it."""
    for success in blackbox.successes(watcher, probe):
        evidence.judge("success", success, equal_to(1), "users get the same answer")


@check(
    "monitoring.certificate-expiry",
    title="The certificate is valid for long enough to be renewed without haste",
    why="""On the day it ends, every client refuses the service at once. Renewal that works by
    itself happens weeks before; a certificate with a few days left says that it did not.""",
    fix="""See when it ends, and renew it:
    openssl s_client -connect HOST:443 -servername HOST </dev/null | openssl x509 -noout -dates
Then load it: most servers keep the old one until they are reloaded. The limit is
`certificate_min_days` in [prometheus.probes.NAME].""",
    severity="major",
    effect="observe",
    each="https_probe",
)
def test_certificate_expiry(
    https_probe: BlackboxProbe, watcher: Prometheus, evidence: Evidence
) -> None:
    """The first certificate of the chain to end."""
    for days in blackbox.certificate_days(watcher, https_probe):
        evidence.judge(
            "days", days, at_least(https_probe.certificate_min_days), "it was not renewed"
        )


@check(
    "monitoring.private-pages",
    title="Pages for operators refuse whoever has no credentials",
    why="""Pages of operators show what an attacker needs: addresses, versions, queries, settings.
    One that was opened for a demonstration, or that a new route of the gateway leads past the login
    to, is found by scanners within hours.""",
    fix="""Ask as a stranger does, from outside:
    curl -si URL/PATH
Put the path behind the login, in the service itself or in the gateway; deny by default, so that a
new page is private until somebody opens it. A 404 is an error: correct `private` in
[services.NAME].""",
    severity="blocker",
    effect="observe",
    each="private_service",
)
def test_private_pages(private_service: Service, evidence: Evidence) -> None:
    """With the token each must open: else a refusal says nothing."""
    for path in private_service.private:
        refused = evidence.judge(
            "refusal",
            private.refusal(private_service, path),
            equal_to("refused"),
            "anybody can read it",
        )
        opened = private.control(private_service, path) if refused else None
        if opened:
            evidence.record(opened)


@check(
    "monitoring.error-tracker",
    title="An error that is sent to the error tracker can be read there soon",
    why="""A tracker answers 200 when it has taken an event, and drops it later: over the quota, by
    a filter, with a worker that stands. Then the page of errors is empty, which looks the same as
    a system without errors.""",
    fix="""Look for the test event in the project, by its number or by the tag readiness_probe.
Refused: the DSN is wrong, disabled, or over its quota (429).
Accepted, and not there: look at the project's inbound filters, quota and usage statistics, and at
the queue of a tracker of your own: `docker compose logs worker`.
The limit is `within_s` in [error_tracker].""",
    severity="major",
    effect="write",
    each="error_tracker",
)
def test_error_tracker(error_tracker: ErrorTracker, evidence: Evidence) -> None:
    """The event stays there: the tracker's own retention removes it."""
    sent = tracker.send_and_read(error_tracker)
    if not evidence.judge(
        "accepted", sent.accepted, equal_to(200), "errors of the application are lost, too"
    ):
        return
    evidence.judge(
        "test-events-can-read",
        Measurement(
            "test events that can be read",
            int(sent.readable_s is not None),
            "count",
            sent.reading,
        ),
        at_least(1),
        f"{sent.event} was accepted, and is not there after {error_tracker.within_s:g} s",
    )
    if sent.readable_s is not None:
        evidence.record(
            Measurement("time until it can be read", sent.readable_s, "s", sent.reading)
        )
