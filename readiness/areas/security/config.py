"""The tables of security: sites as clients reach them, and audits of dependencies."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import (
    Command,
    Count,
    File,
    Model,
    Name,
    Named,
    Path_,
    Positive,
    Text,
    Url,
    tables,
)
from readiness.lib.findings import SeverityWord
from readiness.model.secrets import Secret

HEADER_PATTERN: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"
Header = Annotated[str, StringConstraints(pattern=HEADER_PATTERN)]


def _encrypted(url: str) -> str:
    if not url.startswith("https://") or "@" in url:
        raise PydanticCustomError("https", "must begin with https://, and name no user")
    return url


HttpsUrl = Annotated[Url, AfterValidator(_encrypted)]


class Protected(Named):
    """A page that opens with the right credentials only, `[security.sites.NAME.pages.NAME]`."""

    path: Path_ = Field(..., description="the path; a GET of it must change nothing")
    header: Header = Field("Authorization", description="the header that carries the credentials")
    scheme: str = Field(
        "Bearer ", description='text before the secret in that header, as "Bearer "; may be empty'
    )
    secret: Secret | None = Field(
        None, description="the right credentials: shows that the page opens with them"
    )


class ScheduledJob(Named):
    """A job that a scheduler starts by a request, `[security.sites.NAME.jobs.NAME]`.

    It is requested with credentials that it must refuse, and never with the right ones.
    """

    path: Path_ = Field(..., description="the path")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(
        "POST", description="the method of the request"
    )
    header: Header = Field("Authorization", description="the header that carries the credentials")
    scheme: str = Field(
        "Bearer ", description='text before the secret in that header, as "Bearer "; may be empty'
    )


class RateLimit(Model):
    """How many requests one client may send, `[security.sites.NAME.rate_limit]`."""

    path: Path_ = Field(..., description="a path that is limited; requested by GET")
    requests: Annotated[int, Field(gt=0, le=10_000)] = Field(
        ..., description="requests that one client may send in `per_s`"
    )
    per_s: Positive = Field(60, description="seconds in which it may send them")
    burst: Annotated[int, Field(ge=0, le=10_000)] = Field(
        0, description="requests that it may send beyond that at once"
    )
    claims: bool = Field(
        True,
        description="whether each request claims another client in `X-Forwarded-For`, which the"
        " limit must not believe; false where the edge trusts this machine as a proxy",
    )


class BodyLimit(Model):
    """How large a request may be, `[security.sites.NAME.body_limit]`."""

    path: Path_ = Field(..., description="a path that takes a body")
    method: Literal["POST", "PUT", "PATCH"] = Field("POST", description="the method")
    max_bytes: Annotated[int, Field(gt=0, le=1 << 27)] = Field(
        ..., description="bytes; the largest body that is taken"
    )


class Change(Model):
    """How a cached page is changed, and where the change must be seen."""

    command: Command = Field(..., description="the command that changes what the page shows")
    undo: Command = Field(..., description="the command that changes it back")
    origin: Url = Field(
        ..., description="address of the service past all caches, as `http://10.0.0.5:8080`"
    )
    replicas: Annotated[list[Url], Field(min_length=1)] = Field(
        ..., description="addresses of all replicas that keep it, in memory or beside them"
    )
    within_s: Positive = Field(
        ..., description="seconds after which every replica must show the change"
    )


class Cached(Named):
    """A page that a shared cache answers, `[security.sites.NAME.cached.NAME]`."""

    path: Path_ = Field(..., description="the path; the second of two requests must be a hit")
    header: Header = Field(
        "X-Cache-Status",
        description="header of the cache: `Cache-Status`, `X-Cache`, `CF-Cache-Status` or `Age`",
    )
    change: Change | None = Field(None, description="how it is changed, and where that is seen")


class CacheDrill(Model):
    """How the cache that all replicas share is taken away, `[security.sites.NAME.cache_drill]`."""

    cache: Text = Field(..., description="what is taken away, in words, as `Redis`")
    origin: Url = Field(
        ...,
        description="address of the service past caches in front of it, as `http://10.0.0.5:8080`",
    )
    path: Path_ = Field(..., description="a page that the service keeps in the cache")
    away: Command = Field(..., description="the command that takes the cache away")
    back: Command = Field(..., description="the command that restores it")
    answers: Command = Field(
        ...,
        description="a command that succeeds while the cache answers, as"
        ' `["redis-cli", "-t", "1", "ping"]`',
    )
    max_ms: Positive = Field(
        ..., description="milliseconds; the longest that the page may take without the cache"
    )
    within_s: Positive = Field(10, description="seconds until the cache must answer again")


class Site(Named):
    """A site as clients reach it, `[security.sites.NAME]`."""

    url: HttpsUrl = Field(..., description="its address, as `https://shop.example.com`")
    plain: Url | None = Field(
        None, description="its address without TLS; by default port 80 of the same host"
    )
    ca_file: File | None = Field(
        None, description="PEM file of your own authority, trusted besides those of this machine"
    )
    timeout_s: Positive = Field(5, description="seconds until a request counts as unanswered")
    paths: Annotated[list[Path_], Field(min_length=1, max_length=20)] = Field(
        ["/"], description="pages that anybody may open; the answers to them are judged"
    )
    catch_all: bool = Field(
        False,
        description="whether unknown paths answer with a page, as a single-page application does;"
        " exposed files are then recognized by their content alone",
    )
    certificate_min_days: Positive = Field(
        14, description="days; how long its certificate must still be valid"
    )
    hsts_min_s: Count = Field(
        15_768_000,
        description="seconds; the least `max-age` of `Strict-Transport-Security`: half a year, as"
        " Mozilla's HTTP Observatory requires",
    )
    session_cookies: Annotated[list[Text], Field(min_length=1)] = Field(
        default=[], description="names of the cookies that identify a user; `paths` must set them"
    )
    pages: Annotated[dict[Name, Protected], Field(min_length=1)] = Field(
        default={}, description="pages that need credentials, as [security.sites.NAME.pages.NAME]"
    )
    jobs: Annotated[dict[Name, ScheduledJob], Field(min_length=1)] = Field(
        default={}, description="jobs of a scheduler, as [security.sites.NAME.jobs.NAME]"
    )
    rate_limit: RateLimit | None = Field(None, description="the agreed limit of requests")
    body_limit: BodyLimit | None = Field(None, description="the agreed limit of a body")
    cached: Annotated[dict[Name, Cached], Field(min_length=1)] = Field(
        default={}, description="cached pages, as [security.sites.NAME.cached.NAME]"
    )

    cache_drill: CacheDrill | None = Field(
        None, description="how the cache that all replicas share is taken away"
    )

    conditions: ClassVar[Mapping[str, str]] = {
        "opened": "`secret` of one of its `pages`",
        "changing": "`change` of one of its `cached` pages",
    }

    @property
    def opened(self) -> list[Protected]:
        """The pages whose credentials are known."""
        return [page for page in self.pages.values() if page.secret]

    @property
    def changing(self) -> list[Cached]:
        """The cached pages that can be changed."""
        return [cached for cached in self.cached.values() if cached.change]

    @property
    def host(self) -> str:
        """The host, without brackets around an IPv6 address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port of TLS."""
        return urlsplit(self.url).port or 443

    @property
    def unencrypted(self) -> str:
        """The address without TLS."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.plain or f"http://{host}"

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """Its addresses."""
        return {
            "URL": self.url,
            "HOST": self.host,
            "PORT": str(self.port),
            "PLAIN_URL": self.unencrypted,
            **({"LIMITED_URL": f"{self.url}{self.rate_limit.path}"} if self.rate_limit else {}),
            **({"UPLOAD_URL": f"{self.url}{self.body_limit.path}"} if self.body_limit else {}),
        }


