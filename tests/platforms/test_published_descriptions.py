"""Our clients and our replacement for the vendors, by types that are made from published APIs.

| vendor | package | made from |
|---|---|---|
| Vercel | npm `@vercel/sdk`, by Vercel | its OpenAPI document |
| Supabase | npm `supabase-management-js` | the OpenAPI document of the Management API |
| Render | PyPI `render`, by Render | its OpenAPI document |
| GitHub | npm `@octokit/openapi-types`, by GitHub | its OpenAPI document (29 MB by itself) |
| GitLab | npm `@gitbeaker/core` | by hand: GitLab's OpenAPI document is in no package |

For each request that our clients send while all is well, the TypeScript compiler compares: its path
and parameters exist; each key that our client reads exists, and what the description allows there
is accepted; what our replacement answers, also while a fault lasts, has no key, type or value that
the description lacks.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, get_args
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel

from readiness.areas.configuration.config import Ci
from readiness.areas.configuration.probes import ci
from readiness.areas.platforms.config import Github, Gitlab, Render, Supabase, Vercel
from readiness.areas.platforms.probes import render, repositories, supabase, vercel
from readiness.areas.platforms.reference.platform_server import GATE, commit_of, patched
from readiness.lib.http import Answer
from readiness.lib.vendor import Client
from readiness.model.fault import faults_of
from readiness.servers.programs import AbsentError
from tests.support import packages
from tests.support.many_platforms import RELEASE, World
from tests.support.monitored_service import suite
from tests.support.processes import skip
from tests.support.typescript import Accepted, compiler, told, types_of_python

COMMIT: Final = commit_of(RELEASE)
# What only [configuration.ci] asks for.
MORE: Final = {
    f"/github/repos/shop/orders/commits/{COMMIT}/check-runs": {
        "total_count": 1,
        "check_runs": [
            {"name": "test", "head_sha": COMMIT, "status": "completed", "conclusion": "success"}
        ],
    },
    f"/github/repos/shop/orders/commits/{COMMIT}/status": {
        "sha": COMMIT,
        "statuses": [{"context": GATE, "state": "success"}],
    },
    "/gitlab/api/v4/projects/shop%2Forders/pipelines/47/bridges": [],
}
HELPERS: Final = """
export {};
type Named<T> = { [K in keyof T as string extends K ? never : K]: T[K] };
type Part<T> = T extends Date ? string
  : T extends readonly (infer E)[] ? Part<E>[]
  : T extends object ? (keyof Named<T> extends never ? T : Named<{ [K in keyof T]?: Part<T[K]> }>)
  : T;
type At<T, K> = T extends readonly (infer E)[] ? At<E, K>
  : T extends object ? (K extends keyof T ? Exclude<T[K], null | undefined> : never) : never;
type Found<T> = [T] extends [never] ? "no such key" : unknown extends T ? "no such key" : "a key";
"""


@dataclass(frozen=True)
class Call:
    """A request of ours, and where a package describes it.

    Attributes:
        path: its path, as the package writes it.
        file: the file of the package that has the path.
        answer: the TypeScript type of the answer; `@` is the package.
        reads: what our clients make of it.
        query: the TypeScript type of its parameters.
        but_required: the keys that we require though the description does not: an answer without
            them is an error.
    """

    path: str
    file: str
    answer: str
    reads: tuple[TypeAdapter[Any], ...]
    query: str = "{}"
    but_required: tuple[str, ...] = ()

    def is_path(self, path: str) -> bool:
        """Whether it is this request's, whatever the names in it."""
        pattern = re.sub(r"\$?\{\w+\}", "[^/]+", f"/{self.path.lstrip('/')}")
        # A tag in place of a commit on GitHub is `tags/v1.5.0`.
        return re.fullmatch(pattern.replace("commits/", "commits/(?:tags/)?"), path) is not None


@dataclass(frozen=True)
class Vendor:
    """What is known of a vendor.

    Attributes:
        package: the name, version and hash of a package.
        prefix: what the addresses of our replacement begin with.
        ask: sends every request of our clients.
        calls: these requests.
        of: gets the package.
        types: the TypeScript types, if the package has others.
        parameter: the name that the package gives to a parameter.
    """

    package: tuple[str, str, str]
    prefix: str
    ask: Callable[[Any], object]
    calls: tuple[Call, ...]
    of: Callable[[str, str, str], Path] = packages.npm
    types: Callable[[Path], str] = lambda _: ""
    parameter: Callable[[str], str] = str


