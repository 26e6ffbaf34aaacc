"""What is seen from outside: addresses and their certificates, private pages, errors."""

from readiness import Evidence, at_least, at_most, check, equal_to
from readiness.areas.monitoring.config import ErrorTracker, Service, UserPath
from readiness.areas.monitoring.probes import health, outside
from readiness.config.base.watching import BlackboxProbe
from readiness.lib.prometheus import Prometheus
from readiness.lib.retry import judge_time, undisturbed
from readiness.model.measurement import Measurement


@check(
    "monitoring.blackbox-probes",
    title="The address answers from outside, with a certificate that is valid for long enough",
    failure_title="The address fails from outside, or its certificate ends soon",
    why="""Every internal metric can be green while users cannot reach the system: DNS, certificate
    and load balancer are only seen from outside. On the day the certificate ends, every client
    refuses the service at once; one with a few days left shows that its renewal failed weeks
    ago.""",
    fix="""The probe fails: ask the exporter what went wrong, step by step
    curl -s 'BLACKBOX/probe?module=http_2xx&debug=true&target=ADDRESS'
The address is `instance` in [prometheus.probes.NAME].
The certificate ends soon: renew it, reload the server, and look at what it serves now
    openssl s_client -connect HOST:443 -servername HOST </dev/null | openssl x509 -noout -dates""",
    severity="blocker",
    effect="observe",
    each="probe",
    judgements=("success", "certificate"),
)
def test_blackbox_probes(probe: BlackboxProbe, watcher: Prometheus, evidence: Evidence) -> None:
    """By every exporter that probes it; of the chain, the certificate that ends first."""
    with evidence.attempt():
        for success in outside.successes(watcher, probe):
            evidence.judge("success", success, equal_to(1), says=f"The {success.name} failed")
    if not probe.is_https:
        return
    with evidence.attempt():
        for days in outside.certificate_days(watcher, probe):
            evidence.judge(
                "certificate",
                days,
                at_least(probe.certificate_min_days, probe.deciding("certificate_min_days")),
                says=f"The certificate of {probe.instance} ends in {days.value:.1f} d",
            )


@check(
    "monitoring.user-paths",
    title="The paths that users take answer with the right content, in time",
    failure_title="A path that users take fails, is slow, or shows something else",
    why="""A health endpoint is green while every page behind it shows an error with the status 200,
    the page of a proxy, or nothing for two seconds: it does not take the way that users take.""",
    fix="""Request it as a user does, from outside:
    curl -so /tmp/page -w '%{http_code} %{time_total}\\n' 'URL/PATH'; head -c 500 /tmp/page
latency: find the slow call in its traces, or request the instance itself: does the gateway add it?
status, content: compare it with the previous release, and look at the service's log. A text that
changes with the content: set `contains` in [services.NAME.paths.NAME] to one that stays, as a
heading or the name of a field.""",
    severity="blocker",
    effect="observe",
    each="service",
    needs="paths",
    judgements=("status", "content", "latency"),
)
def test_user_paths(service: Service, evidence: Evidence) -> None:
    """Each path is requested five times; a busy machine excuses a latency, but nothing else."""
    for taken in service.paths.values():
        with evidence.attempt():
            _judge_path(service, taken, evidence)


def _judge_path(service: Service, taken: UserPath, evidence: Evidence) -> None:
    asked, noise = undisturbed(
        lambda _: health.endpoint(service, taken.path),
        lambda found, noise: noise.keeps_time(found.median_ms, taken.max_ms, found.fastest_ms),
        evidence,
    )
    good, every = asked.times(taken.status), len(asked.answers)
    if not evidence.judge(
        "status",
        good,
        equal_to(every, taken.deciding("status")),
        str(asked.worst),
        says=f"{taken.path} answered {taken.status} to {good.value} of {every} requests",
    ):
        return
    lacking = asked.lacking(taken.contains)
    evidence.judge(
        "content",
        lacking,
        equal_to(health.NOTHING, taken.deciding("contains")),
        says=f"{taken.path} answers {taken.status} without the text {lacking.value!r}",
    )
    limit = at_most(taken.max_ms, taken.deciding("max_ms"))
    judge_time(evidence, "latency", asked.latency(), limit, asked.fastest_ms, noise)


@check(
    "monitoring.private-pages",
    title="Pages for operators refuse requests without credentials",
    failure_title="A page for operators is open to everybody",
    why="""Pages for operators show what an attacker needs: addresses, versions, queries, settings.
    One that was opened for a demonstration, or that a new route of the gateway exposes past the
    login, is found by scanners within hours.""",
    fix="""Request it without credentials, from outside:
    curl -si URL/PATH
Put the path behind the login, in the service itself or in the gateway; deny by default, so that a
new page is private until it is opened. A 404 is an error: correct `private` in
[services.NAME].""",
    severity="blocker",
    effect="observe",
    each="service",
    needs="private",
    judgements=("refused",),
)
def test_private_pages(service: Service, evidence: Evidence) -> None:
    """With the token each must open: otherwise a refusal proves nothing."""
    for path in service.private:
        with evidence.attempt():
            refused = evidence.judge(
                "refused",
                outside.refusal(service, path),
                equal_to("refused", service.deciding("private")),
                says=f"{path} opens without credentials",
            )
            opened = outside.control(service, path) if refused else None
            if opened:
                evidence.record(opened)


@check(
    "monitoring.error-tracker",
    title="An error that is sent to the error tracker can soon be read there",
    failure_title="Errors that are sent to the error tracker are lost",
    why="""A tracker answers 200 when it has accepted an event, and may drop it later: over the
    quota, by a filter, or because its worker is stopped. Its list of errors is then empty, which
    looks the same as a system without errors.""",
    fix="""Search the project for the test event, by its id or by the tag readiness_probe.
Refused: the DSN is wrong, disabled, or over its quota (429).
Accepted and missing: look at the project's inbound filters, quota and usage statistics; of a
tracker of your own, at its queue:
    docker compose logs worker""",
    severity="major",
    effect="write",
    each="error_tracker",
    judgements=("accepted", "readable"),
)
def test_error_tracker(error_tracker: ErrorTracker, evidence: Evidence) -> None:
    """The event stays there: the tracker's own retention removes it."""
    sent = outside.send_and_read(error_tracker)
    accepted = evidence.judge(
        "accepted",
        sent.accepted,
        equal_to(200),
        says=f"The error tracker answered {sent.accepted.value} to the test event, and errors of"
        " the application are lost in the same way",
    )
    if not accepted:
        return
    evidence.judge(
        "readable",
        Measurement(
            "test events that can be read",
            int(sent.readable_s is not None),
            "count",
            sent.reading,
        ),
        equal_to(1, error_tracker.deciding("within_s")),
        says=f"The test event {sent.event} was accepted, and cannot be read after"
        f" {error_tracker.within_s:g} s",
    )
    if sent.readable_s is not None:
        evidence.record(
            Measurement("time until it can be read", sent.readable_s, "s", sent.reading)
        )