class Audit(Named):
    """A report of known vulnerabilities, `[security.dependencies.NAME]`."""

    report: File = Field(
        ...,
        description="JSON of `pip-audit -f json`, `npm audit --json`, `osv-scanner --format json"
        " --all-packages` or `trivy --format json --list-all-pkgs`",
    )
    max_age_h: Positive = Field(
        24, description="hours; new vulnerabilities are published every day"
    )
    fails_on: SeverityWord = Field(
        "high",
        description="the least severity that fails; a vulnerability without one counts as critical",
    )
    commit: Text | None = Field(
        None, description="the commit that the report must be of, as ${GIT_COMMIT}"
    )
    commit_file: File | None = Field(
        None,
        description="a file into which the auditing job writes `git rev-parse HEAD`; not needed for"
        " `trivy repo`, which reports it",
    )
    accepted: list[Text] = Field(
        default=[], description="ids of vulnerabilities that do not apply, as `CVE-2026-1234`"
    )

    @model_validator(mode="after")
    def _a_commit_to_compare(self) -> Self:
        if self.commit_file and not self.commit:
            raise PydanticCustomError("needs", "`commit_file` needs `commit` to compare with")
        return self


class Security(Model):
    """The sites, and the audits of dependencies."""

    sites: Annotated[Mapping[Name, Site], Field(min_length=1)] = Field(
        default={}, description="the sites, as [security.sites.NAME]"
    )
    dependencies: Annotated[Mapping[Name, Audit], Field(min_length=1)] = Field(
        default={}, description="audits of dependencies, as [security.dependencies.NAME]"
    )


class Config(tables.Config):
    """The tables of security."""

    security: Security = Field(Security(), description="sites as clients reach them, and audits")
