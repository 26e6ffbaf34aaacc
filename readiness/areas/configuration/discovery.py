"""Finds what an application's environment is declared in, and the CI of its commits."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from readiness.config.base import NAME_PATTERN
from readiness.config.base.discovery import Finding, Gap, Line, Sources, Value
from readiness.lib import compose_file
from readiness.lib.yaml_reader import BrokenYaml, Scalars, read_one
from readiness.model.errors import NoData

_EXAMPLES: Final = (".env.example", ".env.sample", ".env.template", "env.example")
_WORKFLOWS: Final = (".github/workflows/*.yml", ".github/workflows/*.yaml")
_GITLAB: Final = ".gitlab-ci.yml"
_REMOTE: Final = re.compile(
    r"url = \S*?(github\.com|gitlab\.com)[:/]+([\w./-]+?)(?:\.git)?\s*$", re.MULTILINE
)
# Keys of .gitlab-ci.yml that are no jobs: docs.gitlab.com/ci/yaml, "Global keywords" and others.
_NO_JOBS: Final = frozenset({
    *("default", "include", "stages", "variables", "workflow", "image", "services", "cache"),
    *("before_script", "after_script", "spec"),
})  # fmt: skip
_ON_COMMITS: Final = {"push", "pull_request"}
_TABLE: Final = ("configuration", "ci")


def application(sources: Sources) -> Iterator[Finding]:
    """The variables that `.env.example` lists, and where they are set."""
    example = sources.first(*_EXAMPLES)
    if not example:
        yield Gap("the variables that the application needs", "a .env.example beside the code")
        return
    declared, source = _declared(sources)
    table = ("configuration", "applications", sources.name)
    if not declared:
        yield Gap("where the environment is written", f"`declared` in [{'.'.join(table)}]")
        return
    yield Line(table, "example", example, "the variables that it needs")
    yield Line(table, "declared", declared, source)


def _declared(sources: Sources) -> tuple[Mapping[str, Value], str]:
    """The service that compose builds here, else `.env`; empty if there is neither."""
    if compose := sources.first(*compose_file.NAMES):
        services = _mapping(_read(sources.folder / compose).get("services"))
        built = [name for name, one in services.items() if "build" in _mapping(one)]
        if len(built) == 1 and re.match(NAME_PATTERN, built[0]):
            return {"compose": compose, "service": built[0]}, f"the service that {compose} builds"
    if sources.first(".env"):
        return {"env_file": ".env"}, "in this folder"
    return {}, ""


def ci(sources: Sources) -> Iterator[Finding]:
    """The jobs of GitHub Actions or GitLab that a commit must have passed."""
    workflows = sources.files(*_WORKFLOWS)
    provider = "github" if workflows else "gitlab" if sources.first(_GITLAB) else ""
    if not provider:
        yield Gap("the CI of the release", "[configuration.ci]")
        return
    repository = _repository(sources.folder, provider)
    if not repository:
        yield Gap("the repository of the CI: .git/config names none", "[configuration.ci]")
        return
    jobs = _gitlab(sources) if provider == "gitlab" else _github(sources, workflows)
    if not jobs:
        yield Gap("a job that runs for each commit", "`required` in [configuration.ci]")
        return
    variable = "GITHUB_SHA" if provider == "github" else "CI_COMMIT_SHA"
    source = f"set by the CI; else: export {variable}=$(git rev-parse HEAD)"
    yield Line(("target",), "release", f"${{{variable}}}", source)
    yield Line(_TABLE, "provider", provider, workflows[0] if workflows else _GITLAB)
    yield Line(_TABLE, "repository", repository, ".git/config; a private one needs `token`")
    yield Line(_TABLE, "required", jobs, "its jobs")


def _github(sources: Sources, workflows: list[str]) -> list[str]:
    """The names of the jobs of workflows that run for commits; those of a matrix with `(*)`."""
    found: dict[str, None] = {}
    for name in workflows:
        document = _read(sources.folder / name)
        on = document.get("on")
        events = {on} if isinstance(on, str) else set(on) if isinstance(on, list | dict) else set()
        if not events & _ON_COMMITS:
            continue
        for key, job in _mapping(document.get("jobs")).items():
            shown = str(_mapping(job).get("name", key))
            many = bool(_mapping(_mapping(job).get("strategy")).get("matrix"))
            pattern = re.sub(r"\$\{\{.*?\}\}", "*", shown)
            found[pattern if pattern != shown or not many else f"{shown} (*)"] = None
    return list(found)


def _gitlab(sources: Sources) -> list[str]:
    document = _read(sources.folder / _GITLAB)
    return [
        name
        for name, job in document.items()
        if name not in _NO_JOBS and not name.startswith(".") and "script" in _mapping(job)
    ]


def _repository(folder: Path, provider: str) -> str:
    try:
        text = (folder / ".git" / "config").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    found = _REMOTE.search(text)
    return found[2] if found and found[1] == f"{provider}.com" else ""


def _read(path: Path) -> Mapping[str, object]:
    try:
        return _mapping(read_one(path.read_text(encoding="utf-8-sig"), Scalars.TEXTS))
    except (OSError, UnicodeDecodeError) as error:
        raise NoData(f"cannot be read: {type(error).__name__}", where=str(path)) from None
    except BrokenYaml as error:
        raise NoData(f"is not valid YAML: {error}", where=str(path)) from None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
