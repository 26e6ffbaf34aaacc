"""The jobs of a commit, as the APIs of GitHub and GitLab list them, and what else may answer."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pytest

from readiness.areas.configuration.config import Ci
from readiness.areas.configuration.probes.ci import jobs_of, matches
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, Unreachable
from readiness.model.evidence import Evidence, Outcome
from readiness.model.secrets import Secret
from tests.support.monitored_service import misses, suite
from tests.support.small_servers import Reply, Route, SmallServer

SHA = "c41e8ab0d1f4f2f7b1a3c5d7e9f1a3b5c7d9e1f3"
OTHER = "9f2d1c70d1f4f2f7b1a3c5d7e9f1a3b5c7d9e1f3"
TOKEN = "a-token-that-nobody-may-see-4711"
COMMITS = "/repos/acme/shop/commits"
RUNS = f"{COMMITS}/{SHA}/check-runs?filter=latest&per_page=100"
STATUS = f"{COMMITS}/{SHA}/status?per_page=100"
PROJECT = f"/projects/{quote('acme/shop', safe='')}"
PIPELINES = f"{PROJECT}/pipelines?sha={SHA}&order_by=id&sort=desc&per_page=100"


def run(name: str, conclusion: str | None = "success", sha: str = SHA) -> dict[str, Any]:
    status = "completed" if conclusion else "in_progress"
    return {"name": name, "head_sha": sha, "status": status, "conclusion": conclusion}


def runs(*found: Mapping[str, Any], total: int | None = None, **headers: str) -> Reply:
    count = len(found) if total is None else total
    return Reply(json.dumps({"total_count": count, "check_runs": found}), headers=headers)


def statuses(*found: tuple[str, str]) -> Reply:
    listed = [{"context": context, "state": state} for context, state in found]
    return Reply(json.dumps({"sha": SHA, "total_count": len(listed), "statuses": listed}))


@pytest.fixture
def github() -> Iterator[SmallServer]:
    routes: dict[str, Route] = {
        f"{COMMITS}/{SHA}": Reply(json.dumps({"sha": SHA})),
        f"{COMMITS}/tags/v1.5.0": Reply(json.dumps({"sha": SHA})),
        STATUS: statuses(),
    }
    with SmallServer(routes) as server:
        server.otherwise = Reply('{"message": "Not Found"}', 404)
        yield server


@pytest.fixture
def gitlab() -> Iterator[SmallServer]:
    routes: dict[str, Route] = {
        f"{PROJECT}/repository/commits/{SHA}": Reply(json.dumps({"id": SHA})),
        f"{PROJECT}/repository/tags/v1.5.0": Reply(json.dumps({"commit": {"id": SHA}})),
    }
    with SmallServer(routes) as server:
        server.otherwise = Reply('{"message": "404 Not Found"}', 404)
        yield server


def pipelines(server: SmallServer, *found: Mapping[str, str], sha: str = SHA) -> None:
    """The pipelines of the commit, newest first: the status of each job."""
    numbers = range(len(found), 0, -1)
    listed = [{"id": number, "sha": sha} for number in numbers]
    server.routes[PIPELINES] = Reply(json.dumps(listed))
    for number, jobs in zip(numbers, found, strict=True):
        shown = [{"name": name, "status": status} for name, status in jobs.items()]
        for kind, content in (("jobs", shown), ("bridges", [])):
            path = f"{PROJECT}/pipelines/{number}/{kind}?per_page=100"
            server.routes[path] = Reply(json.dumps(content))


def settings(server: SmallServer, provider: str = "github", **changes: object) -> Ci:
    described = {
        "provider": provider,
        "url": server.url,
        "repository": "acme/shop",
        "token": Secret(TOKEN),
        "commit": SHA,
        "required": ["test", "lint"],
    }
    return Ci.model_validate(described | changes)


def judged(server: SmallServer, provider: str = "github", **changes: object) -> Evidence:
    evidence = Evidence()
    suite("configuration.test_ci").test_ci(settings(server, provider, **changes), evidence)
    assert TOKEN not in repr(evidence)
    return evidence


def keys(evidence: Evidence) -> set[str]:
    return {one.key for one in evidence.measurements if one.is_missed}


def test_all_required_jobs_succeeded(github: SmallServer) -> None:
    github.routes[RUNS] = runs(run("test"), run("lint"), run("docs", "skipped"))
    evidence = judged(github)
    assert evidence.conclude() is Outcome.PASS
    assert github.requests[0][2]["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("commit", ["v1.5.0", SHA, SHA.upper()])
def test_a_tag_and_a_hash_name_the_commit(github: SmallServer, commit: str) -> None:
    github.routes[f"{COMMITS}/{commit}"] = Reply(json.dumps({"sha": SHA}))
    github.routes[RUNS] = runs(run("test"), run("lint"))
    assert misses(judged(github, commit=commit)) == ""


def test_a_branch_is_not_a_commit(github: SmallServer) -> None:
    """The branch `deadbeef` exists, and GitHub shows its newest commit."""
    github.routes[f"{COMMITS}/deadbeef"] = Reply(json.dumps({"sha": SHA}))
    for commit in ("main", "deadbeef"):
        with pytest.raises(NoData, match=f"no commit or tag '{commit}'"):
            judged(github, commit=commit)


@pytest.mark.parametrize("conclusion", ["skipped", "neutral"])
def test_m7_a_job_that_was_skipped_is_no_success(github: SmallServer, conclusion: str) -> None:
    github.routes[RUNS] = runs(run("test", conclusion), run("lint"))
    evidence = judged(github)
    assert keys(evidence) == {"ran"}
    assert f"test ({conclusion})" in misses(evidence)


def test_skipped_for_one_event_and_run_for_another_has_run(github: SmallServer) -> None:
    github.routes[RUNS] = runs(run("test", "skipped"), run("test"), run("lint"))
    assert misses(judged(github)) == ""


@pytest.mark.parametrize(
    "conclusion", ["failure", "cancelled", "timed_out", "action_required", "stale", "brand_new"]
)
def test_anything_but_a_success_fails(github: SmallServer, conclusion: str) -> None:
    github.routes[RUNS] = runs(run("test", conclusion), run("test"), run("lint"))
    evidence = judged(github)
    assert keys(evidence) == {"succeeded"}
    assert f"test ({conclusion})" in misses(evidence)


def test_a_missing_job_and_one_of_another_commit_are_not_listed(github: SmallServer) -> None:
    github.routes[RUNS] = runs(run("test", sha=OTHER), run("lint-old"))
    evidence = judged(github)
    assert keys(evidence) == {"listed"}
    assert "test (it ran for commit 9f2d1c70d1f4); lint" in misses(evidence)


def test_a_job_that_has_not_ended_is_an_error(github: SmallServer) -> None:
    github.routes[RUNS] = runs(run("test", None), run("lint"))
    evidence = judged(github)
    with pytest.raises(NoData, match=r"1 required jobs have not ended: test \(in_progress\)"):
        evidence.conclude()


def test_a_failure_outranks_a_job_that_has_not_ended(github: SmallServer) -> None:
    github.routes[RUNS] = runs(run("test", None), run("lint", "failure"))
    assert keys(judged(github)) == {"succeeded"}


def test_other_jobs_that_failed_only_warn(github: SmallServer) -> None:
    github.routes[RUNS] = runs(run("test"), run("lint"), run("nightly", "failure"))
    evidence = judged(github)
    assert evidence.conclude() is Outcome.WARN
    assert "nightly (failure)" in evidence.warnings[0]


def test_a_matrix_counts_whole(github: SmallServer) -> None:
    github.routes[RUNS] = runs(run("test (a, [b])"), run("test (c)", "skipped"), run("lint"))
    assert "test (c) (skipped)" in misses(judged(github, required=["test (*)", "lint"]))


def test_names_match_as_they_are_written() -> None:
    assert matches("test (*)", "test (3.11, [linux])")
    assert matches("build [x]", "build [x]")
    assert not matches("build [x]", "build x")
    assert not matches("test", "test (3.11)")


def test_statuses_of_other_services_count(github: SmallServer) -> None:
    github.routes[RUNS] = runs(run("lint"))
    github.routes[STATUS] = statuses(("test", "success"))
    assert misses(judged(github)) == ""
    github.routes[STATUS] = statuses(("test", "error"))
    assert keys(judged(github)) == {"succeeded"}
    github.routes[STATUS] = statuses(("test", "pending"))
    with pytest.raises(NoData, match="have not ended"):
        judged(github).conclude()


def test_statuses_are_not_read_where_no_job_needs_them(github: SmallServer) -> None:
    """They need a permission of their own."""
    github.routes[RUNS] = runs(run("test"), run("lint"))
    github.routes[STATUS] = Reply("{}", 403)
    assert misses(judged(github)) == ""


def test_every_page_is_read(github: SmallServer) -> None:
    second = f"{RUNS}&page=2"
    link = f'<{github.url}{RUNS}&page=1>; rel="prev", <{github.url}{second}>; rel="next"'
    github.routes[RUNS] = runs(run("test"), total=2, Link=link)
    github.routes[second] = runs(run("lint"), total=2)
    assert misses(judged(github)) == ""


def test_pages_without_an_end_are_an_error(github: SmallServer) -> None:
    github.routes[RUNS] = runs(run("test"), Link=f'<{github.url}{RUNS}>; rel="next"')
    with pytest.raises(NoData, match="does not end: page 2 is one that was read before"):
        judged(github)


def test_ever_new_pages_are_an_error(github: SmallServer) -> None:
    pages: list[int] = []

    def page() -> Reply:
        pages.append(1)
        return runs(run("test"), Link=f'<{github.url}{RUNS}&page={len(pages) + 1}>; rel="next"')

    for number in range(60):
        github.routes[RUNS if not number else f"{RUNS}&page={number + 1}"] = page
    with pytest.raises(NoData, match="page 51 is one too many"):
        judged(github)
    assert len(pages) == 50


def test_the_token_goes_to_no_other_host(github: SmallServer) -> None:
    with SmallServer({}) as other:
        github.routes[RUNS] = runs(run("test"), Link=f'<{other.url}{RUNS}>; rel="next"')
        with pytest.raises(NoData, match="the next page is at another host"):
            judged(github)
        assert other.requests == []


def test_a_list_that_a_proxy_cut_off_is_an_error(github: SmallServer) -> None:
    github.routes[RUNS] = runs(run("test"), run("lint"), total=140)
    with pytest.raises(NoData, match="not complete: 2 of 140 were listed"):
        judged(github)


LIMITED: list[tuple[Reply, type[CouldNotMeasure], str]] = [
    (Reply('{"message": "Bad credentials"}', 401), NotPermitted, "token is not valid"),
    (Reply('{"message": "Resource not accessible"}', 403), NotPermitted, "lacks a permission"),
    (
        Reply("{}", 403, headers={"Retry-After": "60"}),
        CouldNotMeasure,
        "too many requests, again allowed after 60 s",
    ),
    (
        Reply("{}", 403, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1796000000"}),
        CouldNotMeasure,
        "again allowed from 2026-11-30 00:53:20 UTC",
    ),
    (Reply("slow down", 429, "text/plain"), CouldNotMeasure, "answered 429: too many requests"),
    (Reply("<html>Bad gateway", 502, "text/html"), CouldNotMeasure, "502: the API is down"),
    (Reply("{}", 500), CouldNotMeasure, "500: the API is down or overloaded"),
    (Reply("<html>Sign in", 200, "text/html"), NoData, "with text/html instead of JSON"),
    (Reply("", 302, headers={"Location": "/login"}), NoData, "redirects to /login"),
    (Reply("", 301, headers={"Location": "/repositories/7"}), NoData, "redirects"),
    (Reply("[]"), NoData, "unexpected answer"),
    (Reply('{"total_count": 1, "check_runs": [{"name": 7}]}'), NoData, "unexpected answer"),
    (Reply("null"), NoData, "unexpected answer"),
    (Reply('{"message": "Not Found"}', 404), NoData, "does not exist there, or the token cannot"),
    (Reply("{}", 418), NoData, "answered 418"),
]


@pytest.mark.parametrize("place", [f"{COMMITS}/{SHA}", RUNS])
@pytest.mark.parametrize(("reply", "kind", "words"), LIMITED)
def test_whatever_else_answers_is_one_error(
    github: SmallServer, place: str, reply: Reply, kind: type[CouldNotMeasure], words: str
) -> None:
    github.routes[place] = reply
    if place != RUNS and reply.status == 404:
        words = "has no commit or tag"
    with pytest.raises(kind, match=words) as caught:
        judged(github)
    assert type(caught.value) is kind
    assert caught.value.remedy
    assert TOKEN not in str(caught.value)


def test_without_a_token_it_is_said_to_be_missing(github: SmallServer) -> None:
    github.routes[RUNS] = Reply("{}", 401)
    with pytest.raises(NotPermitted, match="the token is missing"):
        jobs_of(settings(github, token=None))


def test_nobody_answers(github: SmallServer) -> None:
    with pytest.raises(Unreachable):
        judged(github, url="http://127.0.0.1:1")


def test_gitlab_all_succeeded(gitlab: SmallServer) -> None:
    pipelines(gitlab, {"test": "success", "lint": "success", "docs": "manual"})
    assert judged(gitlab, "gitlab").conclude() is Outcome.PASS
    assert misses(judged(gitlab, "gitlab", commit="v1.5.0")) == ""


@pytest.mark.parametrize(
    ("status", "key"),
    [
        ("skipped", "ran"),
        ("manual", "ran"),
        ("failed", "succeeded"),
        ("canceled", "succeeded"),
    ],
)
def test_gitlab_only_success_counts(gitlab: SmallServer, status: str, key: str) -> None:
    pipelines(gitlab, {"test": status, "lint": "success"})
    assert keys(judged(gitlab, "gitlab")) == {key}


@pytest.mark.parametrize("status", ["created", "running", "pending", "scheduled"])
def test_gitlab_a_job_that_waits_is_an_error(gitlab: SmallServer, status: str) -> None:
    pipelines(gitlab, {"test": status, "lint": "success"})
    with pytest.raises(NoData, match="have not ended"):
        judged(gitlab, "gitlab").conclude()


def test_gitlab_the_newest_run_of_a_job_decides(gitlab: SmallServer) -> None:
    pipelines(gitlab, {"test": "success"}, {"test": "failed", "lint": "success"})
    assert misses(judged(gitlab, "gitlab")) == ""
    pipelines(gitlab, {"test": "failed"}, {"test": "success", "lint": "success"})
    assert keys(judged(gitlab, "gitlab")) == {"succeeded"}
    # A nightly pipeline leaves it out.
    pipelines(gitlab, {"test": "skipped"}, {"test": "success", "lint": "success"})
    assert misses(judged(gitlab, "gitlab")) == ""


def test_gitlab_without_a_pipeline_nothing_is_listed(gitlab: SmallServer) -> None:
    gitlab.routes[PIPELINES] = Reply("[]")
    assert keys(judged(gitlab, "gitlab")) == {"listed"}
    pipelines(gitlab, {"test": "success", "lint": "success"}, sha=OTHER)
    assert keys(judged(gitlab, "gitlab")) == {"listed"}


def test_gitlab_a_trigger_job_counts(gitlab: SmallServer) -> None:
    pipelines(gitlab, {"test": "success"})
    path = f"{PROJECT}/pipelines/1/bridges?per_page=100"
    gitlab.routes[path] = Reply('[{"name": "lint", "status": "success"}]')
    assert misses(judged(gitlab, "gitlab")) == ""


def test_gitlab_a_full_page_without_a_next_one_is_an_error(gitlab: SmallServer) -> None:
    pipelines(gitlab, {f"job {n}": "success" for n in range(100)})
    with pytest.raises(NoData, match="not complete"):
        judged(gitlab, "gitlab")


def test_gitlab_a_full_last_page_is_whole(gitlab: SmallServer) -> None:
    jobs = {f"job {n}": "success" for n in range(98)} | {"test": "success", "lint": "success"}
    pipelines(gitlab, jobs)
    path = f"{PROJECT}/pipelines/1/jobs?per_page=100"
    shown = gitlab.routes[path]
    assert isinstance(shown, Reply)
    gitlab.routes[path] = Reply(shown.body, headers={"X-Next-Page": ""})
    assert misses(judged(gitlab, "gitlab")) == ""
