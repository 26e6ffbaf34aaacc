"""What a site shows to everybody: its TLS, headers, cookies, and what it serves by accident."""

from collections.abc import Callable
from urllib.parse import urlsplit

from readiness import Evidence, Measurement, at_least, check, equal_to
from readiness.areas.security import headers
from readiness.areas.security.config import Site
from readiness.areas.security.probes import access, tls, visits
from readiness.areas.security.probes.tls import Certificate
from readiness.areas.security.probes.visits import Plain, Visit
from readiness.lib.findings import none_of
from readiness.lib.text import clean
from readiness.model.evidence import NotApplicable

VisitOf = Callable[[Site], Visit]
_REDIRECTS = {301, 302, 303, 307, 308}


@check(
    "security.certificate",
    title="The certificate is trusted, is for this host, and is valid for long enough",
    failure_title="The certificate is not accepted by clients, or soon will not be",
    core=True,
    explains=(
        "monitoring.blackbox-probes",
        "security.protected-pages",
        "security.private-answers",
    ),
    why="""On the day a certificate ends, every client refuses the site at once. A chain without its
    intermediate certificate works in browsers, which know it from elsewhere, and fails in apps and
    other services.""",
    fix="""See what it presents:
    openssl s_client -connect HOST:PORT -servername HOST -showcerts </dev/null
trusted: serve the certificate followed by its intermediates (certbot: fullchain.pem); of an
  authority of your own, name its file in `ca_file`
names: issue one with this host among its subject alternative names
days: renew it, reload the server, and see that the renewal is scheduled
    certbot renew && nginx -s reload; systemctl list-timers
key: issue one with an EC key (P-256), or RSA with 2048 bits or more""",
    severity="blocker",
    effect="observe",
    each="site",
    judgements=("trusted", "names", "days", "key"),
)
def test_certificate(site: Site, evidence: Evidence) -> None:
    """Each on its own: a certificate that has ended may still be of the right authority."""
    found = tls.certificate(site)
    source = f"TLS handshake with {site.host}:{site.port}"
    excused = found.chain.by_date and (found.days < 0 or not found.has_begun)
    problem = "" if excused else found.chain.problem
    evidence.judge(
        "trusted",
        Measurement("chain of the certificate", problem or "trusted", "text", source),
        equal_to("trusted", site.deciding("ca_file") if site.ca_file else ""),
        says=f"The certificate of {site.host} is not trusted: {problem}",
    )
    evidence.judge(
        "names",
        Measurement("the certificate is for this host", found.covers_host, "truth", source),
        equal_to(value=True),
        says=f"The certificate is for {clean(', '.join(found.names) or 'no name')}, not for"
        f" {site.host}",
    )
    days = found.days if found.has_begun else -1.0
    evidence.judge(
        "days",
        Measurement("days until the certificate ends", days, "d", source),
        at_least(site.certificate_min_days, site.deciding("certificate_min_days")),
        says=f"The certificate of {site.host} {_ends(found)}",
    )
    weakness = found.weakness
    evidence.judge(
        "key",
        Measurement("key of the certificate", weakness or "long enough", "text", source),
        equal_to("long enough"),
        says=f"The key of the certificate is weak: {weakness}",
    )


def _ends(found: Certificate) -> str:
    if not found.has_begun:
        return "is not valid yet"
    days = found.days
    return f"ends in {days:.1f} d" if days >= 0 else f"ended {-days:.1f} d ago"


@check(
    "security.protocols",
    title="Deprecated protocols (SSL 3.0, TLS 1.0, TLS 1.1) are refused",
    failure_title="A deprecated protocol is accepted",
    why="""An attacker on the way can make client and server use the oldest protocol that both
    accept, and read what it protects (POODLE, BEAST). Auditors of card payments refuse it.""",
    fix="""nginx:   ssl_protocols TLSv1.2 TLSv1.3;
HAProxy: ssl-default-bind-options ssl-min-ver TLSv1.2
AWS:     the security policy ELBSecurityPolicy-TLS13-1-2-2021-06 of the listener
See that it is refused:
    openssl s_client -connect HOST:PORT -tls1 -cipher DEFAULT@SECLEVEL=0 </dev/null""",
    severity="major",
    effect="observe",
    each="site",
    judgements=("old",),
)
def test_protocols(site: Site, evidence: Evidence) -> None:
    """They are offered by a ClientHello of our own; TLS 1.2 in the same form must be accepted."""
    found = tls.protocols(site)
    source = f"ClientHello to {site.host}:{site.port}"
    none_of(
        evidence, "old", "deprecated protocols are accepted", found.accepted, len(tls.OLD), source
    )