def ask_vercel(config: Vercel) -> None:
    vercel.live_on(config.model_copy(update={"team": "team_1"}))
    vercel.drained_from(config)


def on_vercel(path: str, function: str, reads: TypeAdapter[Any], answer: str, query: str) -> Call:
    models = 'import("@/esm/models/{}").{}'
    types = (models.format(*one.split(".")) for one in (answer, query))
    return Call(path, f"esm/funcs/{function}.js", next(types), (reads,), next(types))


VERCEL: Final = Vendor(
    (
        "@vercel/sdk",
        "1.28.35",
        "sha512-+htFlMraI28WZffhYFMe68JspTwA9v0QD5IcEaMmDBShJLlvxw0M8mo/vUiUkAu/v3Gp8XrXIOVWanP8/wAdyQ==",
    ),
    "/vercel",
    ask_vercel,
    (
        on_vercel(
            "/v9/projects/{idOrName}",
            "projectsGetProject",
            vercel._PROJECT,
            "getprojectresponsebody.GetProjectResponseBody",
            "getprojecthas2.GetProjectRequest",
        ),
        on_vercel(
            "/v4/aliases/{idOrAlias}",
            "aliasesGetAlias",
            vercel._ALIAS,
            "getaliasop.GetAliasResponseBody",
            "getaliasop.GetAliasRequest",
        ),
        on_vercel(
            "/v13/deployments/{idOrUrl}",
            "deploymentsGetDeployment",
            vercel._DEPLOYMENT,
            "getdeploymentresponsebody.GetDeploymentResponseBody",
            "getdeploymentgitsourcedeploymentsresponse200applicationjsonresponsebody215type"
            ".GetDeploymentRequest",
        ),
        on_vercel(
            "/v1/drains",
            "drainsGetDrains",
            vercel._DRAINS,
            "getdrainsop.GetDrainsResponseBody",
            "getdrainsop.GetDrainsRequest",
        ),
    ),
)


def ask_supabase(config: Supabase) -> None:
    services = get_args(get_args(Supabase.model_fields["services"].annotation)[0])
    with supabase.Project(config.model_copy(update={"services": [*services]})) as project:
        project.status()
        project.services()
        project.findings("security")
        project.findings("performance")
        project.backups()


def on_supabase(path: str, answer: str, reads: TypeAdapter[Any], query: str = "{}") -> Call:
    types = 'import("@/dist/index")'
    query = query if query == "{}" else f"{types}.{query}"
    path = f"/v1/projects/${{ref}}{path}"
    return Call(path, "dist/index.js", f"{types}.{answer}", (reads,), query)


SUPABASE: Final = Vendor(
    (
        "supabase-management-js",
        "2.0.2",
        "sha512-CWGAczaNXTUDExaxi+hUEPqlPtCiZ4r3a74NXOx7+Sf+P75foCuX/aXL9MztosWwRnZZAI8VGUXpdNe6K3xTtA==",
    ),
    "/supabase",
    ask_supabase,
    (
        on_supabase("", "V1ProjectWithDatabaseResponse", supabase._PROJECT),
        on_supabase(
            "/health", "V1ServiceHealthResponse[]", supabase._SERVICES, "V1GetServicesHealthParams"
        ),
        on_supabase("/advisors/security", "V1ProjectAdvisorsResponse", supabase._LINTS),
        on_supabase("/advisors/performance", "V1ProjectAdvisorsResponse", supabase._LINTS),
        on_supabase("/database/backups", "V1BackupsResponse", supabase._BACKUPS),
    ),
)


def ask_render(config: Render) -> None:
    render.running_on(config)
    render.streamed_from(config)


def on_render(path: str, file: str, answer: str, reads: TypeAdapter[Any], **more: Any) -> Call:
    return Call(path, f"render/public_api/api/{file}.py", answer, (reads,), **more)


