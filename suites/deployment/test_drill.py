"""Deploys, rolls back and stops replicas while a prober sends requests."""

from collections.abc import Callable

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.deployment.adapters import adapter_of
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.drill.bad_release import BadRelease, deploy_bad_release
from readiness.areas.deployment.drill.change import Change
from readiness.areas.deployment.drill.drill import Drilled
from readiness.areas.deployment.drill.stopping import stopped
from readiness.areas.deployment.judging import (
    broken_off,
    completed,
    deployments,
    differences,
    drill_summary,
    judge_arrival,
    judge_requests,
    judge_state,
    known_state,
    record_restoring,
    rollbacks,
    summary_of_bad_release,
)
from readiness.lib.drill.safety import Safety
from readiness.lib.prober.judging import asked, figure
from readiness.lib.prober.observation import problems_of
from readiness.lib.prober.watched import fairly
from readiness.lib.text import listed
from readiness.model.errors import NoData

DrillOf = Callable[[Deployment], Drilled]


@check(
    "deployment.zero-downtime",
    title="A deployment loses no request and keeps latency and capacity",
    failure_title="A deployment loses requests, slows answers down or takes replicas away",
    each="deployment",
    needs="adapter",
    severity="blocker",
    effect="disrupt",
    judgements=("failed-requests", "longest-gap", "wrong-release", "latency", "capacity"),
    core=True,
    why="""Nine seconds without an answer in three minutes are 95 % of success, and everybody who
    was there saw an error. A deployment that loses requests, or that two of three replicas cannot
    carry at noon, is put off until the night, and changes become larger and rarer.""",
    fix="""failed-requests, longest-gap, wrong-release: the message says how; in this order:
      start the new release before an old one stops: maxUnavailable 0, maxSurge 1
      drain an old replica first: fail readiness, pause (preStop: sleep 10), then SIGTERM
      answer with `Connection: close` at the end, and finish the requests under way
    latency: let readiness ask what users ask, add a startupProbe, and open connections
    before the first request. The limit: `p99_max_ratio` and `p99_floor_ms` in [deployment].
    capacity: too few replicas serve:
      Kubernetes: strategy.rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
      Compose: start the new containers beside the old ones, then stop the old ones
    Then try again: readiness run --select deployment.zero-downtime --allow disrupt
      --confirm FINGERPRINT   (printed by `readiness plan`)""",
)
def test_zero_downtime(deployment: Deployment, drill_of: DrillOf, evidence: Evidence) -> None:
    """Every request counts, over new and kept connections; none is repeated."""
    drilled = drill_of(deployment)
    evidence.record(drill_summary(drilled, deployment))
    record_restoring(drilled, evidence)
    for change in deployments(drilled):
        judge_requests(change, evidence)
    changes = completed(drilled, deployment)
    if deployment.counts_replicas:
        with evidence.attempt():
            _judge_capacity(drilled, changes, deployment, evidence)
    before_ms = drilled.given.latency_s(0.99) * 1000
    evidence.record(figure("p99 before", before_ms, "ms", drilled.given.plan.url))
    for change in changes:
        with evidence.attempt():
            change.must_be_whole()
            _judge_latency(change, before_ms, deployment, evidence)


def _judge_capacity(
    drilled: Drilled, changes: list[Change], settings: Deployment, evidence: Evidence
) -> None:
    """By the tool's own count, once a second."""
    if drilled.count_problem:
        raise drilled.count_problem
    for change in changes:
        counts = [count for _, count in change.counts]
        if not counts:
            raise NoData("the change ended before replicas could be counted", where=change.name)
        name = f"fewest replicas, {change.name}"
        evidence.judge(
            "capacity",
            figure(name, min(counts), "count", "the tool", len(counts)),
            at_least(settings.replicas, settings.deciding("replicas")),
            says=f"{change.name}: only {min(counts)} replicas served at one time",
        )


