"""What a site shows to everybody, seen through a real nginx before a small server."""

from collections.abc import Callable
from pathlib import Path

import pytest

from readiness.areas.security.config import Site
from readiness.areas.security.probes.visits import visit
from readiness.fixtures.once import Once
from readiness.model.errors import NoData, Unreachable
from readiness.model.evidence import NotApplicable
from readiness.model.secrets import Secret
from tests.support.edges import Front, judged
from tests.support.small_servers import Reply

pytestmark = pytest.mark.contract

VISITED = ("https_redirect", "hsts", "headers", "csp", "exposed_files", "diagnostics", "cookies")
HTML = "text/html"


def see(check: str, site: Site) -> str:
    return judged("test_site", f"test_{check}", site, Once(visit).of)


def test_headers_of_one_status_alone_are_missed(edge: Front) -> None:
    """The nginx default: add_header without `always` is left away on errors."""
    assert see("headers", edge.site()) == ""
    with edge.edit_edge(('"nosniff" always', '"nosniff"')):
        found = see("headers", edge.site())
    assert found.startswith("1 of 2 answers lack X-Content-Type-Options: nosniff")
    assert "404 https://" in found
    assert "/readiness-" in found


def test_answers_of_the_service_itself_are_judged_too(edge: Front) -> None:
    page = Reply("<h1>Error</h1>", 500, HTML)
    edge.behind.routes["/broken"] = page
    changes = (('"DENY" always', '"DENY"'),)
    with edge.edit_edge(*changes):
        found = see("headers", edge.site(paths=["/", "/broken"]))
    assert "HTML answers can be framed by any site" in found
    assert "500 https://" in found


def test_site_without_html_needs_no_policy(edge: Front) -> None:
    edge.behind.routes["/orders"] = Reply("{}")
    with pytest.raises(NotApplicable, match="none of 2 answers"):
        see("csp", edge.site(paths=["/orders"]))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/.git/HEAD", "ref: refs/heads/main\n"),
        ("/.git/HEAD", "0123456789abcdef0123456789abcdef01234567\n"),
        ("/.env", "# settings\nexport DATABASE_URL=postgres://x\n"),
        ("/.npmrc", "//registry.example.com/:_authToken=x"),
        ("/backup.sql", "--\n-- PostgreSQL database dump\n"),
        ("/.htpasswd", "admin:$apr1$x$y"),
    ],
)
def test_private_files_are_recognized_by_their_content(edge: Front, path: str, body: str) -> None:
    edge.behind.routes[path] = Reply(body, 200, "text/plain")
    found = see("exposed_files", edge.site())
    assert found.startswith("1 of ")
    assert path in found
    assert body.strip() not in found
    edge.behind.routes[path] = Reply(body, 404, "text/plain")
    assert see("exposed_files", edge.site()) == ""


@pytest.mark.parametrize("path", ["/.git/HEAD", "/.env", "/metrics", "/debug/vars"])
def test_other_pages_at_these_paths_are_no_finding(edge: Front, path: str) -> None:
    edge.behind.routes[path] = Reply("<!doctype html>\nTITLE = nothing to see", 200, HTML)
    assert see("exposed_files", edge.site()) == ""
    assert see("diagnostics", edge.site()) == ""


def test_m14_site_that_answers_everything_with_200_is_an_error(edge: Front) -> None:
    edge.behind.otherwise = Reply("<h1>Welcome</h1>", 200, HTML)
    with pytest.raises(NoData, match="answers 200 to a path that cannot exist"):
        see("exposed_files", edge.site())
    assert see("exposed_files", edge.site(catch_all=True)) == ""
    edge.behind.routes["/.env"] = Reply("SECRET_KEY=x", 200, HTML)
    assert "/.env" in see("exposed_files", edge.site(catch_all=True))


def test_stack_traces_lists_and_versions_are_found(edge: Front) -> None:
    edge.behind.otherwise = Reply('Traceback (most recent call last):\n  File "x"', 500, HTML)
    assert "a stack trace at https://" in see("diagnostics", edge.site())
    edge.behind.routes["/files"] = Reply("<title>Index of /files</title>", 200, HTML)
    assert "a list of files at https://" in see("diagnostics", edge.site(paths=["/files"]))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("return 301 https://127.0.0.1:9/x", ""),
        ("return 308 https://127.0.0.1:9/x", ""),
        ("return 302 /login", "2 of 2 paths are not redirected to TLS"),
        ("return 403", "2 of 2 paths are not redirected to TLS"),
        ("return 200 'x'", "2 of 2 paths are not redirected to TLS"),
    ],
)
def test_first_step_decides_about_the_redirect(edge: Front, change: str, found: str) -> None:
    with edge.edit_edge(("return 301 https://", f"{change}; #")):
        assert see("https_redirect", edge.site())[: len(found) or None] == found


