"""A replacement for Vercel, Render, Supabase, GitHub and GitLab: one system on all of them.

Run as a module with PORT and RELEASE, and with its token in the environment. Its answers have the
fields that the vendors' descriptions name (vercel.com/docs/rest-api, api-docs.render.com,
api.supabase.com/api/v1, github.com/github/rest-api-description, docs.gitlab.com/api), as far as a
client needs them; `tests/platforms/test_published_descriptions.py` compares them. Lists come in
pages of at most two. `POST /_ctl` sets a fault: see `Fault`.
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from readiness.servers.fleet.releases import OLD
from readiness.servers.small_server import body_of, is_bearer, refused, serve

TOKEN: Final = "REFERENCE_PLATFORMS_TOKEN"  # noqa: S105 - the name of a variable
DOMAIN: Final = "shop.example.com"
PROJECT: Final = "prj_shop"
SERVICE: Final = "srv-orders"
REF: Final = "abcdefghijklmnopqrst"
REPOSITORY: Final = "shop/orders"
GROUP: Final = "shop%2Forders"
GATE: Final = "readiness"
_MOST: Final = 2
_KEPT: Final = 20


def commit_of(release: str) -> str:
    """The full hash of the commit that a release was made from."""
    return hashlib.sha1(release.encode(), usedforsecurity=False).hexdigest()


class Fault(BaseModel):
    """Its fault.

    Attributes:
        changes: for a path, what its answer has instead, as a JSON merge patch (RFC 7396); null for
            an answer that does not exist.
        failing: the beginning of the paths that answer with `status` alone.
        status: that status; 200 answers with a page of HTML.
        retry_after: the header of these answers, if any.
        endless: whether each page of a list names itself as the next.
        loses: whether transactions are lost after they entered.
        echoes: whether the last place of a transaction shows whatever it is asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    changes: dict[str, Any] = {}
    failing: str = ""
    status: int = 503
    retry_after: str = ""
    endless: bool = False
    loses: bool = False
    echoes: bool = False


def answers(release: str) -> dict[str, Any]:
    """What each path answers while nothing is wrong."""
    now = datetime.now(UTC)
    then = now - timedelta(hours=2)
    old, sha = now - timedelta(days=9), commit_of(release)
    return {
        **_vercel(sha, then),
        **_render(sha, then, old),
        **_supabase(now - timedelta(hours=5)),
        **_github(release, sha),
        **_gitlab(release, sha),
    }


def _vercel(sha: str, then: datetime) -> dict[str, Any]:
    ms = int(then.timestamp() * 1000)
    return {
        f"/vercel/v9/projects/{PROJECT}": {"id": PROJECT, "name": "shop", "accountId": "team_1"},
        f"/vercel/v4/aliases/{DOMAIN}": {
            "uid": "2WjyKQmM8ZnGcJsPWMrHRHrE",
            "alias": DOMAIN,
            "created": then.isoformat(),
            "createdAt": ms,
            "updatedAt": ms,
            "deploymentId": "dpl_new",
            "projectId": PROJECT,
        },
        "/vercel/v13/deployments/dpl_new": _deployment("dpl_new", sha, ms, "production"),
        "/vercel/v13/deployments/dpl_old": _deployment(
            "dpl_old", commit_of(OLD), ms - 86_400_000, "production"
        ),
        "/vercel/v1/drains": {
            "drains": [
                {
                    "id": "drn_1",
                    "name": "logs",
                    "createdAt": ms,
                    "updatedAt": ms,
                    "ownerId": "team_1",
                    "status": "enabled",
                    "projectIds": [PROJECT],
                    "schemas": {"log": {}, "trace": {}},
                    "filterV2": {
                        "version": "v2",
                        "filter": {
                            "type": "basic",
                            "project": {"ids": [PROJECT]},
                            "deployment": {"environments": ["production"]},
                        },
                    },
                    "delivery": {"type": "http", "endpoint": "https://logs.example.com"},
                    "source": {"kind": "self-served"},
                }
            ]
        },
    }


def _deployment(name: str, sha: str, ms: int, target: str | None) -> dict[str, Any]:
    return {
        "id": name,
        "name": "shop",
        "url": f"shop-{name[4:]}.vercel.app",
        "projectId": PROJECT,
        "target": target,
        "readyState": "READY",
        "readySubstate": "PROMOTED",
        "aliasAssigned": True,
        "alias": [DOMAIN],
        "createdAt": ms,
        "ready": ms,
        "meta": {"githubCommitSha": sha, "githubCommitRef": "main"},
        "gitSource": {"type": "github", "ref": "main", "sha": sha},
    }