def _judge_latency(
    change: Change, before_ms: float, settings: Deployment, evidence: Evidence
) -> None:
    """Latency counts from when a request was due."""
    p99_ms = change.seen.latency_s(0.99) * 1000
    relative_ms = settings.p99_max_ratio * before_ms
    key = "p99_max_ratio" if relative_ms > settings.p99_floor_ms else "p99_floor_ms"
    evidence.judge(
        "latency",
        figure(f"p99, {change.name}", p99_ms, "ms", asked(change.seen), len(change.seen.samples)),
        at_most(max(settings.p99_floor_ms, relative_ms), settings.deciding(key)),
        says=f"{change.name}: p99 rose from {before_ms:.0f} ms to {p99_ms:.0f} ms",
    )


@check(
    "deployment.rollback",
    title="A rollback restores the previous release in time, and it can be redeployed",
    failure_title="The rollback fails, is slow, loses requests or leaves something behind",
    each="deployment",
    needs="adapter",
    severity="blocker",
    effect="disrupt",
    judgements=(
        "failed-requests",
        "longest-gap",
        "wrong-release",
        "exit-status",
        "arrival",
        "replicas",
        "time",
        "configuration",
        "redeployment",
        "redeployed-configuration",
    ),
    core=True,
    why="""\"We can always roll back\" is believed until the night on which the command prints
    \"done\" and nothing has changed, or the old code starts with the new release's settings. A
    rollback that was never tried is a second outage on top of the first.""",
    fix="""Run the rollback by hand, and ask every replica which release it runs:
      kubectl rollout status WORKLOAD;  for i in $(seq 9); do curl -s URL; done
    failed-requests, longest-gap, wrong-release: as for a deployment: deployment.zero-downtime
    exit-status, arrival, replicas: name the release to roll back to; "the previous one" changes
    each time.
    time: to stay within `rollback_max_s` of [deployment], keep the old replicas for a while
      (revisionHistoryLimit, blue-green, rollbackWindow) and the old image on the machines.
    configuration, redeployed-configuration: the message names the keys; ship it with the release:
      Kubernetes: a ConfigMap for each release (kustomize configMapGenerator), named by the template
      Compose: choose the env_file by the tag
    redeployment:
      Helm: helm history HELM_RELEASE, and if it is `pending-*`: helm rollback HELM_RELEASE REVISION
      Kubernetes: kubectl apply -f MANIFEST instead of `kubectl rollout undo`
      your own script: let it clean up what an interrupted run left behind""",
)
def test_rollback(deployment: Deployment, drill_of: DrillOf, evidence: Evidence) -> None:
    """The command's exit status is judged, and so is what the service answers."""
    drilled = drill_of(deployment)
    evidence.record(drill_summary(drilled, deployment))
    back = rollbacks(drilled)
    for change in back:
        judge_requests(change, evidence)
        judge_arrival(change, deployment, evidence)
        _judge_time(change, deployment, evidence)
    if deployment.prints_state:
        with evidence.attempt():
            _judge_configuration(drilled, deployment, evidence)
    with evidence.attempt():
        _judge_redeployment(drilled, deployment, evidence)
        for change in back:
            change.must_be_whole()


def _judge_time(change: Change, settings: Deployment, evidence: Evidence) -> None:
    """From the command to the first of the last answers, all of the previous release."""
    source = asked(change.seen)
    for name, value_s in (
        ("time until the command ended", change.command_s),
        ("time until the first answer", change.first_seen_s),
    ):
        if value_s is not None:
            evidence.record(figure(f"{name}, {change.name}", value_s, "s", source))
    if change.arrived_s is not None:
        evidence.judge(
            "time",
            figure(f"time until restored, {change.name}", change.arrived_s, "s", source),
            at_most(settings.rollback_max_s, settings.deciding("rollback_max_s")),
            says=f"{change.name} took {change.arrived_s:.1f} s",
        )


