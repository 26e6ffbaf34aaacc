"""The jobs that a continuous integration ran for a commit, by the APIs of GitHub and GitLab.

GitHub: docs.github.com/rest, "Commits", "Check runs", "Commit statuses" and "Using pagination".
GitLab: docs.gitlab.com/api, "Commits", "Tags", "Pipelines", "Jobs" and "Pagination".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from pydantic import TypeAdapter

from readiness.areas.configuration.config import Ci
from readiness.lib import api
from readiness.lib.vendor import PER_PAGE, Api, Client
from readiness.model.errors import NoData

_HASH: Final = re.compile(r"[0-9a-f]{7,64}", re.IGNORECASE)
_SUCCESS: Final = "success"
_SCOPES: Final = {
    "github": "give the token read access to checks, commit statuses and contents of the repository"
    " (fine-grained), or the scope `repo` (classic)",
    "gitlab": "give the token the scope `read_api`, and its user the role Reporter or higher",
}
_RAN_NOTHING: Final = frozenset({"skipped", "neutral", "manual"})
_WAITING: Final = frozenset(
    {
        # GitHub
        *("queued", "in_progress", "waiting", "requested", "pending"),
        # GitLab
        *("created", "waiting_for_resource", "waiting_for_callback", "preparing", "running"),
        *("scheduled", "canceling"),
    }
)


class State(StrEnum):
    """How a job stands."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    NOT_RUN = "did not run"
    PENDING = "has not ended"


