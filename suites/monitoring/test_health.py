"""Whether a service reports its own health correctly."""

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.monitoring.config import Drill, Service
from readiness.areas.monitoring.probes import health, health_bodies
from readiness.areas.monitoring.probes.health import Drilled, Endpoint, Offset
from readiness.lib.guardian import Undo
from readiness.lib.noise import Noise
from readiness.lib.retry import judge_time, undisturbed
from readiness.model.measurement import Limit

_JSON = "application/json"


@check(
    "monitoring.health-endpoints",
    title="Health endpoints answer 200, quickly, with a body that says the same",
    failure_title="A health endpoint fails, is slow, says that it is down, or lacks fields",
    core=True,
    explains=("monitoring.ready-tracks-dependency", "deployment.version-uniform"),
    why="""Load balancers, orchestrators and the people on call all act on these three answers.
    A health page that is a login form, a stack trace or a catch-all page keeps a dead instance in
    service, and so is one with the status 200 and a body that says DOWN, as balancers read only the
    status. Without a version it is unclear what is deployed.""",
    fix="""Request the three endpoints:
    curl -si HEALTH_URL; curl -si READY_URL; curl -si LIVE_URL
Other paths: set `health`, `ready` and `live` in [services.NAME].
status: if it is 503, find the failing dependency in the service's log, and restore it first.
body: 200 with a body that says DOWN: find the dependency that it names, and answer 503 while it
is away (Spring: `management.endpoint.health.status.http-mapping`; ASP.NET Core:
`ResultStatusCodes`).
content-type: a redirect or HTML: exempt the three paths from the login and from the front end's
catch-all page.
fields: add what is missing to the JSON of `health`, or remove it from `health_fields`.
latency: keep queries and remote calls out of `live`, and give those in `ready` a short timeout.
clock: on the machine of the service (it may be this one), see whether it is synchronized
    timedatectl status; chronyc tracking""",
    severity="blocker",
    effect="observe",
    each="service",
    judgements=("status", "latency", "content-type", "body", "fields", "clock"),
)
def test_health_endpoints(service: Service, evidence: Evidence) -> None:
    """Each of the three is requested five times; a path that cannot exist comes first."""
    evidence.record(health.control(service))
    paths = (service.health, service.ready, service.live)
    offsets: list[Offset] = []
    for path in dict.fromkeys(paths):
        endpoint, noise = _asked(service, path, evidence)
        offsets += endpoint.offsets
        if not _judge_answers(endpoint, noise, service, evidence):
            continue
        if path == service.health and service.health_fields:
            _judge_document(endpoint, service, evidence)
        else:
            evidence.judge(
                "content-type",
                endpoint.content(),
                Limit("!=", health.HTML),
                says=f"{path} answers with an HTML page",
            )
        _judge_body(endpoint, evidence)
    if offsets:  # a server need not send a date
        _judge_clock(min(offsets, key=lambda offset: offset.least_s), service, evidence)


def _judge_clock(offset: Offset, service: Service, evidence: Evidence) -> None:
    direction = "ahead of" if offset.ahead_s > 0 else "behind"
    evidence.judge(
        "clock",
        Measurement(
            "clock of the service, off by at least",
            offset.least_s,
            "s",
            f"Date of GET {service.url}{service.health}",
        ),
        at_most(service.clock_skew_max_s, service.deciding("clock_skew_max_s")),
        says=f"The clock of the service is {abs(offset.ahead_s):.0f} s {direction} this machine's",
    )


def _judge_body(endpoint: Endpoint, evidence: Evidence) -> None:
    """What it says is the last answer; a service that is degraded is served, and told."""
    if health_bodies.is_page(endpoint.last):
        return
    said = health_bodies.verdict(endpoint.last)
    evidence.judge(
        "body",
        endpoint.said(said),
        equal_to(health_bodies.WELL),
        says=f"{endpoint.path} answers {endpoint.last.status}, and its body says otherwise: {said}",
        warn_only=health_bodies.is_concerned(endpoint.last),
    )


def _asked(service: Service, path: str, evidence: Evidence) -> tuple[Endpoint, Noise]:
    def keeps(found: Endpoint, noise: Noise) -> bool | None:
        # A busy machine excuses a latency, but never a status.
        if not found.is_well:
            return False
        return noise.keeps_time(found.median_ms, service.health_max_ms, found.fastest_ms)

    return undisturbed(lambda _: health.endpoint(service, path), keeps, evidence)


