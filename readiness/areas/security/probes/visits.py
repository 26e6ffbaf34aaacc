"""One visit of a site: the answers that its headers, cookies and pages are judged on.

Requests are GET, and none carries credentials, so that a certificate that is not valid does not
hide the rest: it is judged on its own.
"""

import re
import secrets
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from readiness.areas.security.config import Site
from readiness.lib.http import Answer, Session
from readiness.model.errors import NoData, TookTooLong, Unreachable

_SUCCESSES: Final = range(200, 300)
_ERRORS: Final = range(400, 600)
_HTML: Final = {"text/html", "application/xhtml+xml"}
_BODY_BYTES: Final = 64 * 1024
_FILE_BYTES: Final = 4096
_DOTALL: Final = re.DOTALL | re.MULTILINE


@dataclass(frozen=True, slots=True)
class Plain:
    """The answer without TLS to one path.

    Attributes:
        url: the address.
        answer: what it answered; None if nothing answers there.
    """

    url: str
    answer: Answer | None


@dataclass(frozen=True)
class Visit:
    """What a site answered.

    Attributes:
        site: the site.
        pages: the answers to its `paths`.
        missing: the answer to a path that cannot exist.
        refused: the answers to its protected pages, without credentials.
        plain: the answers without TLS, to the first path and to the one that cannot exist.
    """

    site: Site
    pages: tuple[Answer, ...]
    missing: Answer
    refused: tuple[Answer, ...]
    plain: tuple[Plain, ...]

    @cached_property
    def answers(self) -> tuple[Answer, ...]:
        """All answers over TLS: of pages, of a path that does not exist, of refusals."""
        return (*self.pages, self.missing, *self.refused)

    @property
    def documents(self) -> list[Answer]:
        """The answers that a browser renders: HTML, whatever the status; redirects are not."""
        return [a for a in self.answers if a.media_type in _HTML and not a.location]

    def must_tell_missing(self) -> None:
        """Require that a path that cannot exist is refused.

        Raises:
            NoData: it is not, so that what other paths answer shows nothing.
        """
        if self.missing.status in _ERRORS or self.site.catch_all:
            return
        raise NoData(
            f"answers {self.missing.status} to a path that cannot exist, so that an answer does not"
            " show that a file is there",
            where=self.missing.url,
            remedy="let unknown paths answer 404; for a single-page application set"
            f" `catch_all = true` in [{self.site.place}]",
        )


def visit(site: Site) -> Visit:
    """Request its pages, a path that cannot exist, and the same without TLS.

    Raises:
        CouldNotMeasure: and its kinds, see `Session.request`: it does not answer.
    """
    nowhere = f"/readiness-{secrets.token_hex(8)}"
    protected = [page.path for page in site.pages.values()]
    with anonymous(site) as session:

        def at(path: str) -> Answer:
            return session.get(
                f"{site.url}{path}", accept="text/html,*/*", max_bytes=_BODY_BYTES, cut=True
            )

        pages = tuple(at(path) for path in dict.fromkeys(site.paths))
        missing = at(nowhere)
        refused = tuple(at(path) for path in dict.fromkeys(protected))
    plain = tuple(_plain(site, path) for path in (site.paths[0], nowhere))
    return Visit(site, pages, missing, refused, plain)


def anonymous(site: Site) -> Session:
    """A session without credentials, for which any certificate will do."""
    return Session(timeout_s=site.timeout_s, verify=False)


def trusting(site: Site) -> Session:
    """A session for requests with credentials: the certificate must be valid."""
    return Session(timeout_s=site.timeout_s, authority=site.ca_file or "")


def _plain(site: Site, path: str) -> Plain:
    url = f"{site.unencrypted}{path}"
    with anonymous(site) as session:
        try:
            return Plain(url, session.get(url, max_bytes=_BODY_BYTES, cut=True))
        except (Unreachable, TookTooLong):
            # The site answers over TLS, as that is asked first; a declared address must answer.
            if site.plain:
                raise
            return Plain(url, None)


@dataclass(frozen=True, slots=True)
class Trace:
    """What gives a file or page away that should not be served.

    Attributes:
        path: where it is.
        pattern: what its content looks like.
        what: what it shows.
    """

    path: str
    pattern: re.Pattern[bytes]
    what: str


def _trace(path: str, pattern: bytes, what: str) -> Trace:
    return Trace(path, re.compile(pattern, _DOTALL), what)


