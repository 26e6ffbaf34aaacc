"""GitHub Actions: annotations on standard output, and the job summary."""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from readiness.model.clean import line
from readiness.model.errors import ReadinessError
from readiness.model.evidence import Outcome
from readiness.model.record import CheckResult, RunRecord
from readiness.report import markdown, pull_request
from readiness.report.steps import Step, steps

# GitHub shows at most ten of a kind and drops the others silently.
MOST: Final = 10
LARGEST: Final = 1024 * 1024
"""Bytes of a job summary; GitHub drops a longer one without a word."""
_FOUND: Final = (Outcome.FAIL, Outcome.ERROR, Outcome.NOT_RUN)
_KEY: Final = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Source:
    """The configuration file, for annotations.

    Attributes:
        path: relative to the checkout.
        line_of: the line of a dotted key or of the nearest table, or of the table of a subject;
            None if it is not there.
    """

    path: str
    line_of: Callable[[str], int | None]


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether we run in a GitHub Actions job."""
    return environ.get("GITHUB_ACTIONS") == "true"


def announce(record: RunRecord, environ: Mapping[str, str], source: Source | None = None) -> None:
    """In a GitHub Actions job, print annotations and append the job summary.

    Raises:
        ReadinessError: the job summary cannot be written.
    """
    if is_wanted(environ):
        print_annotations(record, source=source)
        append_summary(record, environ)


def annotations(record: RunRecord, source: Source | None = None) -> list[str]:
    """Workflow commands for the ten most important findings, and one that counts the rest.

    A cause that several checks share is one of them; a failure that another one explains is not.
    """
    source = source or Source(record.run.config_file, lambda _: None)
    found = [_step(step, source) for step in steps(record)]
    found += [
        _annotation("warning", check, _told(check), source)
        for outcome in _FOUND
        for check in record.checks
        if check.outcome is outcome and not check.decides
    ]
    if len(found) > MOST:
        rest = f"{len(found) - MOST} more findings in readiness.html"
        notice = _command("notice", {"title": f"readiness {record.verdict}"}, rest)
        return [*found[:MOST], notice]
    return found


def print_annotations(
    record: RunRecord, stream: TextIO | None = None, source: Source | None = None
) -> None:
    """Print the annotations; characters that the stream cannot encode are replaced."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "utf-8"
    for command in annotations(record, source):
        stream.write(command.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()


def append_summary(record: RunRecord, environ: Mapping[str, str]) -> None:
    """Append the record as Markdown to the job summary, if there is one.

    What was already written to it counts: the short form is written where the long one would make
    it too long, and a notice is printed where not even that has room.

    Raises:
        ReadinessError: the file that GitHub names cannot be written.
    """
    name = environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return
    path = Path(name)
    try:
        room = LARGEST - (path.stat().st_size if path.is_file() else 0)
        for render in (markdown.render, pull_request.render):
            text = render(record).encode("utf-8", "backslashreplace")
            if len(text) < room:
                with path.open("ab") as file:
                    file.write(text)
                return
    except OSError as error:
        raise ReadinessError(
            f"the job summary cannot be written: {error.strerror or error}",
            where=f"GITHUB_STEP_SUMMARY={name}",
            remedy="run in a GitHub Actions step, or unset the variable",
        ) from error
    sys.stdout.write(
        _command(
            "notice",
            {"title": f"readiness {record.verdict}"},
            "the job summary is full (1 MiB); see readiness.pr.md or readiness.html",
        )
        + "\n"
    )


def _step(step: Step, source: Source) -> str:
    check, *others = step.checks
    if step.kind == "failure":
        return _annotation("error", check, _told(check), source)
    remedy = f". {line(step.remedy, 500)}" if step.remedy else ""
    more = f" and {len(others)} more" if others else ""
    message = f"{check.outcome}: {line(step.text, 1000)}{remedy}"
    return _annotation("error", check, message, source, more)


def _told(check: CheckResult) -> str:
    return f"{check.outcome}: {line(check.message) or line(check.headline, 300)}"


def _annotation(kind: str, check: CheckResult, message: str, source: Source, more: str = "") -> str:
    values = {"title": f"readiness {line(check.name, 300)}{more}"}
    if source.path:
        values["file"] = line(source.path, 300)
        found = source.line_of(_deciding(check) or check.subject)
        if found:
            values["line"] = str(found)
    return _command(kind, values, message)


def _deciding(check: CheckResult) -> str:
    """The dotted key that decided its first miss; empty if no key did."""
    limits = (m.limit for m in check.measurements if m.is_missed)
    settings = (_KEY.search(limit.setting) for limit in limits if limit)
    return next((found[1] for found in settings if found), "")


def _command(kind: str, values: Mapping[str, str], message: str) -> str:
    given = ",".join(f"{name}={_property(value)}" for name, value in values.items())
    return f"::{kind} {given}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
