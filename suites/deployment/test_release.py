"""After a deployment: which release serves, and whether the previous one can come back."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from readiness import Evidence, Measurement, at_least, check, equal_to
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.probes.compatibility import copied, how_to_start, tried
from readiness.areas.deployment.probes.releases import (
    Served,
    find_believed,
    read_report,
    releases_of,
    served,
)
from readiness.config.base.tables import Database
from readiness.config.models import Config
from readiness.lib.guardian import Guardian
from readiness.lib.migrations.scratch import Scratch
from readiness.lib.text import listed, worst
from readiness.model.errors import CouldNotMeasure

ScratchBeside = Callable[[Database], AbstractContextManager[Scratch]]


@check(
    "deployment.version-uniform",
    title="Every replica and worker runs the release under test, and the report agrees",
    failure_title="A replica, a worker or the deployment report has another release",
    each="deployment",
    needs="url",
    severity="blocker",
    judgements=(
        "release-told",
        "other-release",
        "replicas",
        "workers",
        "report-complete",
        "report-release",
    ),
    core=True,
    explains=("deployment.zero-downtime", "deployment.rollback"),
    why="""One replica that stayed behind answers every third user from the old release, and a
    worker that nobody restarted runs new jobs with old code. Both look like a bug that comes and
    goes, and everything that is measured is measured on a mixture.""",
    fix="""release-told, other-release, replicas, workers: see which release each one runs,
    and finish the rollout, or roll back the workers too:
      for i in $(seq 9); do curl -s URL; done
      kubectl get pods -o custom-columns=NAME:.metadata.name,IMAGE:.spec.containers[*].image
      docker ps --format '{{.Names}} {{.Image}}'
    report-complete, report-release: let the deployment write the file of [deployment.report] at
    its end, also when it fails, as JSON:
      release, previous, by, started_at, finished_at (RFC 3339), backup,
      result ("success", "failed", "rolled-back"), steps [{name, duration_s}]""",
)
def test_version_uniform(deployment: Deployment, evidence: Evidence) -> None:
    """Each request has a new connection, since a kept one stays with one replica."""
    found = served(deployment)
    _judge_answers(found, deployment, evidence)
    for worker in deployment.workers.values():
        with evidence.attempt():
            runs = releases_of(worker)
            wrong = [release for release in runs if release != deployment.release]
            name = f"processes of {worker.name} of another release"
            source = f"[deployment.workers.{worker.name}] command"
            evidence.judge(
                "workers",
                Measurement(name, len(wrong), "count", source, samples=len(runs)),
                equal_to(0, deployment.deciding("release")),
                listed(wrong),
                says=f"{len(wrong)} of {len(runs)} {worker.name} processes do not run"
                f" {deployment.release}",
            )
    if deployment.report:
        with evidence.attempt():
            _judge_report(found, deployment, evidence)


def _judge_answers(found: Served, settings: Deployment, evidence: Evidence) -> None:
    url, count = settings.url, found.asked
    evidence.judge(
        "release-told",
        Measurement("answers without a release", len(found.silent), "count", url, samples=count),
        equal_to(0, settings.deciding("version_key")),
        worst(found.silent),
        says=f"{len(found.silent)} of {count} answers name no release",
    )
    others = [f"{n} of {v}" for v, n in sorted(found.versions.items()) if v != settings.release]
    wrong = count - len(found.silent) - found.versions[settings.release]
    evidence.judge(
        "other-release",
        Measurement("answers of another release", wrong, "count", url, samples=count),
        equal_to(0, settings.deciding("release")),
        listed(others),
        says=f"{wrong} of {count} answers are not from {settings.release}",
    )
    if settings.replica_header:
        evidence.judge(
            "replicas",
            Measurement("replicas that answered", len(found.replicas), "count", url, samples=count),
            at_least(settings.replicas, settings.deciding("replicas")),
            "the others do not serve, or the balancer never selects them",
            says=f"Only {len(found.replicas)} replicas answered {count} requests",
        )


def _judge_report(found: Served, settings: Deployment, evidence: Evidence) -> None:
    """After a success its release must serve, else the previous one. A miss is a warning."""
    path, report, wrong = read_report(settings)
    evidence.judge(
        "report-complete",
        Measurement("mistakes in the report", len(wrong), "count", path),
        equal_to(0),
        worst(wrong),
        says=f"{len(wrong)} mistakes in the deployment report {path}",
        warn_only=True,
    )
    if report is None:
        return
    evidence.record(Measurement("duration of the deployment", report.duration_s, "s", path))
    others = sorted(version for version in found.versions if version != report.live)
    wrong_answers = found.asked - found.versions[report.live]
    name = "answers that contradict the report"
    evidence.judge(
        "report-release",
        Measurement(name, wrong_answers, "count", settings.url, samples=found.asked),
        equal_to(0),
        says=f"The deployment report says that {report.live} serves, and the answers are from"
        f" {listed(others) or 'no release'}",
        warn_only=True,
    )


@check(
    "deployment.rollback-artifact",
    title="The previous release's artifact is available",
    failure_title="The previous release's artifact is not available",
    each="deployment",
    needs="artifact",
    severity="blocker",
    judgements=("available",),
    why="""A rollback that has to build the old release first takes as long as a build, and may
    fail like one. A cleanup job removes last week's images first, and nobody notices until the
    night when they are needed.""",
    fix="""Upload it again to where the deployment pulls from, and exclude it from cleanup:
      docker manifest inspect IMAGE:RELEASE;  helm history HELM_RELEASE;  ls STORE
      kubectl get replicasets   (revisionHistoryLimit of the deployment must be 2 or more)
    How it is looked for: [deployment.artifact].""",
)
def test_rollback_artifact(deployment: Deployment, evidence: Evidence) -> None:
    """The command must not find a release that cannot exist, and must find one that exists."""
    found = find_believed(deployment)
    evidence.judge(
        "available",
        Measurement(f"artifact of {deployment.previous}", found.there, "truth", found.source),
        equal_to(True),
        found.why,
        says=f"The artifact of {deployment.previous} was not found",
    )


@check(
    "deployment.previous-on-new-schema",
    title="The previous release starts and works on the new schema",
    failure_title="The previous release does not work on the new schema",
    each="deployment",
    needs="compatibility",
    severity="blocker",
    effect="write",
    judgements=("ready", "paths"),
    why="""A rollback changes the code and leaves the schema. If the old code reads a column that
    is gone, or refuses to start on a migration that it does not know, a rollback is impossible, and
    during a rolling update the old replicas fail as well.""",
    fix="""Split the migration into releases: first add, then remove what no release reads any more:
      release N: add the new column, write both;  N+1: read the new one;  N+2: drop the old one
    Until then, write into the release notes: roll forward only; switch automatic rollback off.
    How the previous release is started: `start` in [deployment.compatibility].""",
)
def test_previous_on_new_schema(
    deployment: Deployment,
    target: Config,
    scratch_beside: ScratchBeside,
    guardian: Guardian,
    evidence: Evidence,
) -> None:
    """In a scratch database without rows: the target's schema and the pending migrations."""
    settings, release = how_to_start(deployment)
    database = target.databases[settings.database]
    with (
        scratch_beside(database) as server,
        copied(server, database, settings.dsn or database.dsn) as (dsn, due),
    ):
        found = tried(settings, release, dsn, server.server, guardian)
    evidence.record(
        Measurement("pending migrations", len(due), "count",
                    listed(step.version for step in due) or "-")
    )  # fmt: skip
    evidence.judge(
        "ready",
        Measurement(f"{release} is ready", found.ready, "truth", found.source),
        equal_to(True, settings.deciding("ready_within_s")),
        found.why,
        says=f"{release} did not get ready on the new schema",
    )
    wrong = [answer for answer in found.answers if answer]
    count = len(found.answers)
    if found.ready:
        evidence.judge(
            "paths",
            Measurement(f"failing paths of {release}", len(wrong), "count", found.source, count),
            equal_to(0),
            worst(wrong),
            says=f"{len(wrong)} of {count} paths of {release} fail on the new schema",
        )
    if found.ready and not wrong and not found.used:
        raise CouldNotMeasure(
            f"{release} never used the scratch database, so that nothing was tried on the schema",
            where=found.source,
            remedy="make `start` in [deployment.compatibility] connect to {dsn}, and nowhere else",
        )
