"""Faults of the edge: its certificate, headers and limits; and of the service behind it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from readiness.model.fault import Fault, broken_by

_EDGE: Final = "edge"
_CERTIFICATE: Final = "security.certificate[shop]"
_PROTOCOLS: Final = "security.protocols[shop]"
_REDIRECT: Final = "security.https-redirect[shop]"
_HSTS: Final = "security.hsts[shop]"
_HEADERS: Final = "security.headers[shop]"
_CSP: Final = "security.csp[shop]"
_FILES: Final = "security.exposed-files[shop]"
_DIAGNOSTICS: Final = "security.diagnostics[shop]"
_COOKIES: Final = "security.cookies[shop]"
_CORS: Final = "security.cors[shop]"
_PAGES: Final = "security.protected-pages[shop]"
_JOBS: Final = "security.protected-jobs[shop]"
_PRIVATE: Final = "security.private-answers[shop]"
_HITS: Final = "security.cache-hits[shop]"
_CHANGES: Final = "security.cache-invalidation[shop]"
_OUTAGE: Final = "security.cache-outage[shop]"
_REDIS: Final = "redis"
_RATE: Final = "security.rate-limit[shop]"
_BODY: Final = "security.body-limit[shop]"
_AUDIT: Final = "security.dependencies[service]"
# Credentials are not sent to a site whose certificate is not valid.
_NOT_TRUSTED: Final = {_PAGES: set[str](), _PRIVATE: set[str]()}
_TLS: Final = "ssl_protocols TLSv1.2 TLSv1.3;"
_PROXY: Final = "proxy_pass http://service;"
_ADMIN: Final = f"location /admin/ {{\n            {_PROXY}"
_SESSION: Final = "Path=/; Secure; HttpOnly; SameSite=Lax"
_SOFT: Final = "proxy_intercept_errors on; error_page 404 =200 /login/index.html;"
_REFLECTED: Final = (
    "add_header Access-Control-Allow-Origin $http_origin always;"
    " add_header Access-Control-Allow-Credentials true always;"
)
_CHUNKS: Final = (
    "if ($http_transfer_encoding) { rewrite ^(.*)$ /in-chunks$1 last; } location /in-chunks/ {"
    f" client_max_body_size 0; rewrite ^/in-chunks(.*)$ $1 break; {_PROXY} }}"
)
Misses = Mapping[str, set[str]]


def _edited(name: str, story: str, misses: Misses, *changes: tuple[str, str]) -> Fault:
    """A fault in the configuration of nginx."""
    return broken_by(name, story, misses, lambda s: s.edit_edge(*changes), needs=_EDGE)


def _certified(name: str, story: str, misses: Misses, *names: str, **how: object) -> Fault:
    """A fault of the certificate."""
    return broken_by(name, story, misses, lambda s: s.edge_certificate(*names, **how), needs=_EDGE)


def _serving(name: str, story: str, misses: Misses, path: str, body: str) -> Fault:
    """A file or page that should not be served."""
    return broken_by(name, story, misses, lambda s: s.edge_serves(path, body), needs=_EDGE)


def _accepting(name: str, story: str, misses: Misses, **accepts: list[str]) -> Fault:
    """A service that accepts credentials that it should refuse."""
    return broken_by(name, story, misses, lambda s: s.behave(accepts=accepts), needs=_EDGE)


certificate_has_ended = _certified(
    "certificate_has_ended",
    "The certificate ended three days ago",
    {_CERTIFICATE: {"days"}, **_NOT_TRUSTED},
    days=-3,
)
edge_certificate_ends_soon = _certified(
    "edge_certificate_ends_soon",
    "The certificate ends in five days: its renewal failed weeks ago",
    {_CERTIFICATE: {"days"}},
    days=5,
)
certificate_is_for_another_host = _certified(
    "certificate_is_for_another_host",
    "The certificate is for another name, as that of a default server is",
    {_CERTIFICATE: {"names"}, **_NOT_TRUSTED},
    "shop.example.com",
)
certificate_lacks_its_chain = _certified(
    "certificate_lacks_its_chain",
    "The intermediate certificate is missing: cert.pem is served, not fullchain.pem",
    {_CERTIFICATE: {"trusted"}, **_NOT_TRUSTED},
    chain=False,
)
certificate_has_a_weak_key = broken_by(
    "certificate_has_a_weak_key",
    "The key of the certificate is RSA with 1024 bits",
    {_CERTIFICATE: {"key"}, **_NOT_TRUSTED},
    lambda s: (
        s.edit_edge((_TLS, f"{_TLS} ssl_ciphers DEFAULT@SECLEVEL=0;")),
        s.edge_certificate(bits=1024),
    ),
    needs=_EDGE,
)
old_protocols_are_on = _edited(
    "old_protocols_are_on",
    "TLS 1.0 and 1.1 were turned on for one old client",
    {_PROTOCOLS: {"old"}},
    (_TLS, "ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; ssl_ciphers DEFAULT@SECLEVEL=0;"),
)
redirect_is_off = _edited(
    "redirect_is_off",
    "Without TLS the pages are served, instead of a redirect",
    {_REDIRECT: {"encrypted"}},
    ("return 301 https", "return 200 '<h1>Shop</h1>'; #"),
)
redirect_goes_elsewhere = _edited(
    "redirect_goes_elsewhere",
    "Requests without TLS are redirected to another host",
    {_REDIRECT: {"same-host"}},
    ("return 301 https://127.0.0.1:", "return 301 https://www.shop.example.com:"),
)
hsts_is_missing = _edited(
    "hsts_is_missing",
    "No answer has Strict-Transport-Security",
    {_HSTS: {"present"}},
    ('add_header Strict-Transport-Security "max-age=63072000" always;', ""),
)
hsts_is_missing_on_errors = _edited(
    "hsts_is_missing_on_errors",
    "Strict-Transport-Security is missing on errors: add_header without `always`",
    {_HSTS: {"present"}},
    ('"max-age=63072000" always', '"max-age=63072000"'),
)
hsts_is_short = _edited(
    "hsts_is_short",
    "Strict-Transport-Security ends after five minutes, as it did in the first test",
    {_HSTS: {"max-age"}},
    ("max-age=63072000", "max-age=300"),
)
nosniff_is_missing_on_errors = _edited(
    "nosniff_is_missing_on_errors",
    "Errors lack nosniff: add_header without `always`",
    {_HEADERS: {"nosniff"}},
    ('"nosniff" always', '"nosniff"'),
)
pages_can_be_framed = _edited(
    "pages_can_be_framed",
    "X-Frame-Options has a value that browsers do not know",
    {_HEADERS: {"frames"}},
    ('"DENY"', '"ALLOWALL"'),
)
addresses_are_told = _edited(
    "addresses_are_told",
    "Links to other sites carry the whole address, with the tokens in it",
    {_HEADERS: {"referrer"}},
    ('"strict-origin-when-cross-origin"', '"unsafe-url"'),
)
csp_only_reports = _edited(
    "csp_only_reports",
    "The Content-Security-Policy only reports",
    {_CSP: {"present"}},
    ("Content-Security-Policy ", "Content-Security-Policy-Report-Only "),
)
csp_allows_inline_scripts = _edited(
    "csp_allows_inline_scripts",
    "The Content-Security-Policy allows scripts inside pages",
    {_CSP: {"scripts"}},
    ("default-src 'self'", "default-src 'self' 'unsafe-inline'"),
)
repository_is_served = _serving(
    "repository_is_served",
    "The folder .git is served",
    {_FILES: {"files"}},
    "/.git/HEAD",
    "ref: refs/heads/main",
)
settings_are_served = _serving(
    "settings_are_served",
    "The file .env is served",
    {_FILES: {"files"}},
    "/.env",
    "DATABASE_URL=postgresql://shop@db/shop",
)
every_path_answers = _edited(
    "every_path_answers",
    "Every path answers 200 with a page that says that there is nothing",
    {_FILES: set[str](), _DIAGNOSTICS: set[str]()},
    (
        f"location / {{\n            {_PROXY}",
        f"location / {{ {_SOFT}\n            {_PROXY}",
    ),
)
metrics_are_public = _edited(
    "metrics_are_public",
    "The metrics can be read by everybody",
    {_DIAGNOSTICS: {"pages"}},
    (
        "location = /metrics {\n            return 404;",
        f"location = /metrics {{\n            {_PROXY}",
    ),
)
errors_show_stack_traces = broken_by(
    "errors_show_stack_traces",
    "The page for unknown paths shows a stack trace",
    {_DIAGNOSTICS: {"traces"}},
    lambda s: s.behave(
        status={"unmatched": 404},
        body={"unmatched": 'Traceback (most recent call last):\n  File "app.py", line 7'},
    ),
    needs=_EDGE,
)
version_is_shown = _edited(
    "version_is_shown",
    "The header Server names the version of nginx",
    {_DIAGNOSTICS: {"versions"}},
    ("server_tokens off", "server_tokens on"),
)
session_cookie_lacks_secure = _edited(
    "session_cookie_lacks_secure",
    "The session cookie lacks Secure",
    {_COOKIES: {"secure"}},
    (_SESSION, "Path=/; HttpOnly; SameSite=Lax"),
)
session_cookie_lacks_http_only = _edited(
    "session_cookie_lacks_http_only",
    "The session cookie lacks HttpOnly",
    {_COOKIES: {"http-only"}},
    (_SESSION, "Path=/; Secure; SameSite=Lax"),
)
session_cookie_is_sent_by_others = _edited(
    "session_cookie_is_sent_by_others",
    "The session cookie has SameSite=None, since a frame of a partner needed it once",
    {_COOKIES: {"same-site"}},
    (_SESSION, "Path=/; Secure; HttpOnly; SameSite=None"),
)
session_cookie_is_not_set = _edited(
    "session_cookie_is_not_set",
    "No page sets the session cookie any more",
    {_COOKIES: set[str]()},
    ('/login/ "session', '/no-longer/ "session'),
)
cors_reflects_every_origin = _edited(
    "cors_reflects_every_origin",
    "Every origin is allowed, with credentials",
    {_CORS: {"foreign"}},
    (
        "add_header Set-Cookie",
        f"{_REFLECTED} add_header Set-Cookie",
    ),
)
page_opens_to_everybody = _accepting(
    "page_opens_to_everybody",
    "The page for administrators opens without a token",
    {_PAGES: {"none"}, _PRIVATE: {"served"}},
    admin=["none"],
)
page_opens_with_empty_credentials = _accepting(
    "page_opens_with_empty_credentials",
    "The page for administrators opens to an empty token: the right one is not set",
    {_PAGES: {"empty"}},
    admin=["Bearer"],
)
page_opens_with_undefined = _accepting(
    "page_opens_with_undefined",
    "The page for administrators opens to `Bearer undefined`: the right token is not set",
    {_PAGES: {"unset"}},
    admin=["Bearer undefined"],
)
page_opens_with_any_token = _accepting(
    "page_opens_with_any_token",
    "The page for administrators opens to any token",
    {_PAGES: {"empty", "wrong", "unset"}},
    admin=["*"],
)
job_starts_without_credentials = _accepting(
    "job_starts_without_credentials",
    "The job of the scheduler starts without its secret",
    {_JOBS: {"none"}},
    cron=["none"],
)
job_starts_with_empty_secret = _accepting(
    "job_starts_with_empty_secret",
    "The job of the scheduler starts with an empty secret: CRON_SECRET is not set",
    {_JOBS: {"empty"}},
    cron=[""],
)
job_starts_with_undefined = _accepting(
    "job_starts_with_undefined",
    "The job of the scheduler starts with the secret `undefined`: CRON_SECRET is not set",
    {_JOBS: {"unset"}},
    cron=["undefined"],
)
job_starts_with_any_secret = _accepting(
    "job_starts_with_any_secret",
    "The job of the scheduler starts with any secret",
    {_JOBS: {"wrong"}},
    cron=["*"],
)
private_page_may_be_kept = _edited(
    "private_page_may_be_kept",
    "The page for administrators says that every cache may keep it",
    {_PRIVATE: {"policy"}},
    ("no-store", "public, max-age=60"),
)
private_page_is_cached = _edited(
    "private_page_is_cached",
    "The edge keeps the page for administrators, and shows it to everybody",
    {_PRIVATE: {"served"}},
    (_ADMIN, f"{_ADMIN}\n            proxy_cache shared; proxy_cache_valid 200 60s;"),
)
cache_keeps_nothing = _edited(
    "cache_keeps_nothing",
    "The cache is passed by: somebody turned it off to look for an error",
    {_HITS: {"hit"}},
    ("proxy_cache shared;", "proxy_cache shared; proxy_cache_bypass 1;"),
)
replica_is_not_told = _edited(
    "replica_is_not_told",
    "A change is removed from the cache of one replica, and the other one is not told",
    {_CHANGES: {"fresh"}},
    ("proxy_cache_path cache/replica", "proxy_cache_path cache/elsewhere"),
)
page_does_not_change = broken_by(
    "page_does_not_change",
    "The command that should change the page changes nothing",
    {_CHANGES: set[str]()},
    lambda s: s.replace_in_config('"Sold out"', '"In stock"'),
    needs=_EDGE,
)
service_needs_its_cache = broken_by(
    "service_needs_its_cache",
    "The service answers 500 if Redis does not answer: nobody caught the exception",
    {_OUTAGE: {"answers"}},
    lambda s: s.catalog_behaves(falls_back=False),
    needs=_REDIS,
)
service_waits_for_its_cache = broken_by(
    "service_waits_for_its_cache",
    "The service waits 2 s for Redis in each request: the client's default was left as it is",
    {_OUTAGE: {"time"}},
    lambda s: s.catalog_behaves(patience_s=2),
    needs=_REDIS,
)
cache_is_not_taken_away = broken_by(
    "cache_is_not_taken_away",
    "The command that should take Redis away does nothing",
    {_OUTAGE: set[str]()},
    lambda s: s.replace_in_config('"pause"', '"ping"'),
    needs=_REDIS,
)
rate_limit_is_off = _edited(
    "rate_limit_is_off",
    "No limit of requests is enforced",
    {_RATE: {"enforced"}},
    ("limit_req zone=clients burst=20 nodelay;", ""),
)
rate_limit_believes_clients = _edited(
    "rate_limit_believes_clients",
    "The limit of requests counts the address in X-Forwarded-For, which clients choose",
    {_RATE: {"enforced"}},
    ("limit_req_zone $binary_remote_addr", "limit_req_zone $http_x_forwarded_for"),
)
rate_limit_answers_503 = _edited(
    "rate_limit_answers_503",
    "Too many requests are refused with 503, as nginx does by default",
    {_RATE: {"status"}},
    ("limit_req_status 429;", ""),
)
body_limit_is_off = broken_by(
    "body_limit_is_off",
    "Neither the edge nor the service limits a body",
    {_BODY: {"refused", "chunked"}},
    lambda s: (
        s.edit_edge(("client_max_body_size 1m", "client_max_body_size 0")),
        s.behave(any_body_size=True),
    ),
    needs=_EDGE,
)
body_limit_believes_lengths = broken_by(
    "body_limit_believes_lengths",
    "Bodies in chunks are not limited",
    {_BODY: {"chunked"}},
    lambda s: (
        s.edit_edge(
            (
                "client_max_body_size 1m;",
                f"client_max_body_size 1m; {_CHUNKS}",
            )
        ),
        s.behave(any_body_size=True),
    ),
    needs=_EDGE,
)
body_limit_is_small = _edited(
    "body_limit_is_small",
    "The edge takes smaller bodies than agreed",
    {_BODY: {"taken"}},
    ("client_max_body_size 1m", "client_max_body_size 100k"),
)


def _audited(name: str, story: str, judged: set[str], change: Callable[[Any], object]) -> Fault:
    """A fault of the report about dependencies."""
    return broken_by(name, story, {_AUDIT: judged}, lambda s: s.edit_audit(change))


def _add_vulnerability(report: Any) -> None:
    report["dependencies"][0]["vulns"] = [
        {"id": "PYSEC-2026-1", "fix_versions": ["2.0"], "aliases": ["CVE-2026-1"]}
    ]


dependency_is_vulnerable = _audited(
    "dependency_is_vulnerable",
    "A dependency has a known vulnerability",
    {"known"},
    _add_vulnerability,
)
audit_is_empty = _audited(
    "audit_is_empty",
    "The audit looked at nothing: it ran where there is no lock file",
    set(),
    lambda report: report["dependencies"].clear(),
)


audit_is_old = broken_by(
    "audit_is_old",
    "The report about dependencies is two days old",
    {_AUDIT: set[str]()},
    lambda s: s.age_audit(hours=48),
)
audit_is_of_another_commit = broken_by(
    "audit_is_of_another_commit",
    "The report about dependencies is of another commit: its job was skipped",
    {_AUDIT: set[str]()},
    lambda s: s.audit_of("0123456789abcdef"),
)
