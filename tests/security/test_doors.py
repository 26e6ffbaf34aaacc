"""Pages and jobs that need credentials."""

from collections.abc import Callable

import pytest

from readiness.model.errors import CouldNotMeasure, NoData, Unreachable
from readiness.model.secrets import Secret
from tests.support.edges import Front, judged
from tests.support.small_servers import Reply

pytestmark = pytest.mark.contract

TOKEN = "the-right-token"
PATH = "/admin/x"


def door(
    edge: Front, lets_in: Callable[[str | None], bool], header: str = "authorization"
) -> Callable[[], Reply]:
    def reply() -> Reply:
        given = edge.behind.requests[-1][2].get(header)
        right = given in (f"Bearer {TOKEN}", TOKEN)
        return Reply("{}", 200 if right or lets_in(given) else 401)

    return reply


def pages(edge: Front, secret: str = TOKEN, **keys: object) -> str:
    page = {"path": PATH, "secret": Secret(secret), **keys}
    return judged("test_credentials", "test_protected_pages", edge.site(pages={"admin": page}))


def test_page_that_refuses_and_opens_passes(edge: Front) -> None:
    edge.behind.routes[PATH] = door(edge, lambda _: False)
    assert pages(edge) == ""


@pytest.mark.parametrize(
    ("lets_in", "kinds"),
    [
        (lambda given: given is None, "open without credentials"),
        (lambda given: given == "Bearer", "open with empty credentials"),
        (lambda given: given == "Bearer undefined", "open with what an unset variable becomes"),
        (lambda given: given == "Bearer null", "open with what an unset variable becomes"),
        (lambda given: given == "Bearer None", "open with what an unset variable becomes"),
        (lambda given: (given or "").startswith("Bearer readiness-"), "open with wrong"),
    ],
)
def test_c9_page_that_fails_open_is_found(
    edge: Front, lets_in: Callable[[str | None], bool], kinds: str
) -> None:
    edge.behind.routes[PATH] = door(edge, lets_in)
    found = pages(edge)
    assert found.count("protected paths are open") == 1
    assert kinds in found


def test_refusal_counts_only_where_the_right_credentials_open(edge: Front) -> None:
    edge.behind.routes[PATH] = door(edge, lambda _: False)
    with pytest.raises(NoData, match="answers 401 with its secret too") as refused:
        pages(edge, secret="an-old-token")
    assert "an-old-token" not in str(refused.value)
    for status in (404, 405, 429, 503):
        edge.behind.routes[PATH] = Reply("{}", status)
        with pytest.raises(NoData, match=f"answered {status} with no credentials: neither"):
            pages(edge)


def test_login_is_a_refusal(edge: Front) -> None:
    edge.behind.routes[PATH] = lambda: (
        Reply("{}")
        if TOKEN in edge.behind.requests[-1][2].get("authorization", "")
        else Reply(status=302, headers={"Location": "/login?next=/"})
    )
    assert pages(edge) == ""


def test_one_page_that_cannot_be_judged_does_not_hide_another(edge: Front) -> None:
    edge.behind.routes["/open"] = Reply("{}")
    site = edge.site(pages={"gone": {"path": "/gone"}, "open": {"path": "/open"}})
    assert "/open answers 200" in judged("test_credentials", "test_protected_pages", site)


def test_credentials_are_not_sent_to_a_site_that_is_not_the_right_one(edge: Front) -> None:
    edge.behind.routes[PATH] = door(edge, lambda _: False)
    with (
        edge.edge_certificate("shop.example.com"),
        pytest.raises(Unreachable, match="the certificate is not accepted"),
    ):
        pages(edge)
    assert not any(TOKEN in h.get("authorization", "") for _, _, h in edge.behind.requests)


def job(edge: Front, **keys: object) -> str:
    given = {"path": "/cron", "header": "X-Cron-Secret", "scheme": "", **keys}
    return judged("test_credentials", "test_protected_jobs", edge.site(jobs={"nightly": given}))


def test_c9_job_with_an_unset_secret_is_found_and_started_once(edge: Front) -> None:
    edge.behind.routes["/cron"] = door(edge, lambda given: given == "undefined", "x-cron-secret")
    assert "/cron answers 200 to X-Cron-Secret: undefined" in job(edge)
    assert edge.asked == ["POST /cron"] * 4
    edge.behind.routes["/cron"] = door(edge, lambda given: not given, "x-cron-secret")
    edge.behind.requests.clear()
    assert "open without credentials" in job(edge)
    assert edge.asked == ["POST /cron"]


def test_job_that_is_not_there_is_an_error(edge: Front) -> None:
    with pytest.raises(CouldNotMeasure, match="answered 404"):
        job(edge)