@check(
    "security.https-redirect",
    title="Requests without TLS are redirected to the same host with TLS",
    failure_title="Pages are served, or redirected elsewhere, without TLS",
    core=True,
    why="""Whoever types the name of the host, or follows an old link, begins without TLS. What is
    answered there can be read and changed by every network on the way, with the cookies.""",
    fix="""nginx:   server { listen 80; return 301 https://$host$request_uri; }
HAProxy: http-request redirect scheme https code 301 unless { ssl_fc }
Ingress: nginx.ingress.kubernetes.io/force-ssl-redirect: "true"
Each path must be redirected, not only the first one:
    curl -si PLAIN_URL/any/path | head -3
Another port without TLS: set `plain` in [security.sites.NAME].""",
    severity="blocker",
    effect="observe",
    each="site",
    judgements=("encrypted", "same-host"),
)
def test_https_redirect(site: Site, visit_of: VisitOf, evidence: Evidence) -> None:
    """The first step counts; where nothing listens without TLS, nothing can be read."""
    seen = visit_of(site)
    source = f"GET {site.unencrypted}"
    served = [f"{p.url}: {_said(p)}" for p in seen.plain if not _is_safe(p)]
    none_of(
        evidence, "encrypted", "paths are not redirected to TLS", served, len(seen.plain), source
    )
    elsewhere = [
        f"{p.url} redirects to {p.answer.location}"
        for p in seen.plain
        if p.answer and _is_safe(p) and urlsplit(p.answer.location).hostname != site.host
    ]
    # The host that users typed then never gets its Strict-Transport-Security.
    none_of(
        evidence, "same-host", "paths are redirected to another host", elsewhere, len(seen.plain),
        source, warn_only=True,
    )  # fmt: skip


def _is_safe(plain: Plain) -> bool:
    answer = plain.answer
    if answer is None:
        return True
    return answer.status in _REDIRECTS and answer.location.lower().startswith("https://")


def _said(plain: Plain) -> str:
    answer = plain.answer
    if answer is None:
        return "nothing"
    return f"{answer.status} to {answer.location}" if answer.location else str(answer.status)


@check(
    "security.hsts",
    title="Every answer tells browsers to use TLS for half a year or more",
    failure_title="Strict-Transport-Security is missing on some answers, or ends too soon",
    why="""Without it the first request of every visit can go out without TLS, and whoever controls
    the network answers it. A header that only good answers have is lost where users begin: on a
    redirect or an error page.""",
    fix="""nginx:   add_header Strict-Transport-Security "max-age=31536000" always;
  An add_header inside a `location` replaces all those around it: repeat them there.
HAProxy: http-after-response set-header Strict-Transport-Security "max-age=31536000"
Begin with a short max-age: browsers that have seen it accept nothing else until it ends.
    curl -si URL/nowhere | grep -i strict""",
    severity="major",
    effect="observe",
    each="site",
    judgements=("present", "max-age"),
)
def test_hsts(site: Site, visit_of: VisitOf, evidence: Evidence) -> None:
    """On pages, refusals and errors; a header that browsers reject counts as missing."""
    seen = visit_of(site)
    source = f"GET {site.url}: strict-transport-security"
    without = headers.which(seen.answers, lambda answer: headers.hsts_s(answer) is None)
    none_of(
        evidence, "present", "answers have no valid Strict-Transport-Security", without,
        len(seen.answers), source,
    )  # fmt: skip
    ages = [age for age in map(headers.hsts_s, seen.answers) if age is not None]
    if ages:
        evidence.judge(
            "max-age",
            Measurement("shortest max-age", min(ages), "s", source, samples=len(ages)),
            at_least(site.hsts_min_s, site.deciding("hsts_min_s")),
            says=f"Browsers use TLS for {min(ages) / 86400:.3g} d after a visit",
        )


