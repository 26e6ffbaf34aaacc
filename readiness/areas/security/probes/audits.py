"""Reads reports of known vulnerabilities: pip-audit, npm audit, osv-scanner and trivy.

What a tool did not look at is not free of vulnerabilities: a report without dependencies, of an
unknown form, too old or of another commit cannot be judged.
"""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from readiness.areas.security.config import Audit
from readiness.lib.findings import SEVERITIES, reaches
from readiness.lib.text import clean
from readiness.model.errors import NoData

_MOST_BYTES: Final = 64 << 20
_HOUR_S: Final = 3600
# CVSS 3.1, table 14.
_BY_SCORE: Final = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"))
_WORDS: Final = {"moderate": "medium", "info": "low", "negligible": "low"}
# git shortens commits to at least seven digits.
_SHORTEST_COMMIT: Final = 7


def _graded(word: object) -> str:
    """A tool's severity in our words; critical if it has none, as nobody has graded it."""
    told = str(word or "").lower()
    told = _WORDS.get(told, told)
    return told if told in SEVERITIES else SEVERITIES[-1]


Severity = Annotated[str, BeforeValidator(_graded)]


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A known vulnerability of a dependency.

    Attributes:
        id: the id that the tool gives it.
        aliases: its other ids.
        package: name and version of the dependency.
        severity: one of `SEVERITIES`; critical where the tool gives none.
        fixed_in: the versions without it; empty if there is none.
    """

    id: str
    aliases: frozenset[str]
    package: str
    severity: str
    fixed_in: str

    def __str__(self) -> str:
        fix = f", fixed in {self.fixed_in}" if self.fixed_in else ", not fixed yet"
        return f"{self.package} has {self.id} ({self.severity}{fix})"


@dataclass(frozen=True, slots=True)
class Report:
    """A report that can be judged.

    Attributes:
        tool: the tool that made it.
        dependencies: how many it looked at.
        vulnerabilities: those that it found, each once.
        age_h: hours since it was made.
    """

    tool: str
    dependencies: int
    vulnerabilities: tuple[Vulnerability, ...]
    age_h: float

    def at_least(self, severity: str, accepted: Sequence[str]) -> list[Vulnerability]:
        """Those of this severity or a worse one that are not accepted, the worst first."""
        known = set(accepted)
        found = [
            v
            for v in self.vulnerabilities
            if reaches(v.severity, severity) and known.isdisjoint({v.id, *v.aliases})
        ]
        return sorted(found, key=lambda v: (-SEVERITIES.index(v.severity), v.package, v.id))


def report(audit: Audit) -> Report:
    """Read a report.

    Raises:
        NoData: it is missing, unreadable, of an unknown form, without dependencies, too old, or of
            another commit than the declared one.
    """
    path = Path(audit.report)
    read, changed = _read(path)
    if read.looked_at == 0:
        raise NoData(
            f"{read.tool} looked at no dependency, so that it could find no vulnerability",
            where=audit.report,
            remedy="let it run where the lock file is; osv-scanner needs --all-packages, and trivy"
            " --list-all-pkgs, to name what they looked at",
        )
    _must_be_of(audit, read)
    age_h = (time.time() - (read.made.timestamp() if read.made else changed)) / _HOUR_S
    if age_h > audit.max_age_h:
        raise NoData(
            f"is {age_h:.0f} h old; limit {audit.max_age_h:g} h ({audit.deciding('max_age_h')}):"
            " vulnerabilities that were published since are not in it",
            where=audit.report,
            remedy=f"run {read.tool} again, in the pipeline of this release",
        )
    found = tuple(dict.fromkeys(read.found()))
    return Report(read.tool, read.looked_at, found, age_h)


def _read(path: Path) -> "tuple[_Document, float]":
    try:
        info = path.stat()
        if info.st_size > _MOST_BYTES:
            raise NoData(f"is larger than {_MOST_BYTES:,} bytes", where=str(path))
        document = json.loads(path.read_bytes())
    except OSError as problem:
        raise NoData(
            f"cannot be read: {(problem.strerror or str(problem)).lower()}",
            where=str(path),
            remedy="let the pipeline make it: pip-audit -f json -o FILE",
        ) from None
    except (ValueError, RecursionError):
        raise NoData(
            "is not JSON; the tool may have failed",
            where=str(path),
            remedy="look at its end, and run the tool again",
        ) from None
    form = next((form for key, form in _FORMS.items() if _has(document, key)), None)
    if form is None:
        raise NoData(
            "is not a report of pip-audit, npm audit, osv-scanner or trivy in JSON",
            where=str(path),
            remedy="make it with -f json, --json or --format json",
        )
    try:
        return form.model_validate(document), info.st_mtime
    except ValidationError as problems:
        first = problems.errors()[0]
        raise NoData(
            f"is not a valid report of {form.tool}: {'.'.join(map(str, first['loc']))}:"
            f" {first['msg']}",
            where=str(path),
            remedy=f"run {form.tool} again",
        ) from None


def _has(document: object, key: str) -> bool:
    return isinstance(document, dict) and key in document


def _must_be_of(audit: Audit, read: "_Document") -> None:
    if audit.commit is None:
        return
    told = read.commit or _noted(audit)
    if not told:
        raise NoData(
            "does not say of which commit it is",
            where=audit.report,
            remedy="let the job that makes it run `git rev-parse HEAD > FILE`, and set"
            f" `commit_file` in [{audit.place}]",
        )
    short = min(len(told), len(audit.commit))
    if short < _SHORTEST_COMMIT or told[:short] != audit.commit[:short]:
        raise NoData(
            f"is of commit {clean(told, 40)}, not of {clean(audit.commit, 40)}",
            where=audit.report,
            remedy=f"run {read.tool} for the commit that is released",
        )


def _noted(audit: Audit) -> str:
    if audit.commit_file is None:
        return ""
    try:
        return Path(audit.commit_file).read_text(encoding="utf-8", errors="replace")[:100].strip()
    except OSError as problem:
        raise NoData(
            f"cannot be read: {(problem.strerror or str(problem)).lower()}",
            where=audit.commit_file,
            remedy="let the job that makes the report run `git rev-parse HEAD > FILE`",
        ) from None


class _Part(BaseModel):
    """A part of a report; what is not read here may change."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Document(_Part, ABC):
    """A whole report."""

    tool: ClassVar[str]

    @property
    @abstractmethod
    def looked_at(self) -> int:
        """How many dependencies the tool looked at."""

    @abstractmethod
    def found(self) -> Iterator[Vulnerability]:
        """The vulnerabilities; one may be given several times."""

    @property
    def made(self) -> datetime | None:
        """When it was made, if it says so."""
        return None

    @property
    def commit(self) -> str:
        """The commit that it is of, if it says so."""
        return ""