_SETTINGS: Final = rb"\A(?!\s*<)(?:.*\n)?(?:export )?[A-Z][A-Z0-9_]+ ?="
_SQL: Final = rb"database dump|CREATE TABLE|INSERT INTO|COPY \S+ .*FROM stdin"
FILES: Final = (
    _trace("/.git/HEAD", rb"\A(?:ref: refs/|[0-9a-f]{40}\s)", "the source code and its history"),
    _trace("/.git/config", rb"^\[core\]", "the repository, maybe with a token in its address"),
    _trace("/.svn/wc.db", rb"\ASQLite format 3", "the source code"),
    _trace("/.env", _SETTINGS, "settings with secrets"),
    _trace("/.env.local", _SETTINGS, "settings with secrets"),
    _trace("/.env.production", _SETTINGS, "settings with secrets"),
    _trace("/.npmrc", rb"_auth(?:Token)?\s*=", "a token of the package registry"),
    _trace("/.aws/credentials", rb"aws_access_key_id", "keys of the cloud account"),
    _trace("/.htpasswd", rb"\A[^:\s<]+:(?:\$|\{SHA\})", "password hashes"),
    _trace("/id_rsa", rb"\A-----BEGIN [A-Z ]*PRIVATE KEY", "a private key"),
    _trace("/backup.sql", _SQL, "a dump of the database"),
    _trace("/dump.sql", _SQL, "a dump of the database"),
    _trace("/config.php.bak", rb"<\?php", "settings with secrets"),
    _trace("/docker-compose.yml", rb"^services:", "how it is deployed"),
)
"""Files that no site serves on purpose."""
DIAGNOSTICS: Final = (
    _trace("/server-status", rb"Apache Server Status", "the requests of all users"),
    _trace("/nginx_status", rb"\AActive connections:", "the load of the server"),
    _trace("/debug/pprof/", rb"/debug/pprof|<title>.*pprof", "memory and stacks of the process"),
    _trace("/debug/vars", rb'"memstats"', "the command line of the process"),
    _trace("/actuator/env", rb'"propertySources"', "all settings"),
    _trace("/actuator/httptrace", rb'"traces"', "the requests of all users"),
    _trace("/phpinfo.php", rb"phpinfo\(\)", "all settings"),
    _trace("/metrics", rb"^# (?:HELP|TYPE) \S+ ", "how much the business does"),
    _trace("/__debug__/", rb"djdt|Django Debug Toolbar", "the debugger"),
)
"""Pages for operators."""
_SHOWN: Final = (
    (re.compile(rb"Traceback \(most recent call last\)|^\s+at [\w.$]+\([\w.]+:\d+\)|"
                rb"You're seeing this error because you have <code>DEBUG|Werkzeug Debugger|"
                rb"<b>(?:Fatal error|Warning)</b>:.* on line <b>\d+|goroutine \d+ \[running\]",
                _DOTALL), "a stack trace"),
    (re.compile(rb"<title>(?:Index of /|Directory listing for )", _DOTALL), "a list of files"),
)  # fmt: skip
_VERSIONED: Final = ("server", "x-powered-by", "x-aspnet-version", "x-generator")
_VERSION: Final = re.compile(r"\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Exposed:
    """What a site serves that it should not.

    Attributes:
        found: what is served, as `/.env (settings with secrets)`.
        requests: how many paths were tried.
    """

    found: tuple[str, ...]
    requests: int


def exposed(seen: Visit, traces: tuple[Trace, ...]) -> Exposed:
    """Try paths that should not be served; only their content counts, not their status.

    Raises:
        NoData: the site answers to paths that cannot exist.
        CouldNotMeasure: and its kinds, see `Session.request`.
    """
    seen.must_tell_missing()
    found = []
    with anonymous(seen.site) as session:
        for trace in traces:
            answer = session.get(f"{seen.site.url}{trace.path}", max_bytes=_FILE_BYTES, cut=True)
            if answer.status in _SUCCESSES and trace.pattern.search(answer.body):
                found.append(f"{trace.path} ({trace.what})")
    return Exposed(tuple(found), len(traces))


def shown(seen: Visit) -> Iterator[str]:
    """What bodies show of the inside, as "a stack trace at /page"."""
    for answer in (*seen.answers, *(plain.answer for plain in seen.plain if plain.answer)):
        for pattern, what in _SHOWN:
            if pattern.search(answer.body):
                yield f"{what} at {answer.url} ({answer.status})"


def banners(seen: Visit) -> Iterator[str]:
    """Headers with the version of a program, as "server: nginx/1.22.1"."""
    for answer in seen.answers:
        for name in _VERSIONED:
            text = answer.headers.get(name, "")
            if _VERSION.search(text):
                yield f"{name}: {text}"


def must_set(seen: Visit, wanted: Iterable[str], names: Collection[str]) -> None:
    """Require that cookies were set.

    Args:
        seen: the visit.
        wanted: names of the cookies.
        names: those that were set.

    Raises:
        NoData: one was not, so that nothing is known of it.
    """
    missing = sorted(set(wanted) - set(names))
    if missing:
        raise NoData(
            f"none of {len(seen.answers)} answers sets the cookie {', '.join(missing)}",
            where=seen.site.url,
            remedy=f"add the page that sets it to `paths` in [{seen.site.place}], as the login; or"
            " correct `session_cookies`",
        )
