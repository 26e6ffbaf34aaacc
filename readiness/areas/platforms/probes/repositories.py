"""What protects the branch that releases are made from, on GitHub and GitLab.

GitHub: docs.github.com/rest (github.com/github/rest-api-description): "Get a repository", "Get a
branch", "Get rules for a branch", "Get a commit". None of them needs administration rights.
GitLab: docs.gitlab.com/api: "Projects", "Branches", "Pipelines", "Jobs", "Commits", "Tags".
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from pydantic import TypeAdapter

from readiness.areas.platforms.config import Github, Gitlab
from readiness.areas.platforms.probes.live import api_of
from readiness.lib import api
from readiness.lib.text import clean
from readiness.lib.vendor import PER_PAGE, Client

_HASH: Final = re.compile(r"[0-9a-f]{7,64}", re.IGNORECASE)
_KEYS: Final = "`repository`, `branch` and `url`"
_GITHUB: Final = (
    "give the token read access to metadata and contents of the repository (fine-grained), or the"
    " scope `repo` (classic)"
)
_GITLAB: Final = "give the token the scope `read_api`, and its user the role Reporter or higher"
_CHECKS: Final = "required_status_checks"
_OFF: Final = "off"
# Rules that keep a push from reaching the branch unseen; others concern names and messages.
_GUARDS: Final = frozenset(
    {"pull_request", _CHECKS, "update", "merge_queue", "workflows", "non_fast_forward"}
)


@dataclass(frozen=True, slots=True)
class Branch:
    """How a branch is protected.

    Attributes:
        name: its name.
        by: what protects it, as `branch protection`; empty if nothing does.
        past_gate: how a change reaches it past the gate's job; empty if it cannot.
        source: the requests that show it.
    """

    name: str
    by: tuple[str, ...]
    past_gate: tuple[str, ...]
    source: str


def branch_of(repository: Github | Gitlab) -> Branch:
    """The branch that releases are made from.

    Raises:
        CouldNotMeasure: and its kinds.
    """
    with _client(repository) as client:
        if isinstance(repository, Github):
            return _on_github(client, repository)
        return _on_gitlab(client, repository)


def commit_of(repository: Github | Gitlab, name: str) -> str:
    """The full hash of a commit, from a part of it or from its tag; empty if there is none.

    Raises:
        CouldNotMeasure: and its kinds.
    """
    with _client(repository) as client:
        if isinstance(repository, Github):
            commits = f"/repos/{repository.repository}/commits"
            found = client.find(f"{commits}/{name}", _SHA) if _HASH.fullmatch(name) else None
            if found and found.sha.startswith(name.lower()):
                return found.sha
            found = client.find(f"{commits}/tags/{quote(name, safe='')}", _SHA)
            return found.sha if found else ""
        project = f"/projects/{quote(repository.repository, safe='')}/repository"
        commit = client.find(f"{project}/commits/{name}", _ID) if _HASH.fullmatch(name) else None
        if commit and commit.id.startswith(name.lower()):
            return commit.id
        tag = client.find(f"{project}/tags/{quote(name, safe='')}", _TAG)
        return tag.commit.id if tag else ""


def _client(repository: Github | Gitlab) -> Client:
    scopes = _GITHUB if isinstance(repository, Github) else _GITLAB
    return Client(api_of(repository, repository.repository, _KEYS, scopes))


class _Sha(api.Reply):
    sha: str


class _Default(api.Reply):
    default_branch: str


class _Required(api.Reply):
    enforcement_level: str = ""
    contexts: tuple[str, ...] = ()


class _Protection(api.Reply):
    enabled: bool = False
    required_status_checks: _Required | None = None


class _Branch(api.Reply):
    name: str
    protected: bool
    protection: _Protection = _Protection()


class _Check(api.Reply):
    context: str


class _Parameters(api.Reply):
    required_status_checks: tuple[_Check, ...] = ()


class _Rule(api.Reply):
    type: str
    parameters: _Parameters = _Parameters()


_SHA: Final = TypeAdapter(_Sha)
_DEFAULT: Final = TypeAdapter(_Default)
_BRANCH: Final = TypeAdapter(_Branch)
_RULES: Final = TypeAdapter(tuple[_Rule, ...])


def _on_github(client: Client, github: Github) -> Branch:
    repository = f"/repos/{github.repository}"
    name = github.branch or client.read(repository, _DEFAULT).default_branch
    path = f"{repository}/branches/{quote(name, safe='')}"
    found = client.read(path, _BRANCH)
    ruled = f"{repository}/rules/branches/{quote(name, safe='')}"
    rules = _rules(client, ruled)
    by = ["branch protection"] if found.protected and found.protection.enabled else []
    by += [f"rule {rule.type}" for rule in rules if rule.type in _GUARDS]
    classic = found.protection.required_status_checks
    required = {one.context for rule in rules for one in rule.parameters.required_status_checks}
    if by and classic and classic.enforcement_level != _OFF:
        required.update(classic.contexts)
    others = ", ".join(sorted(clean(one, 80) for one in required)) or "none"
    past = () if github.gate in required else (f"required checks are {others}",)
    source = f"GET {client.url(path)} and {ruled}"
    return Branch(name, tuple(dict.fromkeys(by)), past, source)


def _rules(client: Client, path: str) -> list[_Rule]:
    """The active rules of rulesets; GitHub Enterprise Server before 3.11 has none."""
    if client.find(f"{path}?per_page=1", _RULES) is None:
        return []
    return client.entries(f"{path}?per_page={PER_PAGE}", _RULES)


class _Id(api.Reply):
    id: str


class _Tag(api.Reply):
    commit: _Id


class _Project(api.Reply):
    default_branch: str
    only_allow_merge_if_pipeline_succeeds: bool = False
    allow_merge_on_skipped_pipeline: bool | None = None


class _GitlabBranch(api.Reply):
    name: str
    protected: bool
    developers_can_push: bool = False


class _Pipeline(api.Reply):
    id: int


class _Job(api.Reply):
    name: str
    allow_failure: bool = False


_ID: Final = TypeAdapter(_Id)
_TAG: Final = TypeAdapter(_Tag)
_PROJECT: Final = TypeAdapter(_Project)
_GITLAB_BRANCH: Final = TypeAdapter(_GitlabBranch)
_PIPELINES: Final = TypeAdapter(tuple[_Pipeline, ...])
_JOBS: Final = TypeAdapter(tuple[_Job, ...])


def _on_gitlab(client: Client, gitlab: Gitlab) -> Branch:
    path = f"/projects/{quote(gitlab.repository, safe='')}"
    project = client.read(path, _PROJECT)
    name = gitlab.branch or project.default_branch
    where = f"{path}/repository/branches/{quote(name, safe='')}"
    branch = client.read(where, _GITLAB_BRANCH)
    past = list(_past_gitlab(project, branch))
    if told := _job_of_gitlab(client, path, gitlab, name):
        past.append(told)
    # `protected` also tells of a pattern, as `release/*`, or of the group's protection.
    by = ("protected branch",) if branch.protected else ()
    return Branch(name, by, tuple(past), f"GET {client.url(where)}, /pipelines and the project")


def _past_gitlab(project: _Project, branch: _GitlabBranch) -> list[str]:
    found = []
    if not project.only_allow_merge_if_pipeline_succeeds:
        found.append("merging does not wait for the pipeline")
    if project.allow_merge_on_skipped_pipeline:
        found.append("a skipped pipeline allows merging")
    if branch.protected and branch.developers_can_push:
        found.append("developers may push without a merge request")
    return found


def _job_of_gitlab(client: Client, path: str, gitlab: Gitlab, branch: str) -> str:
    """Why the pipeline that merging waits for does not run the gate; empty if it does."""
    for chosen in ("source=merge_request_event", f"ref={quote(branch, safe='')}"):
        asked = f"{path}/pipelines?{chosen}&order_by=id&sort=desc&per_page=1"
        pipelines = client.read(asked, _PIPELINES)
        if not pipelines:
            continue
        listed = f"{path}/pipelines/{pipelines[0].id}/jobs?per_page={PER_PAGE}"
        jobs = [job for job in client.entries(listed, _JOBS) if job.name == gitlab.gate]
        if not jobs:
            return f"pipeline {pipelines[0].id} has no job {gitlab.gate}"
        return f"{gitlab.gate} is allowed to fail" if jobs[0].allow_failure else ""
    return "no pipeline has run"
