"""A project on Supabase: whether it runs, what its advisors find, its backups.

supabase.com/docs/reference/api (OpenAPI at api.supabase.com/api/v1): "Get a specific project",
"Gets project's service health status", "Gets project security advisors", "Gets project performance
advisors", "Lists all backups".
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, Self

from pydantic import Field, TypeAdapter

from readiness.areas.platforms.config import Supabase
from readiness.areas.platforms.probes.live import api_of
from readiness.lib import api
from readiness.lib.text import clean
from readiness.lib.vendor import Client

_SCOPES: Final = (
    "give the token read access to projects, database and advisors, and its owner a role in the"
    " organization that has the project"
)
HEALTHY: Final = "ACTIVE_HEALTHY"
_COMPLETED: Final = "COMPLETED"
_ERROR: Final = "ERROR"


class _Project(api.Reply):
    status: str


class _Service(api.Reply):
    name: str
    status: str
    error: str | None = None


class _Metadata(api.Reply):
    schema_: str | None = Field(None, alias="schema")
    name: str | None = None
    entity: str | None = None


class _Lint(api.Reply):
    name: str
    level: str
    detail: str = ""
    metadata: _Metadata | None = None

    @property
    def object(self) -> str:
        """What it is about, as `public.orders`; empty if that is not an object."""
        about = self.metadata
        if about is None:
            return ""
        parts = (about.schema_, about.name) if about.name else (about.entity,)
        return ".".join(part for part in parts if part)


class _Lints(api.Reply):
    lints: tuple[_Lint, ...]


class _Backup(api.Reply):
    status: str
    inserted_at: datetime


class _Physical(api.Reply):
    latest_physical_backup_date_unix: int | None = None


class _Backups(api.Reply):
    pitr_enabled: bool
    backups: tuple[_Backup, ...]
    physical_backup_data: _Physical = _Physical()


_PROJECT: Final = TypeAdapter(_Project)
_SERVICES: Final = TypeAdapter(tuple[_Service, ...])
_LINTS: Final = TypeAdapter(_Lints)
_BACKUPS: Final = TypeAdapter(_Backups)


@dataclass(frozen=True, slots=True)
class Finding:
    """What an advisor found, of level ERROR.

    Attributes:
        rule: the name of its rule.
        object: what it is about; empty if that is not an object.
    """

    rule: str
    object: str

    def is_accepted(self, accepted: list[str]) -> bool:
        """Whether one of the accepted findings names it, or its rule."""
        return self.rule in accepted or str(self) in accepted

    def __str__(self) -> str:
        return clean(f"{self.rule}:{self.object}" if self.object else self.rule)


@dataclass(frozen=True, slots=True)
class Saved:
    """The backups of a project.

    Attributes:
        newest: when the newest one was made; None without any.
        count: how many are complete.
        point_in_time: whether any point in time can be restored.
    """

    newest: datetime | None
    count: int
    point_in_time: bool


class Project:
    """A project, a context manager. Every method raises `CouldNotMeasure` and its kinds."""

    def __init__(self, supabase: Supabase) -> None:
        self._supabase = supabase
        self.source = f"GET {supabase.address}/projects/{supabase.project}"
        self._path = f"/projects/{supabase.project}"
        self._client = Client(api_of(supabase, supabase.project, "`project` and `url`", _SCOPES))

    def __enter__(self) -> Self:
        self._client.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.__exit__(*exception)

    def status(self) -> str:
        """Its state, as `ACTIVE_HEALTHY`, `INACTIVE` (paused), `RESTORING`."""
        return clean(self._client.read(self._path, _PROJECT).status, 40)

    def services(self) -> dict[str, str]:
        """The state of each declared service; one that is not reported is missing."""
        asked = "&".join(f"services={name}" for name in self._supabase.services)
        found = self._client.read(f"{self._path}/health?{asked}", _SERVICES)
        return {
            one.name: clean(f"{one.status} {one.error}" if one.error else one.status)
            for one in found
        }

    def findings(self, advisor: Literal["security", "performance"]) -> list[Finding]:
        """What the advisor found, of level ERROR."""
        found = self._client.read(f"{self._path}/advisors/{advisor}", _LINTS)
        return [Finding(one.name, one.object) for one in found.lints if one.level == _ERROR]

    def backups(self) -> Saved:
        """Its backups."""
        found = self._client.read(f"{self._path}/database/backups", _BACKUPS)
        complete = [_aware(one.inserted_at) for one in found.backups if one.status == _COMPLETED]
        latest = found.physical_backup_data.latest_physical_backup_date_unix
        times = [*complete, *([datetime.fromtimestamp(latest, UTC)] if latest else [])]
        return Saved(max(times, default=None), len(complete), found.pitr_enabled)


def _aware(moment: datetime) -> datetime:
    """Their times are UTC, with or without saying so."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
