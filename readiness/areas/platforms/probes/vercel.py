"""What a domain on Vercel serves, and where its data is drained to.

vercel.com/docs/rest-api: "Find a project by id or name", "Get an Alias", "Get a deployment by ID or
URL", "Retrieve a list of all Drains".
"""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from pydantic import Field, TypeAdapter

from readiness.areas.platforms.config import Vercel
from readiness.areas.platforms.probes.live import ENABLED, Camel, Live, Sent, api_of
from readiness.lib.text import clean
from readiness.lib.vendor import Client

_SCOPES: Final = "give the token the scope of the team that has the project, and set `team`"
_COMMITS: Final = (
    "githubCommitSha", "gitlabCommitSha", "bitbucketCommitSha", "gitCommitSha", "commitSha",
)  # fmt: skip
READY: Final = "READY"
"""The state of a deployment that answers all users of its aliases."""
_ROLLING: Final = "ROLLING"


class _Project(Camel):
    id: str
    name: str


class _Alias(Camel):
    deployment_id: str | None = None
    project_id: str | None = None
    redirect: str | None = None
    created_at: int | None = None
    updated_at: int | None = None
    deleted_at: int | None = None


class _GitSource(Camel):
    sha: str | None = None


class _Deployment(Camel):
    id: str
    ready_state: str
    ready_substate: str | None = None
    target: str | None = None
    meta: dict[str, str] = Field(default={})
    git_source: _GitSource | None = None
    ready: int | None = None

    @property
    def commit(self) -> str:
        """The hash that it was made from; empty if nobody said."""
        sha = self.git_source.sha if self.git_source else None
        return sha or next((self.meta[key] for key in _COMMITS if self.meta.get(key)), "")

    @property
    def state(self) -> str:
        """`ROLLING` means that another deployment answers some of the users."""
        rolling = self.ready_substate == _ROLLING
        return f"{self.ready_state} ({_ROLLING})" if rolling else self.ready_state


class _Access(Camel):
    access: str
    project_ids: tuple[str, ...] = ()


class _OfDeployments(Camel):
    environments: tuple[str, ...] = ()


class _OfProjects(Camel):
    ids: tuple[str, ...] = ()


class _Filter(Camel):
    deployment: _OfDeployments = _OfDeployments()
    project: _OfProjects = _OfProjects()


class _FilterV2(Camel):
    filter: _Filter


class _Drain(Camel):
    name: str
    status: str = ENABLED
    schemas: dict[str, object]
    project_ids: tuple[str, ...] | None = None
    project_access: _Access | None = None
    filter_v2: _FilterV2 | None = None

    def covers(self, project: str, environment: str) -> bool:
        """Whether it gets data of this project's environment; without a list it gets all."""
        some = self.filter_v2.filter if self.filter_v2 else _Filter()
        if environment not in (some.deployment.environments or {environment}):
            return False
        if project not in (some.project.ids or {project}):
            return False
        if self.project_access:
            return self.project_access.access == "all" or project in self.project_access.project_ids
        return not self.project_ids or project in self.project_ids


class _Drains(Camel):
    drains: tuple[_Drain, ...]


_PROJECT: Final = TypeAdapter(_Project)
_ALIAS: Final = TypeAdapter(_Alias)
_DEPLOYMENT: Final = TypeAdapter(_Deployment)
_DRAINS: Final = TypeAdapter(_Drains)


def live_on(vercel: Vercel) -> Live:
    """What the alias serves.

    Raises:
        CouldNotMeasure: and its kinds; the project must be visible, so that an alias that is not
            found is not assigned.
    """
    with _client(vercel) as client:
        project = client.read(_path(vercel, f"/v9/projects/{vercel.project}"), _PROJECT)
        place = f"/v4/aliases/{vercel.alias}"
        alias = client.find(_path(vercel, place), _ALIAS)
        source = f"GET {client.url(place)}"
        if alias is None or not alias.deployment_id or alias.deleted_at:
            return Live(
                "no deployment", (f"{vercel.alias} is not assigned",), "", None, source, there=False
            )
        if alias.project_id != project.id:
            other = (
                f"{vercel.alias} is assigned to another project, {clean(alias.project_id or '')}"
            )
            return Live("another project", (other,), "", None, source, there=False)
        path = f"/v13/deployments/{alias.deployment_id}"
        deployment = client.read(_path(vercel, path, withGitRepoInfo="true"), _DEPLOYMENT)
    moments = (alias.updated_at, alias.created_at, deployment.ready)
    return Live(
        state=deployment.state,
        problems=tuple(_problems(vercel, alias, deployment)),
        commit=deployment.commit.lower(),
        since=next((datetime.fromtimestamp(ms / 1000, UTC) for ms in moments if ms), None),
        source=f"{source}, and {path}",
    )


def _problems(vercel: Vercel, alias: _Alias, deployment: _Deployment) -> list[str]:
    """What the alias shows instead; the state of the deployment is judged apart."""
    found = []
    if alias.redirect:
        found.append(f"{vercel.alias} redirects to {clean(alias.redirect)}")
    made_for = deployment.target or "preview"
    if made_for != vercel.target:
        found.append(f"{vercel.alias} serves {clean(deployment.id)}, made for {clean(made_for)}")
    return found


def drained_from(vercel: Vercel) -> Sent:
    """The state of the best drain for each kind of data of the project."""
    path = "/v1/drains"
    with _client(vercel) as client:
        project = client.read(_path(vercel, f"/v9/projects/{vercel.project}"), _PROJECT)
        # All of them: nothing says whether a list for one project has the drains of all projects.
        drains = client.read(_path(vercel, path), _DRAINS).drains
    # Drains know no others: staging is a preview to them.
    environment = "production" if vercel.target == "production" else "preview"
    found: dict[str, str] = {}
    for drain in drains:
        if drain.covers(project.id, environment):
            for kind in drain.schemas:
                if found.get(kind) != ENABLED:
                    found[kind] = drain.status
    return Sent(found, f"GET {vercel.address}{path}")


def _client(vercel: Vercel) -> Client:
    return Client(api_of(vercel, vercel.project, "`project`, `team` and `url`", _SCOPES))


def _path(vercel: Vercel, path: str, **query: str) -> str:
    """With the team: without it, Vercel looks at what the token's user owns."""
    asked = {"teamId": vercel.team, **query} if vercel.team else query
    return f"{path}?{urlencode(asked)}" if asked else path
