"""The continuous integration of the commit that is released."""

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.configuration.config import Ci
from readiness.areas.configuration.probes.ci import Job, Jobs, State, jobs_of, matches
from readiness.lib.text import clean, worst
from readiness.model.errors import NoData

_SHOWN = 12


@check(
    "configuration.ci",
    title="Every required CI job ran and succeeded for the commit that is released",
    failure_title="A required CI job failed, was skipped or never ran for the released commit",
    each="ci",
    severity="blocker",
    core=True,
    judgements=("listed", "ran", "succeeded", "others"),
    why="""Branch protection counts a skipped job as a success, a job that was renamed is never
    required again, and a green badge is often another commit's. The release then goes out with
    tests that nobody ran.""",
    fix="""See the jobs of this very commit, and run what is missing or failed again:
      gh api --paginate repos/REPOSITORY/commits/COMMIT/check-runs \\
        -q '.check_runs[] | [.name, .conclusion]'
      glab api 'projects/ID/pipelines?sha=COMMIT'
    ran: it was skipped: remove the `if:`, path filter or rule that keeps it from running, or let
    what it `needs` succeed.
    succeeded, others: read its log, and run it again once it is corrected.
    listed: the job was renamed, or the commit was never pushed to a branch that runs CI; correct
    `required` in [configuration.ci]. Another commit: release the one that was tested.""",
)
def test_ci(ci: Ci, evidence: Evidence) -> None:
    """Only `success` passes: a skipped or neutral job has tested nothing."""
    found = jobs_of(ci)
    evidence.record(Measurement("commit", found.commit, "text", found.source))
    by_pattern = {pattern: found.named(pattern) for pattern in ci.required}
    _judge(
        evidence, ci, found, "listed", "required jobs that are not listed",
        [_elsewhere(pattern, found) for pattern, jobs in by_pattern.items() if not jobs],
    )  # fmt: skip
    required = [run for jobs in by_pattern.values() for run in jobs.values()]
    idle = [runs[0] for runs in required if all(run.state is State.NOT_RUN for run in runs)]
    failed = [run for runs in required for run in runs if run.state is State.FAILED]
    _judge(evidence, ci, found, "ran", "required jobs that did not run", _told(idle))
    _judge(evidence, ci, found, "succeeded", "required jobs that failed", _told(failed))
    names = {name for jobs in by_pattern.values() for name in jobs}
    others = [
        job
        for job in found.listed
        if job.commit == found.commit and job.name not in names and job.state is State.FAILED
    ]
    evidence.judge(
        "others",
        Measurement("other jobs that failed", len(others), "count", found.source),
        equal_to(0),
        worst(_told(others)),
        warn_only=True,
        says="Jobs that are not required failed",
    )
    with evidence.attempt():
        _require_the_end([run for runs in required for run in runs], found)


def _judge(evidence: Evidence, ci: Ci, found: Jobs, key: str, name: str, wrong: list[str]) -> None:
    evidence.judge(
        key,
        Measurement(name, len(wrong), "count", found.source, samples=len(ci.required)),
        equal_to(0, ci.deciding("required")),
        worst(wrong),
        says=f"{name.capitalize()} for commit {found.commit[:_SHOWN]}",
    )


def _told(jobs: list[Job]) -> list[str]:
    return [f"{clean(job.name, 80)} ({clean(job.said, 40)})" for job in jobs]


def _elsewhere(pattern: str, found: Jobs) -> str:
    """The pattern, and the other commit that such a job ran for."""
    other = next((job for job in found.listed if matches(pattern, job.name)), None)
    return f"{pattern} (it ran for commit {clean(other.commit[:_SHOWN])})" if other else pattern


def _require_the_end(runs: list[Job], found: Jobs) -> None:
    """Raise NoData while a required job waits or runs."""
    waiting = [run for run in runs if run.state is State.PENDING]
    if waiting:
        raise NoData(
            f"{len(waiting)} required jobs have not ended: {worst(_told(waiting))}",
            where=found.source,
            remedy="run the gate again when they have",
        )
