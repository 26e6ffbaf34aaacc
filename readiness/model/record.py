"""The run record: everything known of a run. All reports are made from it alone."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from readiness.model.check import CheckSpec, Effect, Severity
from readiness.model.decision import Decision, Kind
from readiness.model.errors import RecordError
from readiness.model.evidence import Outcome, encode_measurement
from readiness.model.measurement import Measurement

FORMAT: Final = "readiness/1"
_OF_THE_SPEC: Final = ("id", "suite", "title", "severity", "effect", "why", "failure_title")
_LARGEST_FILE: Final = 256 * 1024 * 1024


_JUDGED: Final = frozenset({Outcome.PASS, Outcome.WARN, Outcome.FAIL, Outcome.WAIVED})


class Verdict(StrEnum):
    """The verdict on a run."""

    READY = "READY"
    NOT_READY = "NOT READY"
    INCOMPLETE = "INCOMPLETE"


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        ser_json_inf_nan="strings",
        defer_build=True,  # most processes of a run use few of these
    )


class CauseNote(_Frozen):
    """Why a check could not be judged, and what to do about it."""

    what: str
    remedy: str = ""


class CheckResult(_Frozen):
    """One check on one subject."""

    id: str
    subject: str
    suite: str
    title: str
    severity: Severity
    effect: Effect
    outcome: Outcome
    message: str = ""
    why: str = ""
    fix: str = ""
    failure_title: str = ""
    started: datetime | None = None
    duration_s: float = 0.0
    measurements: tuple[Measurement, ...] = ()
    waiver: Decision | None = None
    """The waiver that accepts its failure."""
    decision: Decision | None = None
    """Why it does not apply, or does not decide yet."""
    causes: tuple[CauseNote, ...] = ()
    """Why it, or a part of it, could not be judged."""
    commands: tuple[str, ...] = ()
    """What to run for the limits that it missed, with all names, to be pasted."""
    explained_by: tuple[str, ...] = ()
    """The names of failed checks that explain why it failed or could not be judged."""

    @classmethod
    def of(cls, spec: CheckSpec, subject: str, **known: Any) -> Self:
        """The result of a check on a subject; `known` holds fields that are not in the spec."""
        told = {name: getattr(spec, name) for name in _OF_THE_SPEC}
        result = cls(subject=subject, **told, **known)
        return result.model_copy(update={"fix": spec.fix_of(result.missed)})

    @property
    def decides(self) -> bool:
        """Whether its outcome can decide the verdict."""
        observed = self.decision is not None and self.decision.kind is Kind.OBSERVE_ONLY
        return self.severity.decides and not observed

    @property
    def is_judged(self) -> bool:
        """Whether it was measured and compared with its limits."""
        return self.outcome in _JUDGED

    @property
    def headline(self) -> str:
        """The title, or the failure title if it failed."""
        return self.failure_title if self.has_missed and self.failure_title else self.title

    @property
    def has_missed(self) -> bool:
        """Whether a limit was missed, so that there is something to fix."""
        return self.outcome in {Outcome.FAIL, Outcome.WARN, Outcome.WAIVED}

    @property
    def missed(self) -> tuple[str, ...]:
        """The keys of the judgements whose limits were missed, each once, in their order."""
        return tuple(dict.fromkeys(m.key for m in self.measurements if m.is_missed))

    @property
    def name(self) -> str:
        """`suite.slug[subject]`."""
        return f"{self.id}[{self.subject}]" if self.subject else self.id


class SuiteState(StrEnum):
    """Whether a suite was judged."""

    VERIFIED = "verified"
    NOT_VERIFIED = "not-verified"
    NOT_APPLICABLE = "not-applicable"
    NOT_ASKED = "not-asked"
    """Neither the profile nor the file asks for any of its checks."""


class SuiteResult(_Frozen):
    """One suite; `reason` says why it was not judged."""

    name: str
    state: SuiteState
    reason: str = ""


class TargetFacts(_Frozen):
    """What was judged.

    Attributes:
        name: the name of the system.
        environment: as the target reports it.
        source: where it reports it, or why it is treated as production.
        release: the release that is judged.
        image: its artifact, as `registry/app@sha256:...` or a digest alone; empty if not given.
        fingerprint: see `readiness.run.safety.fingerprint`.
        note: from the file.
        links: where whoever is on call looks, by name: dashboard, runbook.
    """

    name: str
    environment: str
    source: str = ""
    release: str
    image: str = ""
    fingerprint: str
    note: str = ""
    links: dict[str, str] = Field(default_factory=dict)


class Setting(_Frozen):
    """A key that the configuration file sets, its value without secrets, and its place."""

    key: str
    value: str
    origin: str


class Selection(_Frozen):
    """What was chosen to run. A partial selection can never be READY."""

    suites: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    partial: bool = False
    reason: str = ""


class RunFacts(_Frozen):
    """When, how and with what the run was made."""

    id: str
    started: datetime
    finished: datetime
    duration_s: float
    tool_version: str
    config_sha256: str
    selection: Selection
    report_only: bool = False
    config_file: str = ""
    host: str = ""
    user: str = ""
    interrupted: bool = False
    plugins: tuple[str, ...] = ()
    """Installed pytest plugins that were loaded and that no run needs, as `name version`."""
    configuration: tuple[Setting, ...] = ()
    """What the file and the environment set; all other keys have their documented defaults."""
    notes: tuple[str, ...] = ()
    """What the reader should know and no verdict depends on, as a history out of reach."""

    def ended(self, at: datetime, *, interrupted: bool, partial: str) -> Self:
        """The same at the end of the run; `partial` says why not everything was selected."""
        chosen = self.selection.model_copy(update={"partial": bool(partial), "reason": partial})
        took = round((at - self.started).total_seconds(), 3)
        known = {"finished": at, "duration_s": took, "interrupted": interrupted}
        return self.model_copy(update={**known, "selection": chosen})


class Incident(_Frozen):
    """Something that makes the run incomplete, such as a lost worker."""

    kind: str
    message: str


class NotAsked(_Frozen):
    """A check that neither the profile nor the file asks for."""

    id: str
    subject: str = ""
    reason: str


class Policy(_Frozen):
    """What the verdict requires.

    Attributes:
        profile: `core`, `full`, or `own` for a list of the team.
        min_coverage: the least share of the required checks that must be judged; 0 if none is set.
    """

    profile: str = "full"
    min_coverage: float = 0.0


class Coverage(_Frozen):
    """How much of what the verdict requires was judged, as checks on subjects.

    Attributes:
        profile: what required them.
        required: those that decide: judged, excused, or neither.
        judged: those of them that were measured.
        excused: those of them that are declared not applicable.
        decisions: how many decisions excuse them.
        observed: those that are shown and do not decide yet; not among the required ones.
        not_asked: those that neither the profile nor the file asks for.
        min_coverage: see `Policy`.
    """

    profile: str = ""
    required: int = 0
    judged: int = 0
    excused: int = 0
    decisions: int = 0
    observed: int = 0
    not_asked: int = 0
    min_coverage: float = 0.0

    def __str__(self) -> str:
        parts = [f"judged {self.judged} of {self.required} required"]
        if self.excused:
            how = f"{self.decisions} decision" + ("s" if self.decisions != 1 else "")
            parts.append(f"{self.excused} declared not applicable by {how}")
        if self.observed:
            parts.append(f"{self.observed} only observed")
        return "; ".join(parts)


class SignoffNote(_Frozen):
    """A sign-off of the configuration."""

    item: str
    person: str
    evidence: str
    release: str
    image: str = ""
    expires: date
    by_key: bool = False
    """Whether it carries a signature; `signoff.signatures` says whether it is valid."""


class Guide(_Frozen):
    """What to do before an item is signed."""

    item: str
    steps: tuple[str, ...]


class Change(_Frozen):
    """One difference to an earlier record.

    Attributes:
        lost: what is no longer judged: severity and title of a check that was, and is not any
            more.
    """

    check: str
    subject: str = ""
    kind: Literal[
        "newly-failing",
        "not-applicable",
        "still-failing",
        "fixed",
        "figure-moved",
        "limit-changed",
        "new",
        "removed",
    ]
    before: str = ""
    after: str = ""
    lost: str = ""


class Changes(_Frozen):
    """What changed since an earlier record: the last READY one, if there is any."""

    since_run: str
    since_release: str = ""
    since: datetime
    since_verdict: Verdict
    items: tuple[Change, ...] = ()


class Facts(_Frozen):
    """A run without its verdict: the input of `readiness.model.verdict.judge`."""

    target: TargetFacts
    run: RunFacts
    checks: tuple[CheckResult, ...]
    suites: tuple[SuiteResult, ...]
    incidents: tuple[Incident, ...] = ()
    policy: Policy = Policy()
    decisions: tuple[Decision, ...] = ()
    not_asked: tuple[NotAsked, ...] = ()
    signoffs: tuple[SignoffNote, ...] = ()
    guides: tuple[Guide, ...] = ()
    changes: Changes | None = None


class RunRecord(Facts):
    """A judged run, made by `seal` and read by `load`."""

    format: Literal["readiness/1"] = FORMAT
    verdict: Verdict
    reasons: tuple[str, ...]
    coverage: Coverage = Coverage()
    counts: dict[Outcome, int] = Field(default_factory=dict)
    record_sha256: str = ""

    @model_validator(mode="after")
    def _counts_are_the_checks(self) -> Self:
        if self.counts != count(self.checks):
            raise ValueError("'counts' do not match 'checks'")
        return self

    def to_json(self) -> str:
        """The content of `readiness.json`: one check a block, sorted by suite and id."""
        return _render(self._payload() | {"record_sha256": self.record_sha256})

    def _payload(self) -> dict[str, object]:
        order = ("format", "verdict", "reasons", "coverage", "target", "run", "policy", "counts",
                 "suites", "incidents", "decisions", "not_asked", "signoffs",
                 "guides", "changes")  # fmt: skip
        plain = self.model_dump(mode="json", exclude={"checks", "record_sha256"})
        payload: dict[str, object] = {key: plain[key] for key in order}
        payload["checks"] = [_check_payload(c) for c in self.checks]
        return payload


def count(checks: Iterable[CheckResult]) -> dict[Outcome, int]:
    """The number of checks per outcome, zeros included."""
    found = Counter(check.outcome for check in checks)
    return {outcome: found[outcome] for outcome in Outcome}


def ordered(checks: Iterable[CheckResult]) -> tuple[CheckResult, ...]:
    """The order of a record: by suite, id and subject."""
    return tuple(sorted(checks, key=lambda check: (check.suite, check.id, check.subject)))


def seal(facts: Facts, verdict: Verdict, reasons: Iterable[str], coverage: Coverage) -> RunRecord:
    """Make the record; its hash reveals later changes."""
    values = {name: getattr(facts, name) for name in Facts.model_fields}
    values["checks"] = ordered(facts.checks)
    record = RunRecord(
        **values,
        verdict=verdict,
        reasons=tuple(reasons),
        coverage=coverage,
        counts=count(facts.checks),
    )
    return record.model_copy(update={"record_sha256": _digest(record._payload())})  # noqa: SLF001


def resealed(record: RunRecord) -> RunRecord:
    """The record with the hash of what `to_json` writes.

    One that an older tool wrote lacks fields of today, which are written, too.
    """
    return record.model_copy(update={"record_sha256": _digest(record._payload())})  # noqa: SLF001


_REMEDY: Final = "name a readiness.json written by `readiness run`"


def load(path: Path) -> RunRecord:
    """Read a record file.

    Raises:
        RecordError: the file cannot be read, is not a record, or was altered.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise RecordError("the file is larger than 256 MiB", where=str(path), remedy=_REMEDY)
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"cannot be read: {error}", where=str(path), remedy=_REMEDY) from error
    return parse(text, str(path))


