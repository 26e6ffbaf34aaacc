"""What shared caches keep: pages of one user, pages for all, and pages that have changed."""

from collections.abc import Callable

import pytest

from readiness.areas.security.reference.publish import publish, publishing
from readiness.lib.guardian import Guardian
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.evidence import Evidence
from readiness.model.secrets import Secret
from tests.support.edges import Front, judged
from tests.support.monitored_service import misses, suite
from tests.support.small_servers import Reply

pytestmark = pytest.mark.contract

TOKEN = "the-right-token"
PATH = "/admin/x"


def door(edge: Front, header: str = "authorization") -> Callable[[], Reply]:
    def reply() -> Reply:
        given = edge.behind.requests[-1][2].get(header, "")
        return Reply("{}", 200 if TOKEN in given else 401)

    return reply


def private(edge: Front, **keys: object) -> str:
    page = {"path": PATH, "secret": Secret(TOKEN), **keys}
    return judged("test_caches", "test_private_answers", edge.site(pages={"admin": page}))


@pytest.mark.parametrize(
    ("policy", "shared"),
    [
        ("no-store", False),
        ("private, max-age=60", False),
        ("", False),
        ("max-age=60", False),
        ("public, max-age=60", True),
        ("s-maxage=60", True),
    ],
)
def test_what_caches_may_keep_of_a_request_with_authorization(
    edge: Front, policy: str, *, shared: bool
) -> None:
    opened = door(edge)

    def reply() -> Reply:
        given = opened()
        return Reply("{}", given.status, headers={"Cache-Control": policy} if policy else {})

    edge.behind.routes[PATH] = reply
    with edge.edit_edge(('/admin/settings "no-store"', '/other "no-store"')):
        assert ("may be kept by shared caches" in private(edge)) is shared


def test_without_authorization_a_cache_must_be_told(edge: Front) -> None:
    edge.behind.routes[PATH] = door(edge, "x-api-key")
    assert "no Cache-Control" in private(edge, header="X-Api-Key", scheme="")


def test_page_from_a_cache_is_found(edge: Front) -> None:
    edge.behind.routes[PATH] = door(edge)
    proxied = "location /admin/ {\n            proxy_pass http://service;"
    caching = f"{proxied} proxy_cache shared; proxy_cache_valid 200 5s;"
    with edge.edit_edge((proxied, caching)):
        assert f"{PATH} opens without credentials after it" in private(edge)


@pytest.mark.parametrize(
    ("header", "told", "hit"),
    [
        ("X-Cache", "Hit from cloudfront", True),
        ("X-Cache", "TCP_HIT", True),
        ("X-Cache", "MISS", False),
        ("Cache-Status", "edge; hit; ttl=30", True),
        ("Cache-Status", "edge; fwd=stale", False),
        ("CF-Cache-Status", "HIT", True),
        ("X-Cache", "white", False),
        ("Age", "0", True),
        ("Age", "", False),
    ],
)
def test_words_of_caches(edge: Front, header: str, told: str, *, hit: bool) -> None:
    edge.behind.routes["/page"] = Reply("{}", headers={header: told} if told else {})
    cached = {"page": {"path": "/page", "header": header}}
    found = judged("test_caches", "test_cache_hits", edge.site(cached=cached))
    assert (found == "") is hit
    assert len(edge.asked) == 2


def test_page_that_caches_do_not_keep_is_an_error(edge: Front) -> None:
    with pytest.raises(NoData, match="answers 404, which caches do not keep"):
        judged("test_caches", "test_cache_hits", edge.site(cached={"x": {"path": "/none"}}))


def spread(edge: Front, **keys: object) -> str:
    """The misses after a change of the news, which is undone."""
    shown = edge.edge.front
    change = {
        "command": publishing(shown.folder, "Sold out"),
        "undo": publishing(shown.folder, "In stock"),
        "origin": shown.origin,
        "replicas": [shown.url, shown.replica],
        "within_s": 0.5,
        **keys,
    }
    evidence = Evidence()
    site = edge.site(cached={"news": {"path": "/news/", "change": change}})
    with Guardian() as guardian:
        check = suite("security.test_caches").test_cache_invalidation
        check(site, evidence, guardian)
    return misses(evidence)


def news(edge: Front) -> str:
    return (edge.edge.folder / "www/news/index.html").read_text(encoding="utf-8")


def test_change_must_reach_every_replica(edge: Front) -> None:
    assert spread(edge) == ""
    assert "In stock" in news(edge)
    beside = ("proxy_cache_path cache/replica", "proxy_cache_path cache/elsewhere")
    with edge.edit_edge(beside):
        found = spread(edge)
    assert found.startswith("1 of 2 replicas still show the old /news/ after 0.5 s")
    assert edge.edge.front.replica in found
    assert "In stock" in news(edge)


def test_command_that_changes_nothing_is_an_error(edge: Front) -> None:
    with pytest.raises(NoData, match="shows the same after the command"):
        spread(edge, command=["true"])


def test_command_that_fails_is_an_error_and_is_undone(edge: Front) -> None:
    publish(edge.edge.folder, "Half")
    with pytest.raises(CouldNotMeasure, match="the command to change /news/ ended with 1"):
        spread(edge, command=["false"])
    assert "In stock" in news(edge)


def test_page_that_changes_by_itself_shows_nothing(edge: Front) -> None:
    edge.behind.routes["/news/"] = lambda: Reply(str(len(edge.behind.requests)))
    with pytest.raises(NoData, match="changes with every request"):
        spread(edge, origin=edge.behind.url)
    edge.behind.routes.clear()
    with pytest.raises(NoData, match="answers 404, so that no change"):
        spread(edge, origin=edge.behind.url)


def test_replica_whose_page_changes_by_itself_shows_nothing(edge: Front) -> None:
    edge.behind.routes["/news/"] = lambda: Reply(str(len(edge.behind.requests)))
    with pytest.raises(NoData, match="changes with every request") as caught:
        spread(edge, replicas=[edge.behind.url])
    assert caught.value.where == f"{edge.behind.url}/news/"