class _PipVulnerability(_Part):
    id: str
    aliases: list[str] = []
    fix_versions: list[str] = []


class _PipDependency(_Part):
    name: str
    version: str = ""
    vulns: list[_PipVulnerability] | None = None
    """None if it was skipped, as a package of a private index is."""


class _PipAudit(_Document):
    tool = "pip-audit"
    dependencies: list[_PipDependency]

    @property
    def looked_at(self) -> int:
        return sum(one.vulns is not None for one in self.dependencies)

    def found(self) -> Iterator[Vulnerability]:
        for one in self.dependencies:
            for vuln in one.vulns or ():
                package, fixed = f"{one.name} {one.version}", ", ".join(vuln.fix_versions)
                aliases = frozenset(vuln.aliases)
                yield Vulnerability(vuln.id, aliases, package, SEVERITIES[-1], fixed)


class _NpmCause(_Part):
    source: int | str = ""
    url: str = ""
    severity: Severity = SEVERITIES[-1]
    range: str = ""


class _NpmPackage(_Part):
    via: list[str | _NpmCause]
    """Names stand for packages with an entry of their own."""
    fixAvailable: object = False  # noqa: N815 - theirs


class _NpmTotal(_Part):
    total: int


class _NpmMetadata(_Part):
    dependencies: _NpmTotal