def _judge_configuration(drilled: Drilled, settings: Deployment, evidence: Evidence) -> None:
    """Digests of values are compared; values themselves are never kept."""
    before = drilled.state
    for change in drilled.changes:
        if change.back:
            judge_state("configuration", change.name, before, change.state, evidence)
        elif change.goal == settings.previous:
            before = change.state
        else:
            differing = differences(known_state(before), known_state(change.state))
            name = f"keys that differ between the releases, {change.name}"
            evidence.record(figure(name, len(differing), "count", "state"))


def _judge_redeployment(drilled: Drilled, settings: Deployment, evidence: Evidence) -> None:
    """The second deployment is compared with the first one."""
    there = [change for change in deployments(drilled) if change.goal == settings.release]
    if len(there) < 2:  # noqa: PLR2004 - the first, and again
        raise broken_off(drilled)
    first, again = there[:2]
    judge_arrival(again, settings, evidence, key="redeployment")
    again.must_be_whole()
    if first.state is not None:
        key = "redeployed-configuration"
        judge_state(key, again.name, first.state, again.state, evidence)


@check(
    "deployment.rollback-data-intact",
    title="Data that the new release wrote is readable after a rollback",
    failure_title="A rollback loses data that the new release wrote",
    each="deployment",
    needs=("adapter", "data"),
    severity="blocker",
    effect="disrupt",
    judgements=("readable",),
    core=True,
    why="""Between a deployment and its rollback, customers go on ordering. If the old release
    cannot read what the new one wrote, or the rollback drops a column, their orders are lost, and
    no second attempt brings them back.""",
    fix="""Change the schema in two steps: first a release that writes both the old and the new
    form, then one that writes the new form only. Allow no `drop` in a down migration while a
    rollback is possible. Restore what is missing from the newest backup:
      pg_restore --data-only --table TABLE --dbname DATABASE FILE""",
)
def test_rollback_data_intact(
    deployment: Deployment, drill_of: DrillOf, evidence: Evidence
) -> None:
    """A synthetic row, written by the new release through the application."""
    drilled = drill_of(deployment)
    if drilled.row_problem:
        raise drilled.row_problem
    rollbacks(drilled)
    if not drilled.reads:
        raise broken_off(drilled)
    lost = [f"release {read.release}: {read.said}" for read in drilled.reads if not read.found]
    source, count = "[deployment.data] read", len(drilled.reads)
    evidence.judge(
        "readable",
        figure("failed reads of the synthetic row", len(lost), "count", source, count),
        equal_to(0),
        listed(lost, between="; "),
        says=f"{len(lost)} of {count} reads did not find the synthetic row",
    )


@check(
    "deployment.auto-rollback",
    title="A bad release is rolled back automatically before users notice",
    failure_title="A bad release reaches users, or is not rolled back automatically",
    each="deployment",
    needs="bad_release",
    effect="disrupt",
    judgements=("rolled-back", "failed-requests", "bad-release-served"),
    why="""Kubernetes reports a rollout that stalls, and does nothing. A release that answers with
    errors stays until somebody is paged, finds the cause and decides.""",
    fix="""Send no user to a new replica before it answers well what users ask:
      Kubernetes: a readinessProbe that asks what users ask, not only whether the process lives
      Helm: helm upgrade HELM_RELEASE CHART --atomic --timeout 5m
      Argo Rollouts or Flagger: an analysis step
      your own script: ask the new replica, and roll back when it answers with errors
    What is deployed here: `bad_release` in [deployment], which starts and answers with errors.""",
)
def test_auto_rollback(deployment: Deployment, drill_safety: Safety, evidence: Evidence) -> None:
    """Only the target may act; if it does not, the gate restores the previous state."""
    adapter = adapter_of(deployment)
    done = fairly(lambda: deploy_bad_release(deployment, adapter, drill_safety))
    source = f"deploy {done.bad}"
    evidence.record(summary_of_bad_release(done))
    _record_times(done, source, evidence)
    limit_s, setting = deployment.auto_rollback_max_s, deployment.deciding("auto_rollback_max_s")
    if done.over_s is None:
        evidence.judge(
            "rolled-back",
            Measurement("rolled back automatically", False, "truth", source),
            equal_to(True, setting),
            done.problem,
            says=f"Release {done.bad} was not rolled back automatically, so that the gate restored"
            f" {done.origin}",
        )
    else:
        evidence.judge(
            "rolled-back",
            figure("time until rolled back automatically", done.over_s, "s", source),
            at_most(limit_s, setting),
        )
    failed, count = done.seen.failed, len(done.seen.samples)
    evidence.judge(
        "failed-requests",
        figure("failed requests", len(failed), "count", asked(done.seen), count),
        equal_to(0),
        problems_of(failed),
        says=f"{len(failed)} of {count} requests failed while {done.bad} was deployed",
    )
    shown = sum(sample.version == done.bad for sample in done.seen.samples)
    evidence.judge(
        "bad-release-served",
        figure(f"answers of {done.bad}", shown, "count", source, count),
        equal_to(0),
        says=f"{shown} of {count} answers came from {done.bad}",
    )
    with evidence.attempt():
        done.seen.must_be_fair()


