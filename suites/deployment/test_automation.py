"""What the target has to do by itself: take back what is bad, and finish what is under way."""

from collections import Counter

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.deployment.adapters.known import adapter_of
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.drill.automation import TakenBack, taken_back
from readiness.areas.deployment.drill.course import course_of_bad
from readiness.areas.deployment.drill.stopping import stopped
from readiness.areas.deployment.drill.timeline import timeline_of_bad
from readiness.lib.drill.safety import Safety
from readiness.lib.prober.again import fairly
from readiness.lib.prober.judging import figure
from readiness.lib.prober.observation import Observation
from readiness.lib.text import listed
from readiness.model.errors import NoData


@check(
    "deployment.auto-rollback",
    title="A release that is bad is taken back by itself, before users notice",
    each="guarded_deployment",
    effect="disrupt",
    why="""Kubernetes reports a rollout that stalls, and does nothing. If nobody is looking, a
    release that answers with errors stays until somebody is woken up, finds out, and decides.""",
    fix="""Let new replicas show what they are good for before users are led to them:
      readiness that asks what users ask, not only whether the process lives
      helm upgrade --atomic;  Argo Rollouts or Flagger with an analysis;  your script: ask the new
      replica, and go back when it answers with errors
    What is deployed here: `bad_release` in [deployment], which starts and answers with errors.""",
)
def test_auto_rollback(
    guarded_deployment: Deployment, drill_safety: Safety, evidence: Evidence
) -> None:
    """Nobody but the target may act; if it does not, the gate puts back what was there."""
    settings = guarded_deployment
    adapter = adapter_of(settings)
    done = fairly(lambda: taken_back(settings, adapter, drill_safety))
    source = f"deploy {done.bad}"
    evidence.record(_story(done))
    _record_times(done, source, evidence)
    evidence.judge(
        "taken-back-itself",
        Measurement("taken back by itself", not done.problem, "truth", source),
        equal_to(True),
        f"{done.problem}; the gate put release {done.origin} back",
    )
    _judge_requests("failed requests", done.seen, evidence)
    shown = [s for s in done.seen.samples if s.version == done.bad]
    evidence.judge(
        "answers",
        figure(f"answers of {done.bad}", len(shown), "count", source, len(done.seen.samples)),
        equal_to(0),
        "users were led to it before it had shown what it is good for",
    )
    if done.over_s is not None:
        evidence.judge(
            "time-until-all-before",
            figure("time until all was as before", done.over_s, "s", source),
            at_most(settings.auto_rollback_max_s),
            "so long must nobody be needed",
        )
    done.seen.must_be_fair()


@check(
    "deployment.graceful-stop",
    title="A replica that is stopped first answers what is under way",
    each="slow_deployment",
    effect="disrupt",
    why="""Every deployment, every node that is drained and every scale-down stops replicas. If
    they drop what they are doing, each of these is a small outage: the payment was taken, and the
    customer sees an error.""",
    fix="""The process has to get SIGTERM, and to finish on it:
      ENTRYPOINT ["prog"] instead of a shell form (PID 1 is then sh, which passes nothing on)
      gunicorn --graceful-timeout 30;  uvicorn --timeout-graceful-shutdown 30
      terminationGracePeriodSeconds (stop_grace_period) longer than the longest request
      preStop: sleep 10, so that nobody is led there any more when it begins to stop""",
)
def test_graceful_stop(
    slow_deployment: Deployment, drill_safety: Safety, evidence: Evidence
) -> None:
    """Slow requests are under way to every replica when one of them is stopped."""
    slow = slow_deployment.slow_request
    if slow is None:
        raise NoData("no request is declared to be slow", where="[deployment.slow_request]")
    adapter = adapter_of(slow_deployment)
    done = fairly(lambda: stopped(slow_deployment, slow, adapter, drill_safety))
    evidence.record(figure("time to stop", done.stop_s, "s", "stop_one"))
    evidence.record(
        figure("slow requests under way", len(done.under_way), "count", done.slow.plan.url)
    )
    _judge_requests("slow requests lost", done.slow, evidence)
    _judge_requests("quick requests lost", done.others, evidence)
    evidence.judge(
        "all-replicas-back",
        Measurement("all replicas are back", done.back_s is not None, "truth", "stop_one"),
        equal_to(True),
        f"not after {slow_deployment.change_within_s:g} s",
    )
    done.slow.must_be_fair()
    done.others.must_be_fair()


def _story(done: TakenBack) -> Measurement:
    """How long we watched, with the story of it."""
    seen, source = done.seen, f"deploy {done.bad}"
    seconds = seen.samples[-1].due - seen.samples[0].due if seen.samples else 0.0
    return Measurement(
        "drill: a bad release", seconds, "s", source, samples=len(seen.samples),
        timeline=timeline_of_bad(done), course=course_of_bad(done),
    )  # fmt: skip


def _record_times(done: TakenBack, source: str, evidence: Evidence) -> None:
    """Detected, decided, put back, recovered: by the target, or else by us."""
    restored = done.restored
    by_us = not restored.already
    for name, value_s in (
        ("time until users notice", done.noticed_s),
        ("time until the tool decides", done.told_s),
        ("time to put it back", restored.arrived - restored.began if by_us else None),
        ("time to be sure of it", restored.ended - restored.began if by_us else None),
    ):
        if value_s is not None:
            evidence.record(figure(name, value_s, "s", source))


def _judge_requests(name: str, seen: Observation, evidence: Evidence) -> None:
    kinds = Counter(sample.problem for sample in seen.failed)
    source = f"{seen.plan.rate_per_s:g} requests/s to {seen.plan.url}"
    evidence.judge(
        "name",
        figure(name, len(seen.failed), "count", source, len(seen.samples)),
        equal_to(0),
        listed(f"{count} x {problem}" for problem, count in kinds.most_common()),
    )
