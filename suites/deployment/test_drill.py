"""Can the release be changed, and taken back, while people use it? Tried, not believed."""

from collections.abc import Callable

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.drill.change import IN_A_ROW
from readiness.areas.deployment.drill.drill import Drilled
from readiness.areas.deployment.judging import (
    broken_off,
    deployed,
    differences,
    first_rolled_back,
    judge_arrival,
    judge_requests,
    judge_state,
    record_putting_back,
    rolled_back,
    story,
    told,
    whole,
)
from readiness.lib.prober.judging import asked, figure
from readiness.lib.text import listed
from readiness.model.errors import NoData

DrillOf = Callable[[Deployment], Drilled]


@check(
    "deployment.zero-downtime",
    title="A new release is deployed without one failed request",
    each="drilled_deployment",
    severity="blocker",
    effect="disrupt",
    why="""Nine seconds without an answer in three minutes are 95 % of success, and everybody who
    was there saw an error. A deployment that loses requests is done at night, or put off; either
    way, changes become larger and rarer.""",
    fix="""The message says how requests were lost. In this order:
      the new release serves before an old one stops (maxUnavailable 0, maxSurge 1)
      an old one is drained first: readiness fails, a pause (preStop: sleep 10), then SIGTERM
      its last answers say `Connection: close`, and what is under way is finished
    Try it by hand, with the prober beside it:  readiness run --select deployment.zero-downtime
      --allow disrupt --confirm FINGERPRINT""",
)
def test_zero_downtime(
    drilled_deployment: Deployment, drill_of: DrillOf, evidence: Evidence
) -> None:
    """Every request counts, over new connections and kept ones; none is sent twice."""
    drilled = drill_of(drilled_deployment)
    evidence.record(story(drilled, drilled_deployment))
    record_putting_back(drilled, evidence)
    for change in deployed(drilled):
        judge_requests(change, evidence)
    for change in whole(drilled, drilled_deployment):
        change.must_be_whole()


@check(
    "deployment.rollout-latency",
    title="While a release is changed, answers are not much slower than before",
    each="drilled_deployment",
    effect="disrupt",
    why="""A release that starts with cold caches, or with too few replicas for a while, loses no
    request, and yet everybody waits. People who wait press the button again.""",
    fix="""Let a replica serve only once it is warm: readiness that asks what users ask; a start-up
    probe; connections that are opened before the first request. One replica at a time (maxSurge 1).
    What is too slow: `p99_max_ratio` and `p99_floor_ms` in [deployment].""",
)
def test_rollout_latency(
    drilled_deployment: Deployment, drill_of: DrillOf, evidence: Evidence
) -> None:
    """From when a request was due, so that whoever waits for their turn counts."""
    drilled, settings = drill_of(drilled_deployment), drilled_deployment
    before_ms = drilled.given.latency_s(0.99) * 1000
    evidence.record(figure("p99 before", before_ms, "ms", drilled.given.plan.url))
    limit_ms = max(settings.p99_floor_ms, settings.p99_max_ratio * before_ms)
    for change in whole(drilled, settings):
        change.seen.must_be_fair()
        p99_ms = change.seen.latency_s(0.99) * 1000
        evidence.judge(
            "p99",
            figure(
                f"p99, {change.name}", p99_ms, "ms", asked(change.seen), len(change.seen.samples)
            ),
            at_most(limit_ms),
            f"it was {before_ms:.0f} ms before",
        )


@check(
    "deployment.capacity-during-rollout",
    title="While a release is changed, as many replicas can serve as are needed",
    each="counted_deployment",
    effect="disrupt",
    why="""A rollout that stops an old replica before the new one serves runs on two of three. At
    noon the two are not enough, and the deployment that was harmless at night takes them all
    down.""",
    fix="""Kubernetes: strategy.rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
    Compose: start the new containers beside the old ones, then stop those
    How many are needed: `replicas` in [deployment].""",
)
def test_capacity_during_rollout(
    counted_deployment: Deployment, drill_of: DrillOf, evidence: Evidence
) -> None:
    """Counted each second, by what changes the release."""
    drilled = drill_of(counted_deployment)
    evidence.record(story(drilled, counted_deployment))
    if drilled.count_problem:
        raise drilled.count_problem
    for change in whole(drilled, counted_deployment):
        counts = [count for _, count in change.counts]
        if not counts:
            raise NoData("was over before anybody could count replicas", where=change.name)
        evidence.judge(
            "fewest-replicas",
            figure(
                f"fewest replicas, {change.name}", min(counts), "count", "the tool", len(counts)
            ),
            at_least(counted_deployment.replicas),
            "so many are declared to be needed",
        )


@check(
    "deployment.rollback-drill",
    title="The release before can be brought back, without one failed request",
    each="drilled_deployment",
    severity="blocker",
    effect="disrupt",
    why="""\"We can always roll back\" is believed until the night on which the command prints
    \"done\" and nothing has changed. A rollback that was never tried is a second outage on top of
    the first.""",
    fix="""Do by hand what the drill did: the command, and then who answers.
      kubectl rollout status ...;  curl -s URL    (several times: every replica has to tell)
    Name the release to go back to; "the one before" is another one after each attempt.""",
)
def test_rollback_drill(
    drilled_deployment: Deployment, drill_of: DrillOf, evidence: Evidence
) -> None:
    """What the command says is noted; what the service answers counts."""
    drilled = drill_of(drilled_deployment)
    evidence.record(story(drilled, drilled_deployment))
    for change in rolled_back(drilled):
        judge_requests(change, evidence)
        judge_arrival(change, drilled_deployment, evidence)
    for change in rolled_back(drilled):
        change.must_be_whole()