def _render(sha: str, then: datetime, old: datetime) -> dict[str, Any]:
    owner = "tea-shop"
    service = f"/render/v1/services/{SERVICE}"
    return {
        service: {
            "id": SERVICE,
            "name": "orders",
            "ownerId": owner,
            "type": "web_service",
            "autoDeploy": "yes",
            "suspended": "not_suspended",
            "suspenders": [],
            "createdAt": old.isoformat(),
            "updatedAt": then.isoformat(),
            "serviceDetails": {
                "healthCheckPath": "/health/ready",
                "numInstances": 2,
                "autoscaling": {
                    "enabled": True,
                    "min": 2,
                    "max": 6,
                    "criteria": {"cpu": {"enabled": True, "percentage": 70}},
                },
                "plan": "standard",
                "region": "frankfurt",
                "runtime": "docker",
            },
        },
        # The newest deploys failed; the live one is on the second page.
        f"{service}/deploys": [
            _deploy("dep-5", commit_of("later"), "build_failed", then),
            _deploy("dep-4", commit_of("later"), "canceled", then),
            _deploy("dep-3", sha, "live", then),
            _deploy("dep-2", commit_of(OLD), "deactivated", old),
        ],
        f"/render/v1/logs/streams/owner/{owner}": {
            "ownerId": owner,
            "endpoint": "logs.example.com:6514",
            "preview": "drop",
        },
        f"/render/v1/metrics-stream/{owner}": {
            "ownerId": owner,
            "provider": "GRAFANA",
            "url": "https://metrics.example.com",
        },
    }


def _deploy(name: str, sha: str, status: str, at: datetime) -> dict[str, Any]:
    return {
        "cursor": f"cursor-{name}",
        "deploy": {
            "id": name,
            "commit": {"id": sha, "message": "Release", "createdAt": at.isoformat()},
            "status": status,
            "trigger": "new_commit",
            "createdAt": at.isoformat(),
            "finishedAt": at.isoformat(),
        },
    }


def _supabase(saved: datetime) -> dict[str, Any]:
    project = f"/supabase/v1/projects/{REF}"
    return {
        project: {
            "ref": REF,
            "name": "shop",
            "organization_slug": "shop",
            "region": "eu-central-1",
            "status": "ACTIVE_HEALTHY",
            "database": {"version": "15.8.1.079", "postgres_engine": "15"},
        },
        f"{project}/health": [
            {"name": name, "healthy": True, "status": "ACTIVE_HEALTHY"}
            for name in ("auth", "db", "rest", "storage")
        ],
        f"{project}/advisors/security": {
            "lints": [
                _lint("security_definer_view", "ERROR", "orders_view"),
                _lint("auth_leaked_password_protection", "WARN", "auth"),
            ]
        },
        f"{project}/advisors/performance": {"lints": [_lint("unused_index", "INFO", "orders")]},
        f"{project}/database/backups": {
            "region": "eu-central-1",
            "walg_enabled": True,
            "pitr_enabled": True,
            "backups": [
                {
                    "is_physical_backup": True,
                    "status": "COMPLETED",
                    "inserted_at": saved.isoformat(),
                }
            ],
            "physical_backup_data": {},
        },
    }


def _lint(name: str, level: str, about: str) -> dict[str, Any]:
    return {
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "level": level,
        "facing": "EXTERNAL",
        "categories": ["SECURITY"],
        "description": "",
        "detail": f"about {about}",
        "remediation": "https://supabase.com/docs/guides/database/database-linter",
        "metadata": {"schema": "public", "name": about, "type": "table"},
        "cache_key": f"{name}_{about}",
    }


def _github(release: str, sha: str) -> dict[str, Any]:
    repository = f"/github/repos/{REPOSITORY}"
    return {
        repository: {"full_name": REPOSITORY, "default_branch": "main"},
        f"{repository}/branches/main": {
            "name": "main",
            "commit": {"sha": sha},
            "protected": True,
            "protection": {"enabled": False},
        },
        f"{repository}/rules/branches/main": [
            _rule("deletion"),
            _rule("non_fast_forward"),
            _rule(
                "required_status_checks",
                strict_required_status_checks_policy=True,
                required_status_checks=[{"context": "lint"}, {"context": GATE}],
            ),
        ],
        f"{repository}/commits/tags/v{release}": {"sha": sha, "parents": []},
        f"{repository}/commits/tags/v{OLD}": {"sha": commit_of(OLD), "parents": []},
    }


def _rule(kind: str, **parameters: object) -> dict[str, Any]:
    rule: dict[str, Any] = {"type": kind, "ruleset_source_type": "Repository", "ruleset_id": 42}
    return rule | ({"parameters": parameters} if parameters else {})


