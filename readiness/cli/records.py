"""`readiness report` and `readiness diff`: both need only records."""

from pathlib import Path

import click

from readiness.cli.run import summary
from readiness.model import record as records
from readiness.model.errors import RecordError
from readiness.model.exitcodes import exit_code
from readiness.model.verdict import judge
from readiness.report import diff as differ
from readiness.report import write_all


def report(path: Path, reports: Path) -> int:
    """Write all reports again from a record; the exit code is that of its verdict.

    Raises:
        RecordError: the record cannot be read, or its verdict is not what its facts give.
    """
    record = records.load(path)
    again = judge(record)
    if (again.verdict, again.reasons) != (record.verdict, record.reasons):
        raise RecordError(
            f"its verdict is {record.verdict}, but its checks give {again.verdict}",
            where=str(path),
            remedy="use the record as the run wrote it",
        )
    write_all(record, reports)
    click.echo(summary(record, reports))
    return exit_code(record)


def diff(old: Path, new: Path) -> None:
    """Print what changed from one record to another.

    Raises:
        RecordError: one of them cannot be read.
    """
    click.echo(differ.render_diff(differ.changes(records.load(old), records.load(new))))