@check(
    "deployment.rollback-time",
    title="The release before is back in the agreed time",
    each="drilled_deployment",
    effect="disrupt",
    why="""The time until a bad release is gone is how long users suffer from it. It is made of
    three: until somebody sees it, until somebody decides, and this one. This one can be known
    beforehand.""",
    fix="""What takes long is mostly the start of the old release, or pauses between the steps:
      keep the old replicas for a while (revisionHistoryLimit, blue-green, rollbackWindow)
      fewer steps on the way back than on the way there;  the old image still on the machines
    Another agreement: `rollback_max_s` in [deployment].""",
)
def test_rollback_time(
    drilled_deployment: Deployment, drill_of: DrillOf, evidence: Evidence
) -> None:
    """From the command to the answers that nothing else followed."""
    for change in rolled_back(drill_of(drilled_deployment)):
        for name, value_s in (
            (f"until the tool says it is done, {change.name}", change.told_s),
            (f"until the first answer, {change.name}", change.first_seen_s),
        ):
            if value_s is not None:
                evidence.record(figure(name, value_s, "s", asked(change.seen)))
        evidence.judge(
            "good-answers-row",
            figure(
                f"good answers in a row, {change.name}",
                len(change.settled),
                "count",
                asked(change.seen),
            ),
            at_least(IN_A_ROW),
            change.problem or "so many show that it is there",
        )
        if change.arrived_s is not None:
            evidence.judge(
                "time-back",
                figure(
                    f"time to be back, {change.name}", change.arrived_s, "s", asked(change.seen)
                ),
                at_most(drilled_deployment.rollback_max_s),
                "users would have to bear a bad release for so long",
            )


@check(
    "deployment.rollback-config-restored",
    title="After a rollback the old release runs with its old configuration",
    each="stateful_deployment",
    effect="disrupt",
    why="""Images go back by themselves; configuration, secrets and mounts mostly do not. The old
    code then runs with settings that were made for the new one, and fails in a way that neither
    of them ever showed.""",
    fix="""The message names the keys. Let a release and its configuration be one thing:
      Kubernetes: a ConfigMap of its own for each release (kustomize configMapGenerator, a hash in
      the name), named by the pod template;  Compose: the env_file chosen by the tag
    Then try again: readiness run --select deployment.rollback-config-restored""",
)
def test_rollback_config_restored(
    stateful_deployment: Deployment, drill_of: DrillOf, evidence: Evidence
) -> None:
    """Digests of values are compared; values themselves are never kept."""
    drilled = drill_of(stateful_deployment)
    before = drilled.state
    for change in drilled.changes:
        if change.back:
            judge_state(
                f"keys that are not as before, {change.name}", before, change.state, evidence
            )
        elif change.goal == stateful_deployment.previous:
            before = change.state
        else:
            differing = differences(told(before), told(change.state))
            name = f"keys that are other ones, {change.name}"
            evidence.record(figure(name, len(differing), "count", "state"))
    first_rolled_back(drilled)


@check(
    "deployment.rollback-data-intact",
    title="What the new release wrote can be read after the rollback, and ever after",
    each="keeping_deployment",
    severity="blocker",
    effect="disrupt",
    why="""Between a deployment and its rollback, customers go on ordering. If the old release
    cannot read what the new one wrote, or the way back drops a column, the rollback loses their
    orders: the one thing that cannot be put back.""",
    fix="""Change the schema in two steps: first a release that writes both the old way and the new
    one, then one that only writes the new way. No `drop` in a down migration until nobody can go
    back any more. Read what is missing from the newest backup.""",
)
def test_rollback_data_intact(
    keeping_deployment: Deployment, drill_of: DrillOf, evidence: Evidence
) -> None:
    """A row of our own, written by the new release through the application."""
    drilled = drill_of(keeping_deployment)
    if drilled.row_problem:
        raise drilled.row_problem
    first_rolled_back(drilled)
    if not drilled.reads:
        raise broken_off(drilled)
    lost = [f"release {read.release}: {read.said}" for read in drilled.reads if not read.found]
    evidence.judge(
        "times-our-row-could",
        Measurement(
            "times that our row could not be read",
            len(lost),
            "count",
            "[deployment.data] read",
            samples=len(drilled.reads),
        ),
        equal_to(0),
        listed(lost, between="; "),
    )


@check(
    "deployment.redeploy-after-rollback",
    title="After a rollback the new release can be deployed again, and is the same as at first",
    each="drilled_deployment",
    effect="disrupt",
    why="""A rollback can leave a lock, a release that is "pending", or a template with pieces of
    both. It is noticed when the mended release is to go out, and everybody is waiting for it.""",
    fix="""Helm: helm history NAME; a `pending-*` release: helm rollback NAME REVISION
    Kubernetes: apply the whole manifest instead of `rollout undo`, which leaves the annotation of
      what was applied last as it is
    Your own script: let it clean up what it finds half done.""",
)
def test_redeploy_after_rollback(
    drilled_deployment: Deployment, drill_of: DrillOf, evidence: Evidence
) -> None:
    """The second deployment is held against the first one."""
    drilled, settings = drill_of(drilled_deployment), drilled_deployment
    there = [change for change in deployed(drilled) if change.goal == settings.release]
    first_rolled_back(drilled)
    if len(there) < 2:  # noqa: PLR2004 - the first, and again
        raise broken_off(drilled)
    first, again = there[:2]
    judge_arrival(again, settings, evidence)
    again.must_be_whole()
    if first.state is not None:
        judge_state("keys that are not as at first", first.state, again.state, evidence)
