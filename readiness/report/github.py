"""GitHub Actions: annotations on standard output, and the job summary."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TextIO

from readiness.model.errors import ReadinessError
from readiness.model.evidence import Outcome
from readiness.model.record import RunRecord
from readiness.report import markdown
from readiness.report.build import build
from readiness.report.view import Group, Row, View

# GitHub shows at most ten of a kind and drops the others silently.
MOST: Final = 10
_FOUND: Final = (Outcome.FAIL, Outcome.ERROR, Outcome.NOT_RUN)


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether we run in a GitHub Actions job."""
    return environ.get("GITHUB_ACTIONS") == "true"


def announce(record: RunRecord, environ: Mapping[str, str]) -> None:
    """In a GitHub Actions job, print annotations and append the job summary.

    Raises:
        ReadinessError: the job summary cannot be written.
    """
    if is_wanted(environ):
        print_annotations(record)
        append_summary(record, environ)


def annotations(record: RunRecord) -> list[str]:
    """Workflow commands for the ten most important findings, and one that counts the rest."""
    found = list(_pairs(build(record)))
    found.sort(key=lambda pair: not pair[0].decides)
    commands = [_annotation(group, row) for group, row in found[:MOST]]
    if len(found) > MOST:
        rest = f"{len(found) - MOST} more findings in readiness.html"
        commands.append(_command("notice", f"readiness {record.verdict}", rest))
    return commands


def print_annotations(record: RunRecord, stream: TextIO | None = None) -> None:
    """Print the annotations; characters that the stream cannot encode are replaced."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "utf-8"
    for command in annotations(record):
        stream.write(command.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()


def append_summary(record: RunRecord, environ: Mapping[str, str]) -> None:
    """Append the record as Markdown to the job summary, if there is one.

    Raises:
        ReadinessError: the file that GitHub names cannot be written.
    """
    name = environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return
    try:
        with Path(name).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(markdown.render(record))
    except OSError as error:
        raise ReadinessError(
            f"the job summary cannot be written: {error.strerror or error}",
            where=f"GITHUB_STEP_SUMMARY={name}",
            remedy="run in a GitHub Actions step, or unset the variable",
        ) from error


def _pairs(view: View) -> Iterator[tuple[Group, Row]]:
    for outcome in _FOUND:
        for group in view.groups(outcome):
            for row in group.rows:
                yield group, row


def _annotation(group: Group, row: Row) -> str:
    kind = "error" if group.decides else "warning"
    message = f"{row.outcome}: {row.message or group.title}"
    return _command(kind, f"readiness {row.name}", message)


def _command(kind: str, title: str, message: str) -> str:
    return f"::{kind} title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
