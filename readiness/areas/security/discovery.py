"""Finds the site to judge: the service's address, if it is one of https."""

from collections.abc import Iterator

from readiness.config.base.discovery import Finding, Gap, Line, Sources


def site(sources: Sources) -> Iterator[Finding]:
    """The address of `--url`, as clients reach it."""
    if sources.url.startswith("https://"):
        yield Line(("security", "sites", sources.name), "url", sources.url, "--url")
    elif sources.url:
        yield Gap("an https address, as clients reach the service", "[security.sites.NAME]")
