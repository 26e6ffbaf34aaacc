"""Writes every report of a run from its record; none computes a verdict of its own.

Renderers are imported late: a run needs only small parts of this package.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from readiness.model.errors import ReadinessError
from readiness.model.record import RunRecord, resealed
from readiness.report import files

if TYPE_CHECKING:
    from readiness.report.history import Kept

__all__ = ["EvidenceShown", "write_all", "write_record"]

EvidenceShown = Literal["full", "findings"]
"""How much of what passed is on the page: all figures, or none."""


def write_all(
    record: RunRecord,
    folder: Path,
    *,
    environ: Mapping[str, str] | None = None,
    evidence: EvidenceShown = "full",
    past: "Kept | None" = None,
) -> list[Path]:
    """Write readiness.json, the files made from it, and a copy of the record in `history/`.

    These are the page (.html), .md, .pr.md, JUnit (.xml), CTRF (.ctrf.json) and metrics (.prom).

    In a GitHub Actions job, also print annotations and append the Markdown to the job summary. An
    output that cannot be written does not prevent the others.

    Args:
        record: the run.
        folder: the folder for the reports; created if missing.
        environ: the environment variables; those of the process by default.
        evidence: `findings` leaves the figures of what passed out of the page.
        past: where earlier runs are kept; by default in `history/`.

    Returns:
        The files written, the newest record in `history/` last.

    Raises:
        ReadinessError: raised at the end, names each output that could not be written.
    """
    from readiness.report import github, history, html, machines, markdown, pull_request

    environ = os.environ if environ is None else environ
    files.make_folder(folder)
    record = resealed(record)
    as_json = lru_cache(record.to_json)

    earlier = lru_cache(lambda: history.earlier(past or history.Files(folder), record))

    def page() -> Iterable[str]:
        return html.render(record, evidence=evidence, earlier=earlier())

    steps: list[Callable[[], Path | None]] = [
        partial(_write, folder / "readiness.json", lambda: [as_json()]),
        partial(_write, folder / "readiness.html", page),
        partial(_write, folder / "readiness.xml", lambda: [machines.junit(record)]),
        partial(_write, folder / "readiness.md", lambda: [markdown.render(record, earlier())]),
        partial(_write, folder / "readiness.pr.md", lambda: [pull_request.render(record)]),
        partial(_write, folder / "readiness.ctrf.json", lambda: [machines.ctrf(record)]),
        partial(_write, folder / "readiness.prom", lambda: [machines.openmetrics(record)]),
        lambda: history.store(record, folder, as_json()),
    ]
    if github.is_wanted(environ):
        steps.append(partial(github.announce, record, environ))
    return _all_of(steps)


def write_record(record: RunRecord, folder: Path) -> None:
    """Write readiness.json only, for `readiness prove`.

    Raises:
        ReadinessError: it cannot be written.
    """
    files.make_folder(folder)
    _write(folder / "readiness.json", lambda: [record.to_json()])


def _write(path: Path, render: Callable[[], Iterable[str]]) -> Path:
    try:
        files.write(path, render())
    except ReadinessError:
        raise
    except Exception as error:
        # A bug in one output must not prevent the others.
        raise ReadinessError(
            f"could not be made: {type(error).__name__}: {error}",
            where=str(path),
            remedy="report this as a bug; readiness.json holds the whole run",
        ) from error
    return path


def _all_of(steps: Iterable[Callable[[], Path | None]]) -> list[Path]:
    written: list[Path] = []
    failed: list[ReadinessError] = []
    for step in steps:
        try:
            path = step()
        except ReadinessError as error:
            failed.append(error)
        else:
            written += [path] if path else []
    if failed:
        raise _joined(failed)
    return written


def _joined(failed: Sequence[ReadinessError]) -> ReadinessError:
    if len(failed) == 1:
        return failed[0]
    return ReadinessError(
        "; ".join(f"{error.where} {error.message}" for error in failed),
        where=f"{len(failed)} outputs",
        remedy=failed[0].remedy,
    )
