"""Finds the sites to judge: the addresses of the services, if they are of https."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from readiness.config.base.discovery import Finding, Gap, Line, Sources
from readiness.lib.kubernetes.discovery import addresses


def site(sources: Sources) -> Iterator[Finding]:
    """The address of `--url` and those of Ingresses, as clients reach them."""
    found = addresses(sources)
    hosts = {urlsplit(one.url).netloc: one for one in reversed(found)}
    secure = [one for one in hosts.values() if one.url.startswith("https://")]
    for one in secure:
        yield Line(("security", "sites", one.name), "url", one.url, one.source)
    if found and not secure:
        yield Gap("an https address, as clients reach the service", "[security.sites.NAME]")
