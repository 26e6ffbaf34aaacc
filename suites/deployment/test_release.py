"""Beside a deployment: what serves, what one goes back to, and what was written down."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from readiness import Evidence, Measurement, at_least, check, equal_to
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.probes.artifact import find_believed
from readiness.areas.deployment.probes.old_release import how_to_start, tried
from readiness.areas.deployment.probes.report import read_report
from readiness.areas.deployment.probes.schema_copy import copied
from readiness.areas.deployment.probes.versions import releases_of, served
from readiness.config.base.tables import Database
from readiness.config.models import Config
from readiness.lib.guardian import Guardian
from readiness.lib.migrations.scratch import Scratch
from readiness.lib.text import listed, worst
from readiness.model.errors import CouldNotMeasure

ScratchBeside = Callable[[Database], AbstractContextManager[Scratch]]


@check(
    "deployment.version-uniform",
    title="Every replica and every worker runs the release that is judged, and no other",
    each="deployment",
    severity="blocker",
    why="""One replica that stayed behind answers every third user from the old release, and a
    worker that nobody restarted handles new jobs with old code. Both look like a bug that comes
    and goes, and everything that is measured is measured on a mixture.""",
    fix="""See who runs what, and finish the rollout:
      for i in $(seq 9); do curl -s URL; done
      kubectl get pods -o custom-columns=NAME:.metadata.name,IMAGE:.spec.containers[*].image
      docker ps --format '{{.Names}} {{.Image}}'
    Or take the whole of it back, workers and cron jobs too.""",
)
def test_version_uniform(deployment: Deployment, evidence: Evidence) -> None:
    """Each request has a connection of its own: one that is kept leads to one replica."""
    found = served(deployment)
    evidence.judge(
        "answers-tell-no-release",
        Measurement(
            "answers that tell no release",
            len(found.silent),
            "count",
            deployment.url,
            samples=found.asked,
        ),
        equal_to(0),
        worst(found.silent),
    )
    others = [f"{n} of {v}" for v, n in sorted(found.versions.items()) if v != deployment.release]
    evidence.judge(
        "answers-another-release",
        Measurement(
            "answers of another release",
            found.asked - len(found.silent) - found.versions[deployment.release],
            "count",
            deployment.url,
            samples=found.asked,
        ),
        equal_to(0),
        f"{listed(others)}, where {deployment.release} is judged",
    )
    if deployment.replica_header:
        evidence.judge(
            "replicas-answered",
            Measurement(
                "replicas that answered",
                len(found.replicas),
                "count",
                deployment.url,
                samples=found.asked,
            ),
            at_least(deployment.replicas),
            "nobody knows what the others run: they do not serve, or the balancer leads us"
            " elsewhere",
        )
    for worker in deployment.workers.values():
        runs = releases_of(worker)
        wrong = [release for release in runs if release != deployment.release]
        evidence.judge(
            "processes-another-release",
            Measurement(
                f"processes of {worker.name} of another release",
                len(wrong),
                "count",
                f"[deployment.workers.{worker.name}] command",
                samples=len(runs),
            ),
            equal_to(0),
            f"{listed(wrong)}, where {deployment.release} is judged",
        )


@check(
    "deployment.rollback-artifact",
    title="What one goes back to can still be had",
    each="kept_deployment",
    severity="blocker",
    why="""A rollback that has to build the old release first is no rollback. Images of last week
    are what a job that makes room removes first, and nobody notices until the night when they are
    asked for.""",
    fix="""Put it back where the deployment takes it from, and keep it from being removed:
      docker manifest inspect IMAGE:RELEASE;  helm history RELEASE;  ls STORE
      kubectl get replicasets   (revisionHistoryLimit of the deployment must be 2 or more)
    How it is looked for: [deployment.artifact].""",
)
def test_rollback_artifact(kept_deployment: Deployment, evidence: Evidence) -> None:
    """The command has to say no of a release that cannot be, and yes of one that is there."""
    found = find_believed(kept_deployment)
    evidence.judge(
        "artifacts",
        Measurement(
            f"artifacts of {kept_deployment.previous}", int(found.there), "count", found.source
        ),
        at_least(1),
        f"there is nothing to go back to: {found.why}",
    )


@check(
    "deployment.deployment-report",
    title="The newest deployment left a report that is whole, and true of what serves",
    each="reported_deployment",
    severity="minor",
    why="""In the middle of an incident somebody asks what changed, when, and by whom, and which
    backup belongs to it. Who has to put that together from logs then has lost half an hour; a
    report that says something else than what runs leads to the wrong place.""",
    fix="""Let the deployment write it at its end, also when it fails:
      release, previous, by, started_at, finished_at (RFC 3339), backup,
      result ("success", "failed", "rolled-back"), steps [{name, duration_s}]
    Where it is: `path` in [deployment.report].""",
)
def test_deployment_report(reported_deployment: Deployment, evidence: Evidence) -> None:
    """Compared with what answers now: after a success that is its release, else the one before."""
    path, report, wrong = read_report(reported_deployment)
    if report and report.is_from_the_future:
        wrong.append(f"finished_at: {report.finished_at:%Y-%m-%d %H:%M:%S %Z} is in the future")
    evidence.judge(
        "mistakes-report",
        Measurement("mistakes in the report", len(wrong), "count", path),
        equal_to(0),
        worst(wrong),
    )
    if report is None:
        return
    evidence.judge(
        "time-deployment-took",
        Measurement("time that the deployment took", report.duration_s, "s", path),
        at_least(0),
        "it ended before it began",
    )
    found = served(reported_deployment)
    others = sorted(version for version in found.versions if version != report.live)
    evidence.judge(
        "answers-report-does-tell", Measurement("answers that the report does not tell of",
                    found.asked - found.versions[report.live], "count", reported_deployment.url,
                    samples=found.asked),
        equal_to(0),
        f"it tells of {report.live}, and this answers: {listed(others) or 'no release at all'}",
    )  # fmt: skip


@check(
    "deployment.previous-on-new-schema",
    title="The release before starts and works on the schema that this release leaves",
    each="compatible_deployment",
    severity="blocker",
    effect="write",
    why="""A rollback changes the code and leaves the schema. If the old code reads a column that
    is gone, or refuses to start on a migration that it does not know, there is no way back: while
    a rolling update runs, too, the old replicas serve on the new schema.""",
    fix="""Part the migration in two releases: first add, then, when nobody reads it any more,
    take away:
      release N: add the new column, write both;  N+1: read the new one;  N+2: drop the old one
    Until then say so: roll forward only, and no automatic rollback.
    How the old release is started: [deployment.compatibility].""",
)
def test_previous_on_new_schema(
    compatible_deployment: Deployment,
    target: Config,
    scratch_beside: ScratchBeside,
    guardian: Guardian,
    evidence: Evidence,
) -> None:
    """In a scratch database without rows: the target's schema, and the migrations that are due."""
    settings, release = how_to_start(compatible_deployment)
    database = target.databases[settings.database]
    with (
        scratch_beside(database) as server,
        copied(server, database, settings.dsn or database.dsn) as (dsn, due),
    ):
        found = tried(settings, release, dsn, server.server, guardian)
    evidence.record(
        Measurement("migrations that are due", len(due), "count",
                    listed(step.version for step in due) or "-")
    )  # fmt: skip
    evidence.judge(
        "ready",
        Measurement(f"{release} is ready", int(found.ready), "count", found.source),
        at_least(1),
        found.why,
    )
    wrong = [what for _, what in found.answers if what]
    if found.ready:
        evidence.judge(
            "paths-fail",
            Measurement(
                f"paths that fail on {release}",
                len(wrong),
                "count",
                found.source,
                samples=len(found.answers),
            ),
            equal_to(0),
            worst(wrong),
        )
    if found.ready and not wrong and not found.used:
        raise CouldNotMeasure(
            f"{release} never used the scratch database: nothing was tried on the new schema",
            where=found.source,
            remedy="let `start` in [deployment.compatibility] connect to {dsn}, and nowhere else",
        )