def test_nothing_listens_without_tls(edge: Front) -> None:
    """By default nothing must; an address that is declared must answer."""
    from readiness.servers.processes import free_port

    closed = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match="refused"):
        see("https_redirect", edge.site(plain=closed))
    nowhere = edge.site()
    seen = visit(nowhere)
    from dataclasses import replace

    silent = replace(seen, plain=tuple(replace(p, answer=None) for p in seen.plain))
    assert judged("test_site", "test_https_redirect", nowhere, lambda _: silent) == ""


def test_cookie_that_no_page_sets_is_an_error(edge: Front) -> None:
    assert see("cookies", edge.site(paths=["/login/"], session_cookies=["session"])) == ""
    with pytest.raises(NoData, match="sets the cookie JSESSIONID"):
        see("cookies", edge.site(paths=["/login/"], session_cookies=["session", "JSESSIONID"]))


def test_cookies_are_judged_without_showing_them(edge: Front) -> None:
    cookie = {"Set-Cookie": "sid=very-secret-value; Path=/"}
    edge.behind.routes["/in"] = Reply("{}", headers=cookie)
    found = see("cookies", edge.site(paths=["/in"], session_cookies=["sid"]))
    assert found.count("sid") == 3
    assert "very-secret-value" not in found


def reflecting(allowed: Callable[[str], str], credentials: str, edge: Front) -> Callable[[], Reply]:
    def reply() -> Reply:
        origin = edge.behind.requests[-1][2].get("origin", "")
        return Reply("{}", headers={"Access-Control-Allow-Origin": allowed(origin),
                                    "Access-Control-Allow-Credentials": credentials})  # fmt: skip

    return reply


@pytest.mark.parametrize(
    ("allowed", "credentials", "opened"),
    [
        (lambda origin: origin, "true", 4),
        (lambda origin: origin, "false", 0),
        (lambda _: "*", "true", 0),
        (lambda _: "https://app.example.com", "true", 0),
        (lambda origin: origin if origin.startswith("https://127.0.0.1") else "", "true", 1),
        (lambda origin: origin if origin.endswith("127.0.0.1") else "", "true", 1),
        (lambda origin: origin if origin == "null" else "", "true", 1),
    ],
)
def test_foreign_origins(
    edge: Front, allowed: Callable[[str], str], credentials: str, opened: int
) -> None:
    edge.behind.routes["/api"] = reflecting(allowed, credentials, edge)
    found = judged("test_site", "test_cors", edge.site(paths=["/api"]))
    assert found.startswith(f"{opened} of 4 requests" if opened else "")
    assert bool(found) is bool(opened)


def test_passive_checks_send_few_requests_and_change_nothing(edge: Front) -> None:
    """Counted at the edge: under 150, each a GET, and none with the credentials but two."""
    log = edge.edge.folder / "access.log"
    words = 'log_format own "$request_method $http_authorization"; access_log access.log own;'
    keys = {
        "paths": ["/", "/login/"],
        "session_cookies": ["session"],
        "cached": {"home": {"path": "/"}},
        "pages": {"admin": {"path": "/admin/x", "secret": Secret("the-right-token")}},
    }
    edge.behind.routes["/admin/x"] = lambda: Reply(
        "{}", 200 if "the-right" in edge.behind.requests[-1][2].get("authorization", "") else 401
    )
    with edge.edit_edge(("access_log off;", words)):
        site, once = edge.site(**keys), Once(visit)
        for check in VISITED:
            assert judged("test_site", f"test_{check}", site, once.of) == ""
        for check in ("certificate", "protocols", "cors"):
            assert judged("test_site", f"test_{check}", site) == ""
        judged("test_credentials", "test_protected_pages", site)
        for check in ("private_answers", "cache_hits"):
            judged("test_caches", f"test_{check}", site)
        sent = log.read_text().splitlines()
    assert len(sent) < 80
    assert {line.split()[0] for line in sent} == {"GET"}
    assert sum("the-right-token" in line for line in sent) == 2


def test_site_that_is_down_is_one_error(tmp_path: Path) -> None:
    site = Site.model_validate({"name": "x", "url": "https://127.0.0.1:9", "timeout_s": 1})
    for check in VISITED:
        with pytest.raises(Unreachable, match="connection refused"):
            see(check, site)
