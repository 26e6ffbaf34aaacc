"""A real edge, nginx with TLS, before a small server whose answers a test chooses."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from readiness.areas.security.config import Audit, Site
from readiness.areas.security.reference.edge import Edge, EdgeLevers
from readiness.areas.security.reference.target import CA_FILE
from readiness.lib.guardian import Guardian
from readiness.model.evidence import Evidence
from readiness.servers import programs
from tests.support.monitored_service import misses, suite
from tests.support.processes import needed
from tests.support.small_servers import Reply, SmallServer


class Front(EdgeLevers):
    """The edge, its levers, and the server behind it."""

    def __init__(self, edge: Edge, behind: SmallServer) -> None:
        self._edge = edge
        self.edge = edge
        self.behind = behind

    def site(self, **keys: object) -> Site:
        """The site as a file would declare it."""
        front = self.edge.front
        given = {"name": "shop", "url": front.url, "plain": front.plain,
                 "ca_file": str(front.folder / CA_FILE), **keys}  # fmt: skip
        return Site.model_validate(given).placed("security.sites.shop")

    @property
    def asked(self) -> list[str]:
        """What reached the server behind, as `GET /path`."""
        return [f"{method} {path}" for method, path, _ in self.behind.requests]


@contextmanager
def front(folder: Path) -> Iterator[Front]:
    """Start both; skips the test where there is no nginx."""
    program = needed(programs.NGINX)
    with SmallServer({}) as behind, Guardian() as guardian:
        behind.otherwise = lambda: _whatever_the_query(behind)
        port = urlsplit(behind.url).port or 0
        edge = Edge(program, port, folder / "edge", guardian)
        edge.daemon.start()
        try:
            yield Front(edge, behind)
        finally:
            edge.daemon.stop()


def _whatever_the_query(behind: SmallServer) -> Reply:
    path, asked, _ = behind.requests[-1][1].partition("?")
    route = behind.routes.get(path) if asked else None
    reply = route() if callable(route) else route
    return reply or Reply("no such page", 404, "text/plain")


def judged(module: str, check: str, *arguments: object) -> str:
    """The misses of a check of `suites/security` on these arguments."""
    evidence = Evidence()
    getattr(suite(f"security.{module}"), check)(*arguments, evidence)
    return misses(evidence)


def audit(report: Path, **keys: object) -> Audit:
    """An audit as a file would declare it."""
    return Audit.model_validate({"name": "service", "report": str(report), **keys})
