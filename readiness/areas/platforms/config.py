"""The models of [platforms.NAME]: what hosts the target, and where its source is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import Count, Model, Name, Named, Path_, Positive, Text, Url, tables
from readiness.model.secrets import Secret

RELEASE: Final = "{release}"
PROBE: Final = "{probe}"
# One segment of a path of an API: nothing in it may lead to another one.
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
Repository = Annotated[str, StringConstraints(pattern=r"^[\w.-]+(/[\w.-]+)*$")]
_PROVIDER: Final = "`vercel`, `render`, `supabase`, `github` or `gitlab`"
_PROJECT: Final = "id of the project; with Vercel also its name, with Supabase its reference id"
_REPOSITORY: Final = "owner/name; with GitLab the path or the number of the project"
_BRANCH: Final = "the branch that releases are made from; default: the default branch"
_GATE: Final = "GitHub and GitLab: the job that runs this gate, which must be required"
_HEADER: Final = r"^[A-Za-z0-9-]{1,64}$"


class Step(Model):
    """An address that is asked with GET."""

    url: Annotated[Url, Field(max_length=2000)] = Field(
        ..., description="the address; `{probe}` becomes the probe's id, here and in `query`"
    )
    query: str = Field("", description="what follows `?`, as `id=eq.{probe}`")
    token: Secret | None = Field(None, description="sent in `header`")
    header: Annotated[str, StringConstraints(pattern=_HEADER)] = Field(
        "Authorization",
        description="the header with the token, as `apikey`; in `Authorization` after `Bearer`",
    )

    def address(self, probe: str) -> str:
        """The address for this probe."""
        filled = f"{self.url}?{self.query}" if self.query else self.url
        return filled.replace(PROBE, probe)


class Transaction(Model):
    """A synthetic transaction: what enters it, and where its probe must then be seen."""

    enter: Step = Field(..., description="where it enters, at the first platform of its way")
    seen: Annotated[list[Step], Field(min_length=1)] = Field(
        ...,
        description="where the answer must then contain the probe's id, in the order of its way;"
        " the last is at this platform",
    )
    within_s: Positive = Field(10, description="seconds from entering to the last place")
    timeout_s: Positive = Field(10, description="seconds; time-out of a request")

    @model_validator(mode="after")
    def _names_the_probe(self) -> Self:
        if PROBE not in self.enter.url + self.enter.query:
            raise PydanticCustomError(
                "platforms_probe", "`url` or `query` of `enter` must contain {probe}"
            )
        return self


class Platform(Named):
    """What the tables of all platforms have."""

    api: ClassVar[str] = ""

    url: Url | None = Field(None, description="address of the API; default: the vendor's own")
    token: Secret | None = Field(
        None, description="a token of the API that may read; it needs no other right"
    )
    timeout_s: Positive = Field(10, description="seconds; time-out of a request")
    rate_limit_wait_s: Annotated[float, Field(ge=0)] = Field(
        5, description="seconds that are waited at most where the API answers with `Retry-After`"
    )
    verify_tls: bool = Field(True, description="whether the certificate must be valid")
    transaction: Transaction | None = Field(
        None, description="a transaction through the platforms that ends at this one"
    )

    @property
    def address(self) -> str:
        """The address of the API."""
        return self.url or self.api


class Host(Platform):
    """A platform that runs a release."""

    commit: Text = Field(
        RELEASE,
        description="Vercel and Render: the release as the platform knows it: a commit, whole or"
        " its beginning; a tag, which [platforms.NAME] of GitHub or GitLab resolves; or the tag or"
        " digest of an image."
        " `{release}` is [target] release, as in `v{release}`",
    )
    serves: Name | None = Field(
        None,
        description="Vercel and Render: the [services.NAME] that it serves, whose own version must"
        " agree",
    )
    version_path: Path_ = Field("/version", description="path of that version, a JSON object")
    version_field: Text = Field("version", description="key of the version in it")


class Vercel(Host):
    """A project on Vercel."""

    api: ClassVar[str] = "https://api.vercel.com"

    provider: Literal["vercel"] = Field(..., description=_PROVIDER)
    project: Id = Field(..., description=_PROJECT)
    team: Id | None = Field(
        None, description="Vercel: id of the team, as `team_...`, unless it is yours"
    )
    alias: Id = Field(..., description="Vercel: the domain that users open, as `shop.example.com`")
    target: Literal["production", "staging", "preview"] = Field(
        "production", description="Vercel: for what the deployment at the alias must have been made"
    )
    drains: list[Literal["log", "trace", "analytics", "speedInsights"]] = Field(
        default=[], description="Vercel: data that enabled drains must send to your monitoring"
    )

    @property
    def monitored(self) -> list[str]:
        """What must be sent to the monitoring."""
        return [str(one) for one in self.drains]

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """The domain."""
        return {"DOMAIN": self.alias}


class Render(Host):
    """A service on Render."""

    api: ClassVar[str] = "https://api.render.com/v1"

    provider: Literal["render"] = Field(..., description=_PROVIDER)
    service: Id = Field(..., description="Render: id of the service, as `srv-...`")
    health_path: Path_ | None = Field(
        None, description="Render: its health check path; default: a web service must have any"
    )
    min_instances: Count | None = Field(
        None, description="Render: the least instances that must always run, if agreed"
    )
    max_instances: Count | None = Field(
        None, description="Render: the instances up to which it must be able to scale, if agreed"
    )
    streams: list[Literal["logs", "metrics"]] = Field(
        default=[], description="Render: data that streams must send to your monitoring"
    )

    @property
    def monitored(self) -> list[str]:
        """What must be sent to the monitoring."""
        return [str(one) for one in self.streams]

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """The id of the service."""
        return {"SERVICE": self.service}


class Supabase(Platform):
    """A project on Supabase."""

    api: ClassVar[str] = "https://api.supabase.com/v1"

    provider: Literal["supabase"] = Field(..., description=_PROVIDER)
    project: Id = Field(..., description=_PROJECT)
    services: Annotated[
        list[
            Literal[
                "auth",
                "db",
                "db_postgres_user",
                "pg_bouncer",
                "pooler",
                "realtime",
                "rest",
                "storage",
            ]
        ],
        Field(min_length=1),
    ] = Field(["db"], description="Supabase: its services that must be healthy")
    advisors: list[Literal["security", "performance"]] = Field(
        ["security", "performance"],
        description="Supabase: the advisors that may find nothing of level ERROR",
    )
    accepted: list[Text] = Field(
        default=[],
        description="Supabase: accepted findings of the advisors: `rule`, or `rule:schema.object`,"
        " as `security_definer_view:public.orders_view`",
    )
    backups: bool = Field(
        True,
        description="Supabase: whether Supabase makes backups; false where only [backup.NAME] does",
    )
    # Supabase makes one a day (supabase.com/docs/guides/platform/backups); two hours of tolerance.
    backup_max_age_h: Positive = Field(26, description="Supabase: hours; age of the newest backup")
    point_in_time: bool = Field(
        False, description="Supabase: whether restores to any point in time were agreed"
    )


class Github(Platform):
    """A repository on GitHub."""

    api: ClassVar[str] = "https://api.github.com"

    provider: Literal["github"] = Field(..., description=_PROVIDER)
    repository: Repository = Field(..., description=_REPOSITORY)
    branch: Text | None = Field(None, description=_BRANCH)
    gate: Text = Field(..., description=_GATE)

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """The repository."""
        return {"REPOSITORY": self.repository}


class Gitlab(Platform):
    """A project on GitLab."""

    api: ClassVar[str] = "https://gitlab.com/api/v4"

    provider: Literal["gitlab"] = Field(..., description=_PROVIDER)
    repository: Repository = Field(..., description=_REPOSITORY)
    branch: Text | None = Field(None, description=_BRANCH)
    gate: Text = Field(..., description=_GATE)


def _kind(table: object) -> str:
    """Which of them a table means, so that only the mistakes of that one are reported."""
    if isinstance(table, dict):
        return str(table.get("provider", "vercel"))
    return str(getattr(table, "provider", "vercel"))


AnyPlatform = Annotated[
    Annotated[Vercel, Tag("vercel")]
    | Annotated[Render, Tag("render")]
    | Annotated[Supabase, Tag("supabase")]
    | Annotated[Github, Tag("github")]
    | Annotated[Gitlab, Tag("gitlab")],
    Discriminator(
        _kind,
        custom_error_type="platforms_provider",
        custom_error_message="`provider` must be vercel, render, supabase, github or gitlab",
    ),
]


class Config(tables.Config):
    """The tables of the platforms."""

    platforms: Annotated[dict[Name, AnyPlatform], Field(min_length=1)] = Field(
        default={}, description="the platforms of the target, as [platforms.NAME]"
    )

    @model_validator(mode="after")
    def _of_the_release(self) -> Self:
        filled = {
            name: one.model_copy(
                update={"commit": one.commit.replace(RELEASE, self.target.release)}
            )
            for name, one in self.platforms.items()
            if isinstance(one, Host)
        }
        if not filled:
            return self
        return self.model_copy(update={"platforms": {**self.platforms, **filled}})

    @property
    def hosts(self) -> list[Vercel | Render]:
        """The platforms that run a release."""
        return [one for one in self.platforms.values() if isinstance(one, Vercel | Render)]

    @property
    def projects(self) -> list[Supabase]:
        """The platforms that hold the data."""
        return [one for one in self.platforms.values() if isinstance(one, Supabase)]

    @property
    def repositories(self) -> list[Github | Gitlab]:
        """The platforms that hold the source."""
        return [one for one in self.platforms.values() if isinstance(one, Github | Gitlab)]


class Everywhere:
    """All platforms together: the subject of what concerns several of them."""

    name: ClassVar[str] = "all"

    def __init__(self, config: Config) -> None:
        self.config = config


@dataclass(frozen=True, slots=True)
class Arrival:
    """The transaction that ends at a platform.

    Attributes:
        name: that of the platform.
        transaction: how it comes there.
    """

    name: str
    transaction: Transaction
