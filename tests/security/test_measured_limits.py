"""Limits of requests and bodies are measured, with as few requests as that needs."""

import pytest

from readiness.model.errors import NoData
from tests.support.edges import Front, judged
from tests.support.small_servers import Reply

pytestmark = pytest.mark.contract


def rate(edge: Front, path: str = "/limited", **keys: object) -> str:
    limit = {"path": path, "requests": 20, **keys}
    return judged("test_limits", "test_rate_limit", edge.site(rate_limit=limit))


def limited(edge: Front, after: int, status: int = 429) -> None:
    edge.behind.routes["/limited"] = lambda: Reply(
        "{}", status if len(edge.behind.requests) > after else 200
    )


def test_first_refusal_is_the_last_request(edge: Front) -> None:
    limited(edge, after=20)
    assert rate(edge) == ""
    assert len(edge.asked) == 21


def test_limit_that_is_higher_or_absent_is_found_with_ten_more_requests(edge: Front) -> None:
    limited(edge, after=25)
    assert rate(edge).startswith("25 requests were answered in ")
    assert len(edge.asked) == 26
    edge.behind.requests.clear()
    limited(edge, after=1000)
    assert "30 requests were answered" in rate(edge)
    assert len(edge.asked) == 30
    claims = {headers.get("x-forwarded-for") for _, _, headers in edge.behind.requests}
    assert claims == {"127.0.0.1"}, "the edge replaces what clients claim"


def test_burst_counts_as_agreed(edge: Front) -> None:
    limited(edge, after=25)
    assert rate(edge, burst=5) == ""


def test_refusal_must_say_what_it_is(edge: Front) -> None:
    limited(edge, after=5, status=503)
    assert "are refused with 503" in rate(edge)


@pytest.mark.parametrize("status", [401, 404, 500])
def test_path_that_does_not_open_is_an_error(edge: Front, status: int) -> None:
    edge.behind.routes["/limited"] = Reply("{}", status)
    with pytest.raises(NoData, match=f"answered {status} to request 1"):
        rate(edge)
    assert len(edge.asked) == 1


def test_limit_of_nginx_is_not_bypassed_by_claiming_addresses(edge: Front) -> None:
    assert rate(edge, "/search/", requests=60, burst=20) == ""
    believing = (
        "limit_req_zone $binary_remote_addr",
        "limit_req_zone $http_x_forwarded_for$binary_remote_addr",
    )
    with edge.edit_edge(believing):
        found = rate(edge, "/search/", requests=60, burst=20)
        assert "each with another X-Forwarded-For" in found
    with edge.edit_edge(believing):
        assert rate(edge, "/search/", requests=60, burst=20, claims=False) == ""


def body(edge: Front, most: int = 1 << 20, **keys: object) -> str:
    limit = {"path": "/upload", "max_bytes": most, **keys}
    return judged("test_limits", "test_body_limit", edge.site(body_limit=limit))


def test_body_limit_of_the_edge(edge: Front) -> None:
    edge.behind.routes["/upload"] = Reply("{}", 422)
    assert body(edge) == ""
    assert edge.asked == []


def test_body_limit_that_is_higher_is_found_with_and_without_a_length(edge: Front) -> None:
    edge.behind.routes["/upload"] = Reply("{}", 422)
    found = body(edge, 1000)
    assert "/upload answers 422 to a body of 1,001 bytes with Content-Length" in found


def test_body_limit_that_is_lower_is_found(edge: Front) -> None:
    edge.behind.routes["/upload"] = Reply("{}", 422)
    found = body(edge, 2 << 20)
    assert "answers 413 to a body of 2,097,152 bytes, which is allowed" in found


def test_answers_that_do_not_depend_on_the_size_are_errors(edge: Front) -> None:
    for status in (401, 404, 405, 500):
        edge.behind.routes["/upload"] = Reply("{}", status)
        with pytest.raises(NoData, match=f"answers {status} to POST"):
            body(edge, 1000)
