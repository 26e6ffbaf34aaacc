"""Whether an instance that starts from nothing serves soon, and well from its first request."""

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.performance.cold import Begun, started
from readiness.areas.performance.config import ColdStart
from readiness.areas.performance.judging import every
from readiness.config.models import Config
from readiness.lib.guardian import Undo
from readiness.lib.noise import Noise
from readiness.lib.retry import indistinct, judge_time, undisturbed


@check(
    "performance.cold-start",
    title="A new instance serves in time, and well from its first request",
    failure_title="A new instance starts too slowly, or fails or delays its first requests",
    each="cold_start",
    severity="major",
    effect="disrupt",
    why="""Every release, crash and scale-out starts instances at a moment when the others are busy.
    One that takes a minute, or gets users before it can serve them, turns each of these into an
    outage.""",
    fix="""Start one by hand, and watch its first answers:
      watch -n0.2 "curl -so /dev/null -m 5 -w '%{http_code} %{time_total}\\n' URL"
    start: see what it does first (python -X importtime; -Xlog:startuptime); move migrations and the
      filling of caches out of it.
    answers: let the readiness page be good only once pools and caches are filled, and let the
      balancer ask it (readinessProbe; HAProxy: option httpchk).
    first-requests: initialize before the readiness page is good, by requests of its own: imports,
      connections, compiled code.
    Agreed: `max_start_s`, `max_first_ms`""",
    judgements=("start", "answers", "first-requests"),
)
def test_cold_start(
    cold_start: ColdStart, target: Config, evidence: Evidence, guardian: Undo
) -> None:
    """It is stopped in `finally`, and by the guardian if this run is killed."""
    service = target.services[cold_start.service]
    seen, noise = undisturbed(
        lambda _: started(cold_start, service, guardian),
        lambda found, noise: _keeps(found, cold_start, noise),
        evidence,
    )
    if seen.ready_s is not None:
        name = "until it might get requests"
        evidence.record(Measurement(name, seen.ready_s, "s", seen.source))
    with evidence.attempt():
        name = "until the first good answer"
        if seen.served_s is None:
            name = "without a good answer"
        taken = Measurement(name, seen.start_ms, "ms", seen.source)
        limit = at_most(1000 * cold_start.max_start_s, cold_start.deciding("max_start_s"))
        judge_time(evidence, "start", taken, limit, 0.0, noise)
    if seen.asked:
        with evidence.attempt():
            _judge_answers(seen, cold_start, noise, evidence)
    if seen.good.asked:
        limit = at_most(cold_start.max_first_ms, cold_start.deciding("max_first_ms"))
        good = seen.good
        judge_time(evidence, "first-requests", good.slowest, limit, good.fastest_ms, noise, q=1.0)


def _judge_answers(seen: Begun, cold_start: ColdStart, noise: Noise, evidence: Evidence) -> None:
    crowd = seen.all
    since = "it accepted connections"
    if cold_start.ready:
        since = f"{cold_start.ready} was good"
    says = f"{crowd.failed.value} of {len(crowd.asked)} requests failed after {since}"
    if crowd.fails(cold_start.max_first_ms, noise) is None:
        raise indistinct(f"{says}, {crowd.problems}", noise)
    evidence.judge("answers", crowd.failed, equal_to(0), crowd.problems, says=says)


def _keeps(seen: Begun, cold_start: ColdStart, noise: Noise) -> bool | None:
    fails = seen.all.fails(cold_start.max_first_ms, noise)
    states = [
        noise.keeps_time(seen.start_ms, 1000 * cold_start.max_start_s, 0.0),
        None if fails is None else not fails,
    ]
    if good := seen.good.asked:
        slowest, fastest = (pick(one.ms for one in good) for pick in (max, min))
        states.append(noise.keeps_time(slowest, cold_start.max_first_ms, fastest, q=1.0))
    return every(states)
