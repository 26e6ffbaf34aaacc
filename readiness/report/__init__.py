"""Every output of a run, all made from one record; none computes a verdict of its own.

What makes them is imported when it is needed: who follows a run uses small parts of this alone.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

from readiness.model.errors import ReadinessError
from readiness.model.record import RunRecord
from readiness.report import files

__all__ = ["write_all", "write_record"]


def write_all(
    record: RunRecord, folder: Path, *, environ: Mapping[str, str] | None = None
) -> list[Path]:
    """Write readiness.json, .html, .xml, .md and the record's place in `history/`.

    In a GitHub Actions job the findings are printed as annotations too, and the Markdown is
    added to the job summary. One output that cannot be written keeps no other from it.

    Args:
        record: the run.
        folder: where to write; made if it is not there.
        environ: the environment variables; those of the process by default.

    Returns:
        The files written, the newest record in `history/` last.

    Raises:
        ReadinessError: after all others were written, with each output that could not be.
    """
    from readiness.report import github, history, html, junit, markdown

    environ = os.environ if environ is None else environ
    files.make_folder(folder)
    as_json = lru_cache(record.to_json)
    steps: list[Callable[[], Path | None]] = [
        partial(_write, folder / "readiness.json", lambda: [as_json()]),
        partial(_write, folder / "readiness.html", partial(html.render, record)),
        partial(_write, folder / "readiness.xml", lambda: [junit.render(record)]),
        partial(_write, folder / "readiness.md", lambda: [markdown.render(record)]),
        lambda: history.store(record, folder, as_json()),
    ]
    if github.is_wanted(environ):
        steps.append(partial(github.announce, record, environ))
    return _all_of(steps)


def write_record(record: RunRecord, folder: Path) -> None:
    """Write readiness.json alone, where nobody will look at a page: `readiness prove`.

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
        # A fault of ours in one output must not cost the others, nor hide which one it is.
        raise ReadinessError(
            f"could not be made: {type(error).__name__}: {error}",
            where=str(path),
            remedy="report this as a bug; readiness.json holds all of the run",
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