class _NpmAudit(_Document):
    tool = "npm audit"
    vulnerabilities: dict[str, _NpmPackage]
    metadata: _NpmMetadata

    @property
    def looked_at(self) -> int:
        return self.metadata.dependencies.total

    def found(self) -> Iterator[Vulnerability]:
        for name, entry in self.vulnerabilities.items():
            for via in entry.via:
                if isinstance(via, _NpmCause):
                    number = via.url.rpartition("/")[2] or str(via.source)
                    fixed = "a newer version" if entry.fixAvailable else ""
                    package = f"{name} {via.range}"
                    yield Vulnerability(number, frozenset(), package, via.severity, fixed)


class _OsvName(_Part):
    name: str
    version: str = ""


class _OsvGroup(_Part):
    ids: Annotated[list[str], Field(min_length=1)]
    aliases: list[str] = []
    max_severity: str = ""


class _OsvPackage(_Part):
    package: _OsvName
    groups: list[_OsvGroup] = []


class _OsvResult(_Part):
    packages: list[_OsvPackage] = []


class _OsvScanner(_Document):
    tool = "osv-scanner"
    results: list[_OsvResult]

    @property
    def looked_at(self) -> int:
        return sum(len(result.packages) for result in self.results)

    def found(self) -> Iterator[Vulnerability]:
        for one in (package for result in self.results for package in result.packages):
            for group in one.groups:
                aliases = frozenset((*group.ids, *group.aliases))
                package = f"{one.package.name} {one.package.version}"
                severity = _of_score(group.max_severity)
                yield Vulnerability(group.ids[0], aliases, package, severity, "")


class _TrivyVulnerability(_Part):
    id: str = Field(alias="VulnerabilityID")
    name: str = Field(alias="PkgName")
    version: str = Field("", alias="InstalledVersion")
    fixed: str = Field("", alias="FixedVersion")
    severity: Severity = Field(SEVERITIES[-1], alias="Severity")


class _TrivyResult(_Part):
    packages: list[object] = Field([], alias="Packages")
    vulnerabilities: list[_TrivyVulnerability] | None = Field(None, alias="Vulnerabilities")


class _TrivyMetadata(_Part):
    commit: str = Field("", alias="Commit")


class _Trivy(_Document):
    tool = "trivy"
    results: list[_TrivyResult] | None = Field(None, alias="Results")
    metadata: _TrivyMetadata = Field(_TrivyMetadata(), alias="Metadata")
    created: datetime | None = Field(None, alias="CreatedAt")

    @property
    def looked_at(self) -> int:
        # Without --list-all-pkgs it names what is vulnerable, and nothing else.
        return sum(len(r.packages) or len(r.vulnerabilities or ()) for r in self.results or ())

    def found(self) -> Iterator[Vulnerability]:
        for one in (v for result in self.results or () for v in result.vulnerabilities or ()):
            package = f"{one.name} {one.version}"
            yield Vulnerability(one.id, frozenset(), package, one.severity, one.fixed)

    @property
    def made(self) -> datetime | None:
        return self.created

    @property
    def commit(self) -> str:
        return self.metadata.commit


# By the key that only reports of this tool have at their top.
_FORMS: Final[Mapping[str, type[_Document]]] = {
    "ArtifactName": _Trivy,
    "auditReportVersion": _NpmAudit,
    "dependencies": _PipAudit,
    "results": _OsvScanner,
}


def _of_score(score: str) -> str:
    """The severity of a CVSS score; critical without one, as nobody has graded it."""
    try:
        value = float(score)
    except ValueError:
        return SEVERITIES[-1]
    return next((word for least, word in _BY_SCORE if value >= least), SEVERITIES[0])