@dataclass(frozen=True, slots=True)
class Job:
    """A job, a check run or a commit status.

    Attributes:
        said: the word of the CI for its state, as `skipped`.
        commit: the full hash of the commit that it ran for.
    """

    name: str
    said: str
    commit: str

    @property
    def state(self) -> State:
        """Anything unknown is a failure, as only a success may pass."""
        if self.said in _WAITING:
            return State.PENDING
        if self.said in _RAN_NOTHING:
            return State.NOT_RUN
        return State.SUCCEEDED if self.said == _SUCCESS else State.FAILED


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs of a commit.

    Attributes:
        commit: the full hash.
        listed: the jobs that the CI listed for it, of which some may be another commit's.
        source: the request that lists them.
    """

    commit: str
    listed: tuple[Job, ...]
    source: str

    def named(self, pattern: str) -> dict[str, list[Job]]:
        """The jobs of this commit whose names match, by name; `*` matches any text."""
        found: dict[str, list[Job]] = {}
        for job in self.listed:
            if job.commit == self.commit and matches(pattern, job.name):
                found.setdefault(job.name, []).append(job)
        return found


def matches(pattern: str, name: str) -> bool:
    """Whether a name matches; the brackets of a matrix are plain characters."""
    parts = map(re.escape, pattern.split("*"))
    return re.fullmatch(".*".join(parts), name, re.DOTALL) is not None


def jobs_of(ci: Ci) -> Jobs:
    """The jobs of the commit that is released.

    Raises:
        NotPermitted: the token is missing, wrong or lacks a permission.
        NoData: there is no such commit, something else answers, or the list is incomplete.
        CouldNotMeasure: and its kinds: no answer, too many requests, an error of the server.
    """
    with Client(_api_of(ci)) as client:
        return _of_github(client, ci) if ci.provider == "github" else _of_gitlab(client, ci)


def _api_of(ci: Ci) -> Api:
    return Api(
        table="[configuration.ci]",
        url=ci.address,
        subject=ci.repository,
        keys="`repository` and `url`",
        scopes=_SCOPES[ci.provider],
        token=ci.token,
        timeout_s=ci.timeout_s,
        verify_tls=ci.verify_tls,
    )


class _Sha(api.Reply):
    sha: str


class _Run(api.Reply):
    name: str
    head_sha: str
    status: str
    conclusion: str | None = None


class _Runs(api.Reply):
    total_count: int
    check_runs: tuple[_Run, ...]


class _Status(api.Reply):
    context: str
    state: str


class _Statuses(api.Reply):
    sha: str
    statuses: tuple[_Status, ...]


_SHA: Final = TypeAdapter(_Sha)
_RUNS: Final = TypeAdapter(_Runs)
_STATUSES: Final = TypeAdapter(_Statuses)


def _of_github(client: Client, ci: Ci) -> Jobs:
    commits = f"/repos/{ci.repository}/commits"

    def sha(ref: str) -> str | None:
        found = client.find(f"{commits}/{ref}", _SHA)
        return found.sha if found else None

    commit = (_is_hash(ci) and _same(ci.commit, sha(ci.commit))) or sha(f"tags/{_quoted(ci)}")
    if not commit:
        raise _no_commit(client, ci, commits)
    path = f"{commits}/{commit}/check-runs"
    found: list[Job] = []
    total = 0
    for page, _ in client.pages(f"{path}?filter=latest&per_page={PER_PAGE}", _RUNS):
        total = page.total_count
        found += [
            Job(run.name, run.conclusion or run.status, run.head_sha) for run in page.check_runs
        ]
    if len(found) < total:
        raise client.incomplete(path, f": {len(found)} of {total} were listed")
    jobs = Jobs(commit, tuple(found), f"GET {client.url(path)}")
    if all(jobs.named(pattern) for pattern in ci.required):
        return jobs
    # Other services report statuses, which need another permission.
    for statuses, _ in client.pages(f"{commits}/{commit}/status?per_page={PER_PAGE}", _STATUSES):
        found += [Job(one.context, one.state, statuses.sha) for one in statuses.statuses]
    return Jobs(commit, tuple(found), f"{jobs.source}, and /status")


class _Id(api.Reply):
    id: str


class _Tag(api.Reply):
    commit: _Id


class _Pipeline(api.Reply):
    id: int
    sha: str


class _GitlabJob(api.Reply):
    name: str
    status: str


_ID: Final = TypeAdapter(_Id)
_TAG: Final = TypeAdapter(_Tag)
_PIPELINES: Final = TypeAdapter(tuple[_Pipeline, ...])
_JOBS: Final = TypeAdapter(tuple[_GitlabJob, ...])


def _of_gitlab(client: Client, ci: Ci) -> Jobs:
    project = f"/projects/{quote(ci.repository, safe='')}"
    repository = f"{project}/repository"

    def tagged() -> str | None:
        tag = client.find(f"{repository}/tags/{_quoted(ci)}", _TAG)
        return tag.commit.id if tag else None

    def hashed() -> str | None:
        found = client.find(f"{repository}/commits/{ci.commit}", _ID)
        return found.id if found else None

    commit = (_is_hash(ci) and _same(ci.commit, hashed())) or tagged()
    if not commit:
        raise _no_commit(client, ci, repository)
    path = f"{project}/pipelines"
    asked = f"{path}?sha={commit}&order_by=id&sort=desc&per_page={PER_PAGE}"
    found: list[Job] = []
    for pipeline in client.entries(asked, _PIPELINES):
        for kind in ("jobs", "bridges"):
            listed = f"{path}/{pipeline.id}/{kind}?per_page={PER_PAGE}"
            jobs = client.entries(listed, _JOBS)
            found += [Job(one.name, one.status, pipeline.sha) for one in jobs]
    return Jobs(commit, tuple(_newest(found)), f"GET {client.url(path)}?sha={commit}")


def _newest(jobs: Iterable[Job]) -> list[Job]:
    """Of the jobs of several pipelines, newest first: the newest of each name that ran."""
    found: dict[tuple[str, str], Job] = {}
    for job in jobs:
        known = found.get((job.name, job.commit))
        if known is None or (known.state is State.NOT_RUN and job.state is not State.NOT_RUN):
            found[job.name, job.commit] = job
    return list(found.values())


def _is_hash(ci: Ci) -> bool:
    return _HASH.fullmatch(ci.commit) is not None


def _quoted(ci: Ci) -> str:
    return quote(ci.commit, safe="")


def _same(asked: str, found: str | None) -> str | None:
    """The hash that was found, unless a branch or tag was that looks like a hash."""
    return found if found and found.startswith(asked.lower()) else None


def _no_commit(client: Client, ci: Ci, path: str) -> NoData:
    return NoData(
        f"{ci.repository} has no commit or tag {ci.commit!r}, or the token cannot see it",
        where=client.url(path),
        remedy="set `commit` in [configuration.ci] to the hash or the tag of what is released, as"
        ' commit = "v{release}"; a branch moves, and is not taken',
    )
