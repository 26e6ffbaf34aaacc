"""A replacement for GitHub: the commits of a repository, and the check runs of each.

Run as a module with PORT, and with its token in the environment. It answers as GitHub's description
of its REST API says (github.com/github/rest-api-description: "repos/get-commit",
"checks/list-for-ref", "repos/get-combined-status-for-ref"), in pages of at most two, so that a
client must follow them. `POST /_ctl {"conclusions": {"lint": "skipped"}}` sets a fault.
"""

import asyncio
import hashlib
import os
import sys
from typing import Final

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from readiness.servers.fleet.releases import NEW, OLD
from readiness.servers.small_server import body_of, is_bearer, refused, serve

TOKEN: Final = "REFERENCE_CI_TOKEN"  # noqa: S105 - the name of a variable
REPOSITORY: Final = "shop/orders"
JOBS: Final = ("lint", "test (3.11)", "test (3.12)", "build", "benchmark")
_MOST: Final = 2


def commit_of(release: str) -> str:
    """The full hash of the commit that a release was made from."""
    return hashlib.sha1(release.encode(), usedforsecurity=False).hexdigest()


class Fault(BaseModel):
    """Its fault.

    Attributes:
        conclusions: of jobs that did not succeed; empty for one that still runs.
        missing: the jobs that are not listed.
        other_commit: whether the check runs are of another commit.
        status: of all answers.
        endless: whether each page names itself as the next.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    conclusions: dict[str, str] = {}
    missing: list[str] = []
    other_commit: bool = False
    status: int = 200
    endless: bool = False


class Repository:
    """The commits, and the current fault."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._fault = Fault()
        self._commits = {f"v{release}": commit_of(release) for release in (OLD, NEW)}

    async def commit(self, request: Request) -> Response:
        """Show a commit, by its hash or as `tags/NAME`."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        ref = request.path_params["ref"]
        found = self._commits.get(ref.removeprefix("tags/")) if "/" in ref else self._hashed(ref)
        if not found:
            return JSONResponse({"message": f"No commit found for SHA: {ref}"}, 422)
        return JSONResponse({"sha": found, "commit": {"message": "Release"}, "parents": []})

    async def runs(self, request: Request) -> Response:
        """List the check runs of a commit."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        commit = self._hashed(request.path_params["ref"])
        listed = [job for job in JOBS if job not in self._fault.missing] if commit else []
        page = int(request.query_params.get("page", 1))
        size = min(_MOST, int(request.query_params.get("per_page", _MOST)))
        shown = listed[(page - 1) * size : page * size]
        runs = [self._run(JOBS.index(job) + 1, job, commit) for job in shown]
        following = page if self._fault.endless else page + 1
        there_is_more = self._fault.endless or page * size < len(listed)
        url = request.url.include_query_params(page=following)
        headers = {"link": f'<{url}>; rel="next"'} if there_is_more else {}
        return JSONResponse({"total_count": len(listed), "check_runs": runs}, headers=headers)

    async def statuses(self, request: Request) -> Response:
        """Show the combined status: nothing reports statuses."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        commit = self._hashed(request.path_params["ref"])
        return JSONResponse({"state": "pending", "sha": commit, "total_count": 0, "statuses": []})

    async def control(self, request: Request) -> Response:
        """Show or set the fault."""
        if request.method == "POST":
            self._fault = Fault.model_validate_json(await body_of(request))
        return JSONResponse(self._fault.model_dump())

    def _refusal(self, request: Request) -> Response | None:
        if not is_bearer(request, self._token):
            return refused("Bad credentials")
        if self._fault.status != 200:  # noqa: PLR2004
            return JSONResponse({"message": "configured fault"}, self._fault.status)
        return None

    def _hashed(self, ref: str) -> str:
        return next((found for found in self._commits.values() if found.startswith(ref)), "")

    def _run(self, number: int, job: str, commit: str) -> dict[str, object]:
        conclusion = self._fault.conclusions.get(job, "success")
        return {
            "id": number,
            "name": job,
            "head_sha": commit_of("other") if self._fault.other_commit else commit,
            "status": "completed" if conclusion else "in_progress",
            "conclusion": conclusion or None,
        }


def main(port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    repository = Repository(os.environ[TOKEN])
    commits = f"/repos/{REPOSITORY}/commits/{{ref:path}}"
    routes = [
        Route(f"{commits}/check-runs", repository.runs),
        Route(f"{commits}/status", repository.statuses),
        Route(commits, repository.commit),
        Route("/_ctl", repository.control, methods=["GET", "POST"]),
    ]
    asyncio.run(serve(routes, port))


if __name__ == "__main__":
    main(int(sys.argv[1]))