def parse(text: str, where: str) -> RunRecord:
    """Read the text of a record; `where` is named in errors.

    Raises:
        RecordError: it is not a record, or was altered.
    """
    raw = verified(text, where, check=False)
    try:
        record = RunRecord.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the record"
        raise RecordError(f"{place}: {first['msg']}", where=where, remedy=_REMEDY) from error
    _refuse_altered(raw, where)
    return record


def verified(text: str, where: str, *, check: bool = True) -> dict[str, Any]:
    """The plain content of a record, which costs a tenth of `parse`: for many of them.

    Raises:
        RecordError: it is not a record, or was altered.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"is not JSON: {error}", where=where, remedy=_REMEDY) from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        found = raw.get("format") if isinstance(raw, dict) else type(raw).__name__
        raise RecordError(
            f"is not a record in format {FORMAT!r} (found {found!r})", where=where, remedy=_REMEDY
        )
    if check:
        _refuse_altered(raw, where)
    return raw


def _refuse_altered(raw: dict[str, Any], where: str) -> None:
    content = {key: value for key, value in raw.items() if key != "record_sha256"}
    if raw.get("record_sha256", "") != _digest(content):
        raise RecordError(
            "was changed after it was written: record_sha256 does not match the content",
            where=where,
            remedy="use the original file, or run again: readiness run",
        )


def _check_payload(check: CheckResult) -> dict[str, object]:
    return {
        "id": check.id,
        "subject": check.subject,
        "suite": check.suite,
        "title": check.title,
        "severity": check.severity,
        "effect": check.effect,
        "outcome": check.outcome,
        "message": check.message,
        "why": check.why,
        "fix": check.fix,
        "commands": list(check.commands),
        "failure_title": check.failure_title,
        "started": _time(check.started) if check.started else None,
        "duration_s": check.duration_s,
        "measurements": [encode_measurement(m) | {"at": _time(m.at)} for m in check.measurements],
        "waiver": check.waiver.model_dump(mode="json") if check.waiver else None,
        "decision": check.decision.model_dump(mode="json") if check.decision else None,
        "explained_by": list(check.explained_by),
        "causes": [cause.model_dump(mode="json") for cause in check.causes],
    }


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _render(payload: dict[str, object]) -> str:
    return json.dumps(payload, indent=1, ensure_ascii=False) + "\n"


def _digest(payload: dict[str, object]) -> str:
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