def _judge_document(endpoint: Endpoint, service: Service, evidence: Evidence) -> None:
    media = endpoint.media_type()
    document = health.json_object(endpoint.last)
    unreadable = document if isinstance(document, str) else ""
    absent = health.missing({} if isinstance(document, str) else document, service.health_fields)
    evidence.judge(
        "content-type",
        media,
        equal_to(media.value if str(media.value).endswith("+json") else _JSON),
        says=f"{endpoint.path} has the content type {media.value}, not {_JSON}",
    )
    evidence.judge(
        "fields",
        Measurement(
            f"required fields of {endpoint.path} that are missing or empty",
            len(absent),
            "count",
            source=f"GET {endpoint.last.url}",
        ),
        equal_to(0, service.deciding("health_fields")),
        f"the body {unreadable}" if unreadable else "",
        says=f"{endpoint.path} reports no {', '.join(absent)}",
    )


def _judge_answers(endpoint: Endpoint, noise: Noise, service: Service, evidence: Evidence) -> bool:
    """Status and latency; returns whether all answers were 200, and the rest can be judged."""
    times_ok, asked = endpoint.times_ok(), len(endpoint.answers)
    answered = evidence.judge(
        "status",
        times_ok,
        equal_to(asked),
        str(endpoint.worst),
        says=f"{endpoint.path} answered 200 to {times_ok.value} of {asked} requests",
    )
    if answered:
        limit = at_most(service.health_max_ms, service.deciding("health_max_ms"))
        with evidence.attempt():
            judge_time(evidence, "latency", endpoint.latency(), limit, endpoint.fastest_ms, noise)
    return answered


@check(
    "monitoring.ready-tracks-dependency",
    title="Ready answers 503 while a dependency is away and 200 once it is back; live stays 200",
    failure_title="Ready or live answers wrongly while a dependency is away",
    core=True,
    why="""A ready endpoint that ignores the database sends users to an instance that can only
    fail. A live endpoint that depends on it makes the orchestrator restart every instance at once,
    which turns a short outage of the database into a long outage of everything.""",
    fix="""Run the drill's `away` command by hand, watch, then run its `back` command:
    watch -n1 'curl -so /dev/null -w "%{http_code}\\n" READY_URL LIVE_URL'
not-ready: it stays 200: let it use the dependency (`SELECT 1` over the pool that requests use),
with a timeout of 1 or 2 s, and answer 503 when that fails.
It does not answer at all: it waits for the dependency without a timeout; set one.
live: remove everything from it but the process itself.
ready-again: let the pool open new connections (check them before use).""",
    severity="blocker",
    effect="disrupt",
    each="service",
    needs="drill",
    judgements=("not-ready", "live", "ready-again"),
)
def test_ready_tracks_dependency(service: Service, evidence: Evidence, guardian: Undo) -> None:
    """The dependency is restored in `finally`, and by the guardian if this run is killed."""
    plan = service.drill
    assert plan, "`needs` of the check"
    seen = health.run(service, plan, guardian)
    _judge_away(seen, service, plan, evidence)
    _judge_live(seen, service, plan, evidence)
    _judge_back(seen, service, plan, evidence)


def _judge_away(seen: Drilled, service: Service, plan: Drill, evidence: Evidence) -> None:
    what, setting = plan.dependency, plan.deciding("within_s")
    source = f"GET {service.url}{service.ready}"
    evidence.judge(
        "not-ready",
        Measurement(
            f"answer of ready without {what}",
            "503" if seen.not_ready_s is not None else seen.ready_said,
            "text",
            source=source,
            samples=seen.polls,
            timeline=seen.timeline,
        ),
        equal_to("503", setting),
        says=f"{service.ready} still answered {seen.ready_said} {plan.within_s:g} s after {what}"
        " was taken away, not 503",
    )
    if seen.not_ready_s is not None:
        evidence.judge(
            "not-ready",
            Measurement(f"time until not ready without {what}", seen.not_ready_s, "s", source),
            at_most(plan.within_s, setting),
        )


def _judge_live(seen: Drilled, service: Service, plan: Drill, evidence: Evidence) -> None:
    evidence.judge(
        "live",
        Measurement(
            "answers of live other than 200",
            seen.live_failures,
            "count",
            source=f"GET {service.url}{service.live}",
            samples=seen.polls,
        ),
        equal_to(0),
        says=f"{service.live} answered {seen.live_said} to {seen.live_failures} of {seen.polls}"
        f" requests while {plan.dependency} was away: every instance would be restarted",
    )


def _judge_back(seen: Drilled, service: Service, plan: Drill, evidence: Evidence) -> None:
    what, setting = plan.dependency, plan.deciding("within_s")
    source = f"GET {service.url}{service.ready}"
    if seen.ready_again_s is None:
        evidence.judge(
            "ready-again",
            Measurement(f"returns of ready to 200 after {what} was back", 0, "count", source),
            equal_to(1, setting),
            says=f"{service.ready} did not answer 200 within {plan.within_s:g} s after {what} was"
            " back: the service needs a restart",
        )
        return
    evidence.judge(
        "ready-again",
        Measurement(f"time until ready after {what} was back", seen.ready_again_s, "s", source),
        at_most(plan.within_s, setting),
    )
