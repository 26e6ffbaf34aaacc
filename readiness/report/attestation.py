"""The in-toto statements about a run, made from its record alone. They are not signed."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from readiness.model.errors import RecordError, UsageError
from readiness.model.evidence import Outcome
from readiness.model.record import CheckResult, RunRecord, Verdict, load
from readiness.model.verdict import judge
from readiness.report.files import write

TEST_RESULT: Final = "https://in-toto.io/attestation/test-result/v0.1"
SVR: Final = "https://in-toto.io/attestation/svr/v0.2"
NAME: Final = "readiness"
"""The name of the test: `configuration[0].name`, by which a policy selects it."""
_SVR_SUFFIX: Final = ".svr.json"
_VERIFIER: Final = "urn:readiness:gate:1"
_LARGEST_FILE: Final = 32 * 1024 * 1024


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)


class Descriptor(_Plain):
    """A resource, by name and digests."""

    name: str
    digest: dict[str, str]
    annotations: dict[str, str | bool | int] | None = None


class TestResult(_Plain):
    """The predicate `test-result/v0.1`; https://github.com/in-toto/attestation."""

    result: Literal["PASSED", "FAILED"]
    configuration: tuple[Descriptor, ...]
    passed: Annotated[tuple[str, ...], Field(alias="passedTests")]
    warned: Annotated[tuple[str, ...], Field(alias="warnedTests")]
    failed: Annotated[tuple[str, ...], Field(alias="failedTests")]


class Verifier(_Plain):
    """Who verified, and by which policies."""

    id: str
    policies: tuple[Descriptor, ...]


class Verified(_Plain):
    """The predicate `svr/v0.2`."""

    verifier: Verifier
    created: Annotated[str, Field(alias="timeCreated")]
    properties: tuple[str, ...]


class Statement(_Plain):
    """An in-toto Statement v1 about the image and the record of the run that judged it."""

    type_: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")] = (
        "https://in-toto.io/Statement/v1"
    )
    subject: tuple[Descriptor, ...]
    predicate_type: Annotated[str, Field(alias="predicateType")]
    predicate: TestResult | Verified

    def to_json(self) -> str:
        """The content of its file."""
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=1) + "\n"


_STATEMENT: Final = TypeAdapter(Statement)


def attest(record: Path, file: Path) -> dict[Path, str]:
    """Write what the record attests: the test result, and beside it the SVR if it passed.

    Args:
        record: a readiness.json.
        file: where the test result goes. An SVR of an earlier run beside it is removed.

    Returns:
        The files written, each with what it says: its result, or that it is an SVR.

    Raises:
        RecordError: the record cannot be read, was changed, or names no image and release.
        UsageError: the file exists and is not a statement.
    """
    statements = _statements(record)
    clear(file)
    written = dict(zip((file, beside(file)), statements, strict=False))
    for path, statement in written.items():
        write(path, [statement.to_json()])
    return {path: _said(statement) for path, statement in written.items()}


def verify(record: Path, file: Path) -> bool:
    """Whether a statement says that the record passed; signatures are not looked at.

    Raises:
        RecordError: the statement is not the one of this record, or one of them cannot be read.
    """
    given = _read(file)
    made = next((s for s in _statements(record) if s.predicate_type == given.predicate_type), None)
    if given != made:
        raise RecordError(
            f"is not the statement of {record}: {_difference(given, made)}",
            where=str(file),
            remedy=f"use the record that it was made from, or write it again:"
            f" readiness attest {record} {file}",
        )
    return isinstance(given.predicate, Verified) or given.predicate.result == "PASSED"


def clear(file: Path) -> None:
    """Remove the statements of an earlier run, so that none outlives a run that was refused.

    Raises:
        UsageError: the file exists and is not a statement; it is left as it is.
    """
    for path in (file, beside(file)):
        if not path.exists():
            continue
        try:
            _read(path)
            path.unlink()
        except (RecordError, OSError) as error:
            raise UsageError(
                "exists, and is not a statement of an earlier run that can be replaced",
                where=str(path),
                remedy="name another file, or remove it",
            ) from error


def beside(file: Path) -> Path:
    """Where the SVR is: `attestation.json` has `attestation.svr.json` beside it."""
    return file.with_name(file.name.removesuffix(".json") + _SVR_SUFFIX)