RENDER: Final = Vendor(
    (
        "render",
        "1.5.0",
        "sha512-NWbvY2Fs1dTHn2uRPbKNyMCzuPcFs1RFa6XpC3k2sr/KH0UrfcvXOuUTIP1QQStUdUEojypySoogyh/aO8psuA==",
    ),
    "/render/v1",
    ask_render,
    (
        on_render(
            "/services/{service_id}", "services/retrieve_service", "Service", render._SERVICE
        ),
        on_render(
            "/services/{service_id}/deploys",
            "deploys/list_deploys",
            "DeployWithCursor[]",
            render._DEPLOYS,
            query="{ cursor: string; limit: number }",
            but_required=("deploy", "status"),
        ),
        on_render(
            "/logs/streams/owner/{owner_id}",
            "logs/get_owner_log_stream",
            "OwnerLogStreamSetting",
            render._LOGS,
        ),
        on_render(
            "/logs/streams/resource/{resource_id}",
            "logs/get_resource_log_stream",
            "ResourceLogStreamSetting",
            render._OWN_LOGS,
        ),
        on_render(
            "/metrics-stream/{owner_id}",
            "metrics/get_owner_metrics_stream",
            "MetricsStream",
            render._METRICS,
        ),
    ),
    packages.wheel,
    lambda package: types_of_python(package / "render/public_api/models"),
)


def ask_repository(config: Github | Gitlab) -> None:
    repositories.branch_of(config)
    repositories.commit_of(config, f"v{RELEASE}")
    repositories.commit_of(config, COMMIT)
    shared = config.model_dump(include={"provider", "url", "repository"})
    ci.jobs_of(
        Ci(**shared, token=config.token, commit=f"v{RELEASE}", required=["test", config.gate])
    )


def on_github(path: str, *reads: TypeAdapter[Any]) -> Call:
    path = f"/repos/{{owner}}/{{repo}}{path}"
    get = f'import("@/types").paths["{path}"]["get"]'
    answer = f'{get}["responses"][200]["content"]["application/json"]'
    return Call(path, "types.d.ts", answer, reads, f'{get}["parameters"]["query"]')


GITHUB: Final = Vendor(
    (
        "@octokit/openapi-types",
        "29.0.1",
        "sha512-9qWOMFNxxLokERcms42rU0PTLqQmVs7g5E41TI4mCOxmpFayD1rfC7XxOL55cG9MBZLFlC31BrR37myMKardwg==",
    ),
    "/github",
    ask_repository,
    (
        on_github("", repositories._DEFAULT),
        on_github("/branches/{branch}", repositories._BRANCH),
        on_github("/rules/branches/{branch}", repositories._RULES),
        on_github("/commits/{ref}", repositories._SHA, ci._SHA),
        on_github("/commits/{ref}/check-runs", ci._RUNS),
        on_github("/commits/{ref}/status", ci._STATUSES),
    ),
)


def on_gitlab(path: str, answer: str, *reads: TypeAdapter[Any], query: str = "{}") -> Call:
    types = 'import("@/dist/index")'
    query = query.replace("All", f"{types}.All")
    path = f"projects/${{projectId}}{path}"
    return Call(path, "dist/index.js", f"{types}.{answer}", reads, query)


# As docs.gitlab.com names them: the package does not export them.
OF_JOBS: Final = "{ perPage: number; page: number }"
GITLAB: Final = Vendor(
    (
        "@gitbeaker/core",
        "43.8.0",
        "sha512-H+LfKuf4dExBinb79c+CXViRBvTVQNf5BYLNSizm2SiqdED5JruhKX88payefleY0szp7G/mySlFSXPyGRH1dQ==",
    ),
    "/gitlab/api/v4",
    ask_repository,
    (
        on_gitlab("", "ProjectSchema", repositories._PROJECT),
        on_gitlab(
            "/repository/branches/${branchName}", "BranchSchema", repositories._GITLAB_BRANCH
        ),
        on_gitlab("/repository/commits/${sha}", "CommitSchema", repositories._ID, ci._ID),
        on_gitlab("/repository/tags/${tagName}", "TagSchema", repositories._TAG, ci._TAG),
        on_gitlab(
            "/pipelines",
            "PipelineSchema[]",
            repositories._PIPELINES,
            ci._PIPELINES,
            query="AllPipelinesOptions & { perPage: number; page: number }",
        ),
        on_gitlab(
            "/pipelines/${pipelineId}/jobs",
            "JobSchema[]",
            repositories._JOBS,
            ci._JOBS,
            query=OF_JOBS,
        ),
        on_gitlab("/pipelines/${pipelineId}/bridges", "BridgeSchema[]", ci._JOBS, query=OF_JOBS),
    ),
    parameter=to_camel,
)
VENDORS: Final = {
    "web": VERCEL, "data": SUPABASE, "api": RENDER, "github": GITHUB, "gitlab": GITLAB,
}  # fmt: skip
"""By the name of the platform in the configuration of the tests."""