def _gitlab(release: str, sha: str) -> dict[str, Any]:
    project = f"/gitlab/api/v4/projects/{GROUP}"
    return {
        project: {
            "id": 5,
            "path_with_namespace": REPOSITORY,
            "default_branch": "main",
            "only_allow_merge_if_pipeline_succeeds": True,
            "allow_merge_on_skipped_pipeline": False,
        },
        f"{project}/repository/branches/main": {
            "name": "main",
            "protected": True,
            "default": True,
            "developers_can_push": False,
            "developers_can_merge": True,
        },
        f"{project}/pipelines": [{"id": 47, "sha": sha, "source": "merge_request_event"}],
        f"{project}/pipelines/47/jobs": [
            {"id": number, "name": name, "status": "success", "allow_failure": False}
            for number, name in enumerate(("lint", "test", "build", GATE))
        ],
        f"{project}/repository/tags/v{release}": {"commit": {"id": sha}},
    }


def patched(value: Any, patch: Any) -> Any:
    """The value after a JSON merge patch."""
    if not isinstance(patch, Mapping):
        return patch
    base = dict(value) if isinstance(value, Mapping) else {}
    for key, change in patch.items():
        if change is None:
            base.pop(key, None)
        else:
            base[key] = patched(base.get(key), change)
    return base


class Platforms:
    """The answers, the transactions that arrived, and the current fault.

    Attributes:
        answers: by path, what is answered while nothing is wrong.
        fault: what is wrong now.
    """

    def __init__(self, token: str, release: str) -> None:
        self._token = token
        self.answers = answers(release)
        self.fault = Fault()
        self._arrived: list[str] = []

    async def answer(self, request: Request) -> Response:
        """Answer as one of the vendors, in pages if it is a list."""
        path = request.scope["raw_path"].decode()
        if not is_bearer(request, self._token):
            return refused("Unauthorized")
        fault = self.fault
        if fault.failing and path.startswith(fault.failing):
            return _failing(fault)
        found = self.answers.get(path)
        if path in fault.changes:
            found = patched(found, fault.changes[path])
        if found is None:
            return JSONResponse({"message": "Not Found"}, 404)
        return self._page(request, path, found) if isinstance(found, list) else JSONResponse(found)

    async def enter(self, request: Request) -> Response:
        """Take a transaction, which goes on to the last platform."""
        if self.fault.failing == request.url.path:
            return _failing(self.fault)
        if not self.fault.loses:
            self._arrived = [*self._arrived[-_KEPT:], request.query_params["id"]]
        return JSONResponse({"accepted": True}, 202)

    async def arrived(self, request: Request) -> Response:
        """Show the transactions that arrived."""
        extra = [request.query_params["id"]] if self.fault.echoes else []
        return JSONResponse([{"id": one} for one in (*self._arrived, *extra)])

    async def control(self, request: Request) -> Response:
        """Show or set the fault."""
        if request.method == "POST":
            self.fault = Fault.model_validate_json(await body_of(request))
        return JSONResponse(self.fault.model_dump())

    def _page(self, request: Request, path: str, found: list[Any]) -> Response:
        """Render goes on at a cursor; GitHub and GitLab link to the next page."""
        query = request.query_params
        if path.startswith("/render"):
            cursors = [entry["cursor"] for entry in found]
            known = query.get("cursor") in cursors and not self.fault.endless
            start = cursors.index(query["cursor"]) + 1 if known else 0
            return JSONResponse(found[start : start + _MOST])
        if path.startswith("/supabase"):
            return JSONResponse(found)
        page, size = int(query.get("page", 1)), min(_MOST, int(query.get("per_page", _MOST)))
        more = self.fault.endless or page * size < len(found)
        following = page if self.fault.endless else page + 1
        url = request.url.replace(path=path).include_query_params(page=following)
        headers = {"link": f'<{url}>; rel="next"'} if more else {"x-next-page": ""}
        return JSONResponse(found[(page - 1) * size : page * size], headers=headers)


def _failing(fault: Fault) -> Response:
    headers = {"retry-after": fault.retry_after} if fault.retry_after else {}
    if fault.status == 200:  # noqa: PLR2004
        return Response("<html>Sign in", media_type="text/html", headers=headers)
    return JSONResponse({"message": "configured fault"}, fault.status, headers)


def routes_of(platforms: Platforms) -> list[Route]:
    """What it answers."""
    return [
        Route("/_ctl", platforms.control, methods=["GET", "POST"]),
        Route("/shop/probe", platforms.enter),
        Route("/data/probes", platforms.arrived),
        Route("/{path:path}", platforms.answer),
    ]


def main(port: int, release: str) -> None:
    """Serve until SIGTERM or SIGINT."""
    asyncio.run(serve(routes_of(Platforms(os.environ[TOKEN], release)), port))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