def attestable(image: str, release: str, *, where: str = "") -> None:
    """Check that a run can be bound to an artifact.

    Raises:
        UsageError: the image or the release is not known.
    """
    missing = [
        key for key, unknown in (("image", not image), ("release", release == "unknown")) if unknown
    ]
    if missing:
        raise UsageError(
            f"an attestation is about one artifact: [target] has no {' and no '.join(missing)}",
            where=where or "--attest",
            remedy='set release = "..." and image = "registry/app@sha256:..." in [target]',
        )


def _statements(path: Path) -> tuple[Statement, ...]:
    """The test result and, of a run that passed, the SVR."""
    record = load(path)
    attestable(record.target.image, record.target.release, where=str(path))
    # One that was edited can have a matching hash again; the verdict follows from the checks.
    verdict = judge(record).verdict
    if verdict is not record.verdict:
        raise RecordError(
            f"its verdict is {record.verdict}, but its checks give {verdict}",
            where=str(path),
            remedy="use the record as the run wrote it",
        )
    subject = (_image(record), _file(path))
    passed = verdict is Verdict.READY and not record.run.report_only
    result = Statement(
        subject=subject, predicate_type=TEST_RESULT, predicate=_result(record, passed=passed)
    )
    if not passed:
        return (result,)
    return result, Statement(subject=subject, predicate_type=SVR, predicate=_verified(record))


def _said(statement: Statement) -> str:
    told = statement.predicate
    return told.result if isinstance(told, TestResult) else "svr/v0.2"


def _image(record: RunRecord) -> Descriptor:
    name, _, digest = record.target.image.rpartition("@")
    algorithm, _, value = digest.partition(":")
    return Descriptor(name=name or record.target.name, digest={algorithm: value})


def _file(path: Path) -> Descriptor:
    return Descriptor(
        name="readiness.json", digest={"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    )


def _result(record: RunRecord, *, passed: bool) -> TestResult:
    failed = _names(record, _is_failed)
    return TestResult(
        result="PASSED" if passed else "FAILED",
        configuration=(_configuration(record),),
        passed=_names(record, lambda check: check.outcome is Outcome.PASS),
        warned=_names(record, lambda check: check.is_judged and not _is_failed(check)
                      and check.outcome is not Outcome.PASS),
        # A policy may look at this list alone, and a run that is not READY may have failed nothing.
        failed=failed if passed else (NAME, *failed),
    )  # fmt: skip


def _is_failed(check: CheckResult) -> bool:
    unjudged = {Outcome.FAIL, Outcome.ERROR, Outcome.NOT_RUN}
    return check.decides and check.outcome in unjudged


def _names(record: RunRecord, wanted: Callable[[CheckResult], bool]) -> tuple[str, ...]:
    return tuple(check.name for check in record.checks if wanted(check))


def _configuration(record: RunRecord) -> Descriptor:
    target, run = record.target, record.run
    return Descriptor(
        name=NAME,
        digest={"sha256": run.config_sha256},
        annotations={
            "verdict": record.verdict.value,
            "profile": record.coverage.profile,
            "judged": record.coverage.judged,
            "required": record.coverage.required,
            "target": target.name,
            "environment": target.environment,
            "release": target.release,
            "run": run.id,
            "finished": run.finished.isoformat().replace("+00:00", "Z"),
            "partial": run.selection.partial,
            "reportOnly": run.report_only,
            "tool": run.tool_version,
        },
    )


def _verified(record: RunRecord) -> Verified:
    policy = Descriptor(name="readiness.toml", digest={"sha256": record.run.config_sha256})
    words = (
        "READY",
        f"PROFILE_{record.coverage.profile}",
        f"ENVIRONMENT_{record.target.environment}",
    )
    return Verified(
        verifier=Verifier(id=_VERIFIER, policies=(policy,)),
        created=record.run.finished.isoformat().replace("+00:00", "Z"),
        properties=tuple(f"READINESS_{word.upper().replace('-', '_')}" for word in words),
    )


def _read(path: Path) -> Statement:
    remedy = "name a statement that `readiness run --attest FILE` wrote"
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise RecordError("the file is larger than 32 MiB", where=str(path), remedy=remedy)
        return _STATEMENT.validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(
            f"cannot be read: {error.strerror}", where=str(path), remedy=remedy
        ) from error
    except ValidationError as error:
        raise RecordError("is not a statement of ours", where=str(path), remedy=remedy) from error


def _difference(given: Statement, made: Statement | None) -> str:
    if made is None:
        return "it passed, and the record did not"
    fields = ("subject", "predicate")
    changed = [name for name in fields if getattr(given, name) != getattr(made, name)]
    return f"another {' and another '.join(changed)}"