@dataclass(frozen=True)
class Sent:
    """A request that was sent.

    Attributes:
        path: without the prefix.
        query: its parameters; those that come several times as a list.
        answer: what was answered with 200; None otherwise.
    """

    path: str
    query: dict[str, Any]
    answer: object


def sent_to(world: World, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sent]:
    """Every request of our clients."""
    answers: list[Answer] = []
    ask = Client._ask

    def asked(client: Client, url: str) -> Answer:
        answers.append(ask(client, url))
        return answers[-1]

    monkeypatch.setattr(Client, "_ask", asked)
    for path, answer in MORE.items():
        monkeypatch.setitem(world.served.answers, path, answer)
    vendor = VENDORS[name]
    vendor.ask(world.config().platforms[name])
    for one in answers:
        url = urlsplit(one.url)
        assert url.path.startswith(vendor.prefix)
        query = {vendor.parameter(key): value for key, value in _query(url.query).items()}
        found = json.loads(one.body) if one.status == 200 else None
        yield Sent(url.path.removeprefix(vendor.prefix), query, found)


def _query(text: str) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for key, value in parse_qsl(text):
        found.setdefault(key, []).append(int(value) if value.isdigit() else value)
    return {key: values if len(values) > 1 else values[0] for key, values in found.items()}


class Levers:
    """Notes which answers of our replacement a fault changes."""

    def __init__(self) -> None:
        self.changed: dict[str, Any] = {}

    @property
    def levers(self) -> Self:
        """Itself: a fault pulls the levers of a system."""
        return self

    def server_fault(self, _: str, **broken: Any) -> AbstractContextManager[None]:
        """Nothing is broken."""
        self.changed = broken.get("changes", {})
        return nullcontext()


def broken(world: World, prefix: str) -> Iterator[Sent]:
    """What our replacement answers while a fault lasts."""
    for fault in faults_of(suite("platforms.faults")):
        levers = Levers()
        with fault.apply(levers):
            for path, change in levers.changed.items():
                if path.startswith(prefix) and change is not None:
                    answer = patched(world.served.answers.get(path), change)
                    yield Sent(path.removeprefix(prefix), {}, answer)


def program(vendor: Vendor, sent: list[Sent], package: Path) -> str:
    """What must compile: each call, and what is made of it."""
    lines = [HELPERS, vendor.types(package)]
    for number, call in enumerate(vendor.calls):
        lines += [f"// {call.path}", f"type Answer{number} = {call.answer};"]
        for adapter in call.reads:
            lines += read(adapter, call.but_required, f"Answer{number}")
        for one in sent:
            if call.is_path(one.path):
                lines += exchanged(one, f"Partial<NonNullable<{call.query}>>", f"Answer{number}")
    return "\n".join(lines).replace('"@/', f'"{package}/')


def read(adapter: TypeAdapter[Any], but_required: tuple[str, ...], answer: str) -> Iterator[str]:
    """That our client accepts the answer, and that each key that it reads exists."""
    accepted = Accepted(adapter, but_required)
    yield f"((got: {answer}): {accepted} => got);"
    for way in accepted:
        found = answer
        for key in way:
            found = f'At<{found}, "{key}">'
        yield f'"a key" satisfies Found<{found}>;'


def exchanged(one: Sent, query: str, answer: str) -> Iterator[str]:
    """That the parameters exist, and the answer is one of the vendor's."""
    if one.query:
        yield f"({json.dumps(one.query)}) satisfies {query};"
    if one.answer is not None:
        yield f"({json.dumps(one.answer)}) satisfies Part<{answer}>;"


@pytest.mark.contract
@pytest.mark.parametrize("name", VENDORS)
def test_what_we_ask_and_read_is_described(
    name: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = VENDORS[name]
    try:
        package, command = vendor.of(*vendor.package), compiler()
    except AbsentError as problem:
        skip(problem)
    sent = [*sent_to(world, name, monkeypatch), *broken(world, vendor.prefix)]
    for one in sent:
        assert any(call.is_path(one.path) for call in vendor.calls), one.path
    for call in vendor.calls:
        assert any(call.is_path(one.path) for one in sent), call.path
        assert call.path in (package / call.file).read_text(encoding="utf-8")
    if mistakes := told(command, program(vendor, sent, package), tmp_path):
        pytest.fail(mistakes, pytrace=False)
