"""What proves the check of the continuous integration."""

from collections.abc import Collection
from typing import Final

from readiness.model.fault import Fault, broken_by

_CI: Final = "configuration.ci[ci]"


def _answers(name: str, story: str, misses: Collection[str], **broken: object) -> Fault:
    """A fault of our replacement for GitHub: see its `Fault`."""
    return broken_by(
        name, story, {_CI: misses}, lambda levers: levers.server_fault("ci_server", **broken)
    )


ci_job_skipped = _answers(
    "ci_job_skipped",
    "A condition skipped one job of the test matrix; branch protection counts it as a success.",
    {"ran"},
    conclusions={"test (3.12)": "skipped"},
)
ci_job_neutral = _answers(
    "ci_job_neutral",
    "A required job ended as neutral, without having judged anything.",
    {"ran"},
    conclusions={"lint": "neutral"},
)
ci_job_failed = _answers(
    "ci_job_failed",
    "A required job failed, and the release was made all the same.",
    {"succeeded"},
    conclusions={"test (3.11)": "failure"},
)
ci_job_missing = _answers(
    "ci_job_missing",
    "The job `build` was renamed, and has not run for this commit.",
    {"listed"},
    missing=["build"],
)
ci_of_another_commit = _answers(
    "ci_of_another_commit",
    "All jobs are green, for another commit.",
    {"listed"},
    other_commit=True,
)
ci_job_not_required_failed = _answers(
    "ci_job_not_required_failed",
    "A job that is not required failed.",
    {"others"},
    conclusions={"benchmark": "failure"},
)
ci_job_still_runs = _answers(
    "ci_job_still_runs", "A required job still runs.", (), conclusions={"build": ""}
)
ci_without_an_answer = _answers(
    "ci_without_an_answer", "The API answers every request with 503.", (), status=503
)
ci_list_does_not_end = _answers(
    "ci_list_does_not_end", "Each page of the list names itself as the next one.", (), endless=True
)
