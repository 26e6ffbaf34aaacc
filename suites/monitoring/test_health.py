"""Whether a service tells the truth about its own health."""

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.monitoring.config import Service
from readiness.areas.monitoring.probes import dependency_drill, health
from readiness.areas.monitoring.probes.dependency_drill import Drilled
from readiness.areas.monitoring.probes.health import Endpoint
from readiness.lib.interference import undisturbed
from readiness.lib.undo import Undo
from readiness.model.measurement import Limit

_HTML = "text/html"
_JSON = "application/json"


@check(
    "monitoring.health-endpoints",
    title="Health, ready and live answer 200, quickly, and health says what is running",
    why="""Load balancers, orchestrators and the people on call all steer by these three answers.
    A health page that is a login form, a stack trace or a catch-all page keeps a dead instance in
    service, and one that names no version leaves nobody sure what is deployed.""",
    fix="""Look at what the service answers:
    curl -si URL/health; curl -si URL/health/ready; curl -si URL/health/live
503: read the service's log for the dependency that it misses, and bring that back first.
A redirect or HTML: exempt the three paths from the login and from the front end's catch-all page.
A missing field: add it to the JSON of `health`, or take it out of `health_fields`.
Slow: keep queries and calls to others out of `live`, and give those in `ready` a short time-out.
Other paths than these: set `health`, `ready` and `live` in [services.NAME].""",
    severity="blocker",
    effect="observe",
    each="service",
)
def test_health_endpoints(service: Service, evidence: Evidence) -> None:
    """Each of the three is asked five times; a path that cannot exist comes first (M14)."""
    evidence.record(health.control(service))
    _judge_document(_asked(service, service.health, evidence), service, evidence)
    for path in (service.ready, service.live):
        _judge_signal(_asked(service, path, evidence), service, evidence)


def _asked(service: Service, path: str, evidence: Evidence) -> Endpoint:
    return undisturbed(
        lambda: health.endpoint(service, path),
        # A status is never excused by a busy machine, only a latency.
        lambda found: not found.is_well or found.median_ms <= service.health_max_ms,
        evidence.record,
    )


def _judge_document(endpoint: Endpoint, service: Service, evidence: Evidence) -> None:
    if not _judge_answers(endpoint, service, evidence):
        return
    media = endpoint.last.media_type
    wanted = equal_to(media if media.endswith("+json") else _JSON)
    document = health.json_object(endpoint.last)
    reason = document if isinstance(document, str) else "a machine cannot rely on it"
    evidence.judge("media-type", endpoint.media_type(), wanted, reason)
    absent = health.missing({} if isinstance(document, str) else document, service.health_fields)
    because = f"without {', '.join(absent)}"
    evidence.judge(
        "fields-missing-empty",
        Measurement(
            f"fields of {endpoint.path} that are missing or empty",
            len(absent),
            "count",
            source=f"GET {endpoint.last.url}",
        ),
        equal_to(0),
        f"{because}: the body {document}" if isinstance(document, str) else because,
    )


def _judge_signal(endpoint: Endpoint, service: Service, evidence: Evidence) -> None:
    if _judge_answers(endpoint, service, evidence):
        evidence.judge(
            "media-type", endpoint.media_type(), Limit("!=", _HTML), "a page made for people"
        )


def _judge_answers(endpoint: Endpoint, service: Service, evidence: Evidence) -> bool:
    """Status and latency. What else an answer holds is only of interest if all were 200."""
    answered = evidence.judge(
        "times-ok", endpoint.times_ok(), equal_to(len(endpoint.answers)), str(endpoint.worst)
    )
    if answered:
        evidence.judge(
            "latency",
            endpoint.latency(),
            at_most(service.health_max_ms),
            "whoever asks with a short time-out takes the service for dead",
        )
    return answered


@check(
    "monitoring.ready-tracks-dependency",
    title="Ready turns to 503 when a dependency is away and back to 200 with it; live stays 200",
    why="""A ready answer that does not depend on the database sends users to an instance that
    can only fail. A live answer that does depend on it makes the orchestrator restart every
    instance at once, which turns a short outage of the database into a long one of everything.""",
    fix="""Take the dependency away by hand, with the drill's `away` command, and watch:
    watch -n1 'curl -so /dev/null -w "%{http_code}\\n" URL/health/ready URL/health/live'
Ready stays 200: let it use the dependency (`SELECT 1` over the pool that requests use), with a
time-out of 1 or 2 s, and answer 503 when that fails.
Ready does not answer at all: it waits for the dependency without a time-out; set one.
Live leaves 200: take everything out of it but the process itself.
Ready stays 503 afterwards: let the pool open new connections (check them before use).
Then bring it back with the drill's `back` command.""",
    severity="blocker",
    effect="disrupt",
    each="drilled_service",
)
def test_ready_tracks_dependency(
    drilled_service: Service, evidence: Evidence, guardian: Undo
) -> None:
    """The dependency comes back in `finally`, and by the guardian if this run is killed."""
    plan = drilled_service.drill
    assert plan, "the subject declares a drill"
    seen = dependency_drill.run(drilled_service, plan, guardian)
    _judge_away(seen, drilled_service, evidence)
    _judge_live(seen, drilled_service, evidence)
    _judge_back(seen, drilled_service, evidence)


def _judge_away(seen: Drilled, service: Service, evidence: Evidence) -> None:
    assert service.drill, "the subject declares a drill"
    what, within_s = service.drill.dependency, service.drill.within_s
    source = f"GET {service.url}{service.ready}"
    evidence.judge(
        "answer-ready-away",
        Measurement(
            f"answer of ready with {what} away",
            "503" if seen.not_ready_s is not None else seen.ready_said,
            "text",
            source=source,
            samples=seen.polls,
            timeline=seen.timeline,
        ),
        equal_to("503"),
        f"it did not turn within {within_s:g} s, so it says nothing about {what}"
        + (" (a constant)" if seen.ready_said == "200" else ""),
    )
    if seen.not_ready_s is not None:
        evidence.judge(
            "ready-after-went",
            Measurement(f"not ready after {what} went", seen.not_ready_s, "s", source=source),
            at_most(within_s),
            "until then, users are sent to an instance that can only fail",
        )


def _judge_live(seen: Drilled, service: Service, evidence: Evidence) -> None:
    evidence.judge(
        "answers-live-other-200",
        Measurement(
            "answers of live other than 200",
            seen.live_failures,
            "count",
            source=f"GET {service.url}{service.live}",
            samples=seen.polls,
        ),
        equal_to(0),
        f"it said {seen.live_said}: all instances would be restarted at once",
    )


def _judge_back(seen: Drilled, service: Service, evidence: Evidence) -> None:
    assert service.drill, "the subject declares a drill"
    what, within_s = service.drill.dependency, service.drill.within_s
    source = f"GET {service.url}{service.ready}"
    came_back = Measurement(
        f"returns of ready to 200 after {what} came back",
        int(seen.ready_again_s is not None),
        "count",
        source=source,
    )
    if seen.ready_again_s is None:
        evidence.judge(
            "came-back", came_back, at_least(1), f"not within {within_s:g} s: it needs a restart"
        )
        return
    evidence.judge(
        "ready-again-after-came",
        Measurement(f"ready again after {what} came back", seen.ready_again_s, "s", source=source),
        at_most(within_s),
        "the outage lasts longer than its cause",
    )