@check(
    "security.headers",
    title="Headers that protect users are on every answer, errors included",
    failure_title="Some answers lack a header that protects users",
    why="""A page without X-Frame-Options can be laid invisibly under another site, whose visitors
    then click on it; an answer without nosniff can be run as a script although it is an upload.
    Attackers choose the answer that lacks it: often an error page, as nginx leaves headers away
    there by default.""",
    fix="""nginx (`always` is what error pages need; an add_header inside a `location` replaces all
of those around it):
    add_header X-Content-Type-Options nosniff always;
    add_header X-Frame-Options SAMEORIGIN always;
    add_header Referrer-Policy strict-origin-when-cross-origin always;
HAProxy: http-after-response set-header X-Content-Type-Options nosniff
    curl -si URL/nowhere""",
    severity="major",
    effect="observe",
    each="site",
    judgements=("nosniff", "frames", "referrer"),
)
def test_headers(site: Site, visit_of: VisitOf, evidence: Evidence) -> None:
    """Frames and referrers concern what a browser renders: HTML."""
    seen = visit_of(site)
    source = f"GET {site.url}"
    for key, name, wrong, answers in (
        ("nosniff", "answers lack X-Content-Type-Options: nosniff", headers.is_sniffed,
         seen.answers),
        ("frames", "HTML answers can be framed by any site", headers.can_be_framed,
         seen.documents),
        ("referrer", "HTML answers send whole addresses to other sites", headers.tells_addresses,
         seen.documents),
    ):  # fmt: skip
        none_of(evidence, key, name, headers.which(answers, wrong), len(answers), source)


@check(
    "security.csp",
    title="A Content-Security-Policy keeps injected scripts from running",
    failure_title="Injected scripts run: no Content-Security-Policy prevents them",
    why="""Where one field is shown without escaping, an attacker's script runs with the rights of
    whoever looks at it: an administrator. A policy is the second line of defense; one that allows
    'unsafe-inline', or only reports, defends nothing.""",
    fix="""Begin with Report-Only, look at the reports, and then enforce it, on error pages too:
    add_header Content-Security-Policy "default-src 'self'; object-src 'none'" always;
Scripts inside pages: give each a nonce that is new for every answer, script-src 'nonce-...',
instead of 'unsafe-inline'.""",
    severity="major",
    effect="observe",
    each="site",
    judgements=("present", "scripts"),
)
def test_csp(site: Site, visit_of: VisitOf, evidence: Evidence) -> None:
    """Judged on every HTML answer; what is not rendered runs no scripts."""
    seen = visit_of(site)
    if not seen.documents:
        raise NotApplicable(f"none of {len(seen.answers)} answers of {site.url} is HTML")
    source = f"GET {site.url}: content-security-policy"
    without = headers.which(seen.documents, lambda answer: not headers.has_policy(answer))
    none_of(
        evidence, "present", "HTML answers enforce no Content-Security-Policy", without,
        len(seen.documents), source,
    )  # fmt: skip
    holes = [
        f"{answer.status} {answer.url} ({hole})"
        for answer in seen.documents
        if (hole := headers.script_hole(answer))
    ]
    none_of(
        evidence, "scripts", "HTML answers let injected scripts run", holes, len(seen.documents),
        source,
    )  # fmt: skip


@check(
    "security.exposed-files",
    title="No repository, settings, keys or dumps are served",
    failure_title="Files with source code, secrets or data can be downloaded",
    core=True,
    why="""Scanners request /.git/HEAD and /.env of every new host within minutes. With the
    repository comes its whole history; with the settings the passwords of the database.""",
    fix="""Take it away, and change every secret that was in it: it has been downloaded.
    nginx: location ~ /\\.(?!well-known) { return 404; }
    curl -si URL/.git/HEAD | head -1
Serve a folder that holds only what is public, and build images with a .dockerignore.""",
    severity="blocker",
    effect="observe",
    each="site",
    judgements=("files",),
)
def test_exposed_files(site: Site, visit_of: VisitOf, evidence: Evidence) -> None:
    """By their content; a path that cannot exist is requested first."""
    found = visits.exposed(visit_of(site), visits.FILES)
    none_of(
        evidence, "files", "private files are served", found.found, found.requests,
        f"GET {site.url}/.git/HEAD and others",
    )  # fmt: skip


