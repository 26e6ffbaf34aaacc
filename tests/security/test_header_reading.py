"""Headers and cookies are read as browsers read them."""

import pytest

from readiness.areas.security import headers
from readiness.areas.security.headers import Cookie
from readiness.lib.http import Answer


def answer(*lines: tuple[str, str], body: bytes = b"") -> Answer:
    return Answer("https://shop/", 200, "text/html", "", "", "", body, 1.0, {}, lines)


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        (["max-age=31536000"], 31536000),
        (["max-age=31536000; includeSubDomains; preload"], 31536000),
        (['Max-Age="300"'], 300),
        (["max-age=0"], 0),
        (["max-age=300", "max-age=31536000"], 300),
        (["max-age=300, max-age=31536000"], None),
        (["max-age=300; max-age=31536000"], None),
        (["includeSubDomains"], None),
        (["max-age=-1"], None),
        ([], None),
    ],
)
def test_first_valid_hsts_counts(values: list[str], seconds: int | None) -> None:
    found = answer(*(("strict-transport-security", value) for value in values))
    assert headers.hsts_s(found) == seconds


@pytest.mark.parametrize(
    ("lines", "framed"),
    [
        ([], True),
        ([("x-frame-options", "DENY")], False),
        ([("x-frame-options", "sameorigin")], False),
        ([("x-frame-options", "ALLOW-FROM https://a.example")], True),
        ([("x-frame-options", "DENY"), ("x-frame-options", "SAMEORIGIN")], True),
        ([("x-frame-options", "SAMEORIGIN, SAMEORIGIN")], False),
        ([("content-security-policy", "frame-ancestors 'none'")], False),
        ([("content-security-policy", "frame-ancestors *"), ("x-frame-options", "DENY")], True),
        ([("content-security-policy-report-only", "frame-ancestors 'none'")], True),
        ([("content-security-policy", "default-src 'none'")], True),
    ],
)
def test_frames(lines: list[tuple[str, str]], *, framed: bool) -> None:
    assert headers.can_be_framed(answer(*lines)) is framed


@pytest.mark.parametrize(
    ("values", "tells"),
    [
        ([], False),
        (["strict-origin-when-cross-origin"], False),
        (["unsafe-url"], True),
        (["no-referrer, unsafe-url"], True),
        (["unsafe-url, no-referrer"], False),
        (["no-referrer", "never-heard-of-it"], False),
        (["no-referrer-when-downgrade"], True),
    ],
)
def test_referrer_has_the_default_of_browsers(values: list[str], *, tells: bool) -> None:
    assert headers.tells_addresses(answer(*(("referrer-policy", v) for v in values))) is tells


@pytest.mark.parametrize(
    ("policies", "hole"),
    [
        (["default-src 'self'"], ""),
        (["default-src 'none'; script-src 'nonce-Abc' 'unsafe-inline'"], ""),
        (["script-src 'strict-dynamic' 'nonce-Abc' https: 'unsafe-inline'"], ""),
        (["script-src 'self' 'unsafe-inline'"], "script-src 'unsafe-inline'"),
        (["default-src *"], "default-src *"),
        (["default-src 'self'; script-src https:"], "script-src https:"),
        (["frame-ancestors 'none'"], "neither script-src nor default-src"),
        (["frame-ancestors 'none'", "default-src 'self'"], ""),
        (["frame-ancestors 'none', default-src 'self'"], ""),
        (["script-src 'self'; script-src *"], ""),
    ],
)
def test_one_of_all_policies_must_stop_injected_scripts(policies: list[str], hole: str) -> None:
    found = answer(*(("content-security-policy", policy) for policy in policies))
    assert headers.has_policy(found)
    assert headers.script_hole(found) == hole


def test_policy_in_the_page_counts_and_one_that_reports_does_not() -> None:
    page = b"""<meta http-equiv="Content-Security-Policy" content="script-src 'self'">"""
    assert headers.has_policy(answer(body=page))
    only = answer(("content-security-policy-report-only", "default-src 'self'"))
    assert not headers.has_policy(only)


def test_cookies_are_read_without_their_values() -> None:
    found = answer(
        ("set-cookie", "session=abc; Path=/; secure; HttpOnly; SameSite=Lax"),
        ("set-cookie", "theme=dark; Expires=Thu, 01 Jan 2099 00:00:00 GMT"),
        ("set-cookie", "old=; Max-Age=0"),
        ("set-cookie", "gone=deleted; Expires=Thu, 01-Jan-1970 00:00:01 GMT"),
    )
    assert list(headers.cookies(found)) == [
        Cookie("session", secure=True, http_only=True, same_site="lax"),
        Cookie("theme", secure=False, http_only=False, same_site=""),
    ]
