"""Finds the platforms of a target, by the files that their tools leave beside the code."""

import json
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from readiness.config.base.discovery import Finding, Gap, Line, Sources

_LINKED: Final = ".vercel/project.json"
_REFERENCE: Final = "supabase/.temp/project-ref"


class _Project(BaseModel):
    """What `vercel link` writes."""

    model_config = ConfigDict(extra="ignore")

    project: str = Field(alias="projectId")
    team: str = Field("", alias="orgId")


def vercel(sources: Sources) -> Iterator[Finding]:
    """The project that `vercel link` names."""
    if not sources.first("vercel.json", _LINKED):
        return
    host = urlsplit(sources.url).hostname or ""
    project = _linked(sources)
    if project is None or not host:
        todo = "vercel link, which writes its id" if project is None else "--url, its domain"
        yield Gap("the project on Vercel", todo)
        return
    table = ("platforms", "vercel")
    source = "set by Vercel; else: export VERCEL_GIT_COMMIT_SHA=$(git rev-parse HEAD)"
    yield Line(("target",), "release", "${VERCEL_GIT_COMMIT_SHA}", source)
    yield Line(table, "provider", "vercel", "vercel.json")
    yield Line(table, "project", project.project, _LINKED)
    if project.team.startswith("team_"):
        yield Line(table, "team", project.team, _LINKED)
    yield Line(table, "alias", host, "--url")
    yield Line(table, "token", "${VERCEL_TOKEN}", "vercel.com/account/settings/tokens")


def render(sources: Sources) -> Iterator[Finding]:
    """Render's file does not name its services' ids."""
    if sources.first("render.yaml"):
        todo = '[platforms.render] with provider = "render" and service = "srv-..."'
        yield Gap("the id of the service on Render, which render.yaml does not hold", todo)


def supabase(sources: Sources) -> Iterator[Finding]:
    """The project that `supabase link` names."""
    if not sources.first("supabase/config.toml"):
        return
    if not sources.first(_REFERENCE):
        yield Gap("the project on Supabase", "supabase link --project-ref REF")
        return
    reference = (sources.folder / _REFERENCE).read_text(encoding="utf-8", errors="replace").strip()
    table = ("platforms", "supabase")
    yield Line(table, "provider", "supabase", "supabase/config.toml")
    yield Line(table, "project", reference, _REFERENCE)
    token = "${SUPABASE_ACCESS_TOKEN}"  # noqa: S105 - the name of a variable
    yield Line(table, "token", token, "supabase.com/dashboard/account/tokens")


def _linked(sources: Sources) -> _Project | None:
    try:
        return _Project.model_validate(json.loads((sources.folder / _LINKED).read_bytes()))
    except (OSError, ValueError, ValidationError):
        return None
