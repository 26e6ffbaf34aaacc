"""The part of the reference system's readiness.toml about its security, and its audit."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final

from readiness.areas.security.reference.cache import Catalog
from readiness.areas.security.reference.publish import publishing
from readiness.servers.files import kept, quoted, write_whole

CA_FILE: Final = "ca.pem"
OLD_NEWS: Final = "In stock"
_NEWS: Final = "Sold out"
_REPORT: Final = "audit.json"
_COMMIT: Final = "audit.commit"


@dataclass(frozen=True, slots=True)
class Front:
    """The site as clients reach it.

    Attributes:
        url: its address.
        plain: its address without TLS.
        replica: the address of its second replica.
        origin: the address past the caches.
        folder: the files of the edge.
    """

    url: str
    plain: str
    replica: str
    origin: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Audited:
    """The report of an audit, in the form of pip-audit, and the commit that it is of."""

    report: Path
    commit_file: Path
    commit: str


def write_audit(folder: Path, commit: str) -> Audited:
    """Write what pip-audit writes of an environment without known vulnerabilities."""
    names = sorted({(found.name, found.version) for found in distributions()})
    listed = [{"name": name, "version": version, "vulns": []} for name, version in names]
    made = Audited(folder / _REPORT, folder / _COMMIT, commit)
    made.report.write_text(json.dumps({"dependencies": listed, "fixes": []}), encoding="utf-8")
    made.commit_file.write_text(f"{commit}\n", encoding="ascii")
    return made


class AuditLevers:
    """Breaks the report about dependencies; a part of `Levers`."""

    _audited: Audited

    @contextlib.contextmanager
    def edit_audit(self, change: Callable[[Any], object]) -> Iterator[None]:
        """Change the report; `change` gets its document."""
        with kept(self._audited.report):
            document = json.loads(self._audited.report.read_bytes())
            change(document)
            write_whole(self._audited.report, json.dumps(document).encode())
            yield

    @contextlib.contextmanager
    def age_audit(self, hours: float) -> Iterator[None]:
        """Make the report older."""
        with kept(self._audited.report):
            made = self._audited.report.stat().st_mtime - hours * 3600
            os.utime(self._audited.report, (made, made))
            yield

    @contextlib.contextmanager
    def audit_of(self, commit: str) -> Iterator[None]:
        """Let the report be of another commit."""
        with kept(self._audited.commit_file):
            write_whole(self._audited.commit_file, commit.encode())
            yield


def security(front: Front | None, audited: Audited, catalog: Catalog | None) -> str:
    """The tables [security.sites] and [security.dependencies], for the parts that run."""
    tables = _AUDIT.format(
        report=quoted(str(audited.report)),
        commit=audited.commit,
        commit_file=quoted(str(audited.commit_file)),
    )
    if front is None:
        return tables
    site = _SITE.format(
        front=front,
        ca_file=quoted(str(front.folder / CA_FILE)),
        command=_listed(publishing(front.folder, _NEWS)),
        undo=_listed(publishing(front.folder, OLD_NEWS)),
    )
    if catalog is None:
        return tables + site
    words = {
        name: _listed(catalog.command(verb, str(catalog.folder)))
        for name, verb in (("away", "pause"), ("back", "resume"), ("answers", "ping"))
    }
    return tables + site + _CACHE.format(origin=catalog.daemon.url, **words)


def _listed(words: list[str]) -> str:
    return ", ".join(map(quoted, words))


_AUDIT: Final = """
# What the pipeline found among the dependencies of this commit.
[security.dependencies.service]
report = {report}
commit = "{commit}"
commit_file = {commit_file}
"""

_CACHE: Final = """
# The pages of the catalog are kept in Redis; without it they take 50 ms longer.
[security.sites.shop.cache_drill]
cache = "Redis"
origin = "{origin}"
path = "/catalog/"
away = [{away}]
back = [{back}]
answers = [{answers}]
max_ms = 1000
"""

_SITE: Final = """
# The site as clients reach it: nginx in front of the service.
[security.sites.shop]
url = "{front.url}"
plain = "{front.plain}"
ca_file = {ca_file}
paths = ["/", "/login/", "/version"]
session_cookies = ["session"]

[security.sites.shop.pages.settings]
path = "/admin/settings"
secret = "${{REFERENCE_ADMIN_TOKEN}}"

[security.sites.shop.jobs.expire-orders]
path = "/cron/expire-orders"
header = "X-Cron-Secret"
scheme = ""

[security.sites.shop.cached.news]
path = "/news/"

# Both replicas must show the news at once.
[security.sites.shop.cached.news.change]
command = [{command}]
undo = [{undo}]
origin = "{front.origin}"
replicas = ["{front.url}", "{front.replica}"]
within_s = 1

# 60 requests a minute, and 20 more at once.
[security.sites.shop.rate_limit]
path = "/search/"
requests = 60
burst = 20

[security.sites.shop.body_limit]
path = "/api/orders"
max_bytes = 1048576
"""