@check(
    "security.diagnostics",
    title="Pages for operators, stack traces and lists of files are not shown to everybody",
    failure_title="The site shows how it works inside",
    why="""A status page shows the addresses and tokens of other users' requests; a profiler shows
    memory; a stack trace shows paths, versions and queries. Each saves an attacker days.""",
    fix="""Let operators reach them over a port or network of their own, and nobody else:
    nginx: location /metrics { allow 10.0.0.0/8; deny all; }
Spring: management.server.port; Go: no `import _ "net/http/pprof"` in the public server.
Stack traces: turn debugging off (DEBUG=False, NODE_ENV=production, display_errors=Off).
Lists of files: nginx `autoindex off`, Apache `Options -Indexes`.
Versions (a warning): nginx `server_tokens off`, PHP `expose_php = Off`.""",
    severity="major",
    effect="observe",
    each="site",
    judgements=("pages", "traces", "versions"),
)
def test_diagnostics(site: Site, visit_of: VisitOf, evidence: Evidence) -> None:
    """A version alone opens nothing: it is a warning."""
    seen = visit_of(site)
    with evidence.attempt():
        found = visits.exposed(seen, visits.DIAGNOSTICS)
        none_of(
            evidence, "pages", "pages for operators are served", found.found, found.requests,
            f"GET {site.url}/server-status and others",
        )  # fmt: skip
    answers = len(seen.answers) + len(seen.plain)
    shown = list(visits.shown(seen))
    none_of(evidence, "traces", "answers show the inside", shown, answers, f"GET {site.url}")
    none_of(
        evidence, "versions", "headers name a version", sorted(set(visits.banners(seen))), answers,
        f"GET {site.url}", warn_only=True,
    )  # fmt: skip


@check(
    "security.cookies",
    title="Session cookies are sent over TLS only, and scripts and other sites cannot use them",
    failure_title="A session cookie can be stolen or used by another site",
    why="""Whoever has the session cookie is the user. Without Secure it crosses the network
    readable once a link begins with http; without HttpOnly an injected script sends it away; with
    SameSite=None any site makes requests in the user's name.""",
    fix="""Set-Cookie: __Host-session=...; Path=/; Secure; HttpOnly; SameSite=Lax
Django:  SESSION_COOKIE_SECURE = True; CSRF_COOKIE_SECURE = True
Express: cookie: { secure: true, httpOnly: true, sameSite: "lax" }
Spring:  server.servlet.session.cookie.secure: true, http-only: true, same-site: lax
Each cookie in `session_cookies` must be set by one of `paths`, as the page of the login.""",
    severity="major",
    effect="observe",
    each="site",
    needs="session_cookies",
    judgements=("secure", "http-only", "same-site"),
)
def test_cookies(site: Site, visit_of: VisitOf, evidence: Evidence) -> None:
    """Of all cookies Secure is judged, of session cookies the rest; no value is recorded."""
    seen = visit_of(site)
    cookies = list(dict.fromkeys(c for answer in seen.answers for c in headers.cookies(answer)))
    sessions = [c for c in cookies if c.name in site.session_cookies]
    visits.must_set(seen, site.session_cookies, {c.name for c in sessions})
    source = f"GET {site.url}: set-cookie"
    exposed = [c.name for c in cookies if not c.secure]
    none_of(evidence, "secure", "cookies lack Secure", exposed, len(cookies), source)
    readable = [c.name for c in sessions if not c.http_only]
    none_of(
        evidence, "http-only", "session cookies lack HttpOnly", readable, len(sessions), source
    )  # fmt: skip
    foreign = [c.name for c in sessions if c.same_site not in {"lax", "strict"}]
    none_of(
        evidence, "same-site", "session cookies are sent by other sites", foreign, len(sessions),
        source,
    )  # fmt: skip


@check(
    "security.cors",
    title="No foreign site may read answers in the name of a user",
    failure_title="Any site may read what a logged-in user sees",
    why="""An answer that allows every origin, with credentials, lets each page that a user visits
    read this site as that user: orders, addresses, tokens. It is usually a line that was copied to
    make an error go away.""",
    fix="""Compare Origin with a list, character by character; no `endsWith`, no regular expression
without ^ and $, and never "null":
    nginx: map $http_origin $allowed { default ""; "https://app.example.com" $http_origin; }
           add_header Access-Control-Allow-Origin $allowed always;
See what is allowed now:
    curl -si -H 'Origin: https://evil.example' URL/PATH | grep -i access-control""",
    severity="blocker",
    effect="observe",
    each="site",
    judgements=("foreign",),
)
def test_cors(site: Site, evidence: Evidence) -> None:
    """An origin of nobody, two that resemble the own one, and `null`."""
    tried = list(access.origins(site))
    opened = [f"{one.url} allows {one.origin}" for one in tried if one.is_open]
    none_of(
        evidence, "foreign", "requests of foreign origins are allowed with credentials", opened,
        len(tried), f"GET {site.url} with Origin",
    )  # fmt: skip