def _record_times(done: BadRelease, source: str, evidence: Evidence) -> None:
    """When the bad release was noticed, and when the target or the gate had restored the other."""
    restored = done.restored
    by_us = not restored.already
    for name, value_s in (
        ("time until users notice", done.noticed_s),
        ("time until the tool decides", done.command_s),
        ("time to restore", restored.arrived - restored.began if by_us else None),
        ("time until restored for certain", restored.ended - restored.began if by_us else None),
    ):
        if value_s is not None:
            evidence.record(figure(name, value_s, "s", source))


@check(
    "deployment.graceful-stop",
    title="A stopped replica answers the requests under way, and is replaced",
    failure_title="A stopped replica drops requests, or is not replaced",
    each="deployment",
    needs=("adapter", "slow_request"),
    effect="disrupt",
    judgements=("lost-requests", "replacement"),
    why="""Every deployment, every node that is drained and every scale-down stops replicas. If
    they drop their requests, each of these is a small outage: the payment was taken, and the
    customer sees an error.""",
    fix="""Requests are lost: the process must get SIGTERM, and finish its requests on it:
      ENTRYPOINT ["prog"] instead of a shell form (PID 1 is then sh, which passes nothing on)
      gunicorn --graceful-timeout 30;  uvicorn --timeout-graceful-shutdown 30
      terminationGracePeriodSeconds (stop_grace_period) longer than the longest request
      preStop: sleep 10, so that the balancer has stopped sending requests when it begins to stop
    It is not replaced:
      kubectl get events --sort-by .lastTimestamp;  Compose: restart: unless-stopped
      How long it may take: `change_within_s` in [deployment].""",
)
def test_graceful_stop(deployment: Deployment, drill_safety: Safety, evidence: Evidence) -> None:
    """Slow requests are under way to every replica when one of them is stopped."""
    slow = deployment.slow_request
    if slow is None:
        raise NoData("needs [deployment.slow_request]")
    adapter = adapter_of(deployment)
    done = fairly(lambda: stopped(deployment, slow, adapter, drill_safety))
    evidence.record(figure("time to stop", done.stop_s, "s", "stop_one"))
    evidence.record(
        figure("slow requests under way", len(done.under_way), "count", done.slow.plan.url)
    )
    for name, seen in (("slow", done.slow), ("quick", done.others)):
        failed, count = seen.failed, len(seen.samples)
        evidence.judge(
            "lost-requests",
            figure(f"{name} requests lost", len(failed), "count", asked(seen), count),
            equal_to(0),
            problems_of(failed),
            says=f"{len(failed)} of {count} {name} requests failed while a replica was stopped",
        )
    within_s = deployment.change_within_s
    evidence.judge(
        "replacement",
        Measurement("all replicas are back", done.back_s is not None, "truth", "stop_one"),
        equal_to(True, deployment.deciding("change_within_s")),
        says=f"{deployment.replicas} replicas did not serve again within {within_s:g} s",
    )
    for seen in (done.slow, done.others):
        with evidence.attempt():
            seen.must_be_fair()
