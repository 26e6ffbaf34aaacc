"""`readiness.prom`: figures of the run as metrics.

Both parsers of the field take it: OpenMetrics, and the text format that node_exporter's textfile
collector reads. So all are gauges without timestamps, and verdicts are one series each.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from readiness.model import figures
from readiness.model.check import Severity
from readiness.model.clean import line
from readiness.model.evidence import Outcome
from readiness.model.record import RunRecord, Verdict
from readiness.report import brief

_Samples = Iterable[tuple[Mapping[str, str], float]]


def render(record: RunRecord) -> str:
    """The metrics of a run; alert on `readiness_verdict{verdict="READY"} == 0`."""
    return "".join(f"{row}\n" for row in _rows(record))


def _rows(record: RunRecord) -> Iterator[str]:
    target, run, covered = record.target, record.run, brief.coverage(record)
    own = {"target": line(target.name, 200), "environment": line(target.environment, 200)}
    what = own | {
        "release": line(target.release, 200),
        "profile": line(covered.profile, 100),
        "tool_version": line(run.tool_version, 60),
    }
    yield from _gauge("readiness_run_info", "What the latest run judged.", [(what, 1)])
    yield from _gauge(
        "readiness_verdict",
        "The verdict of the latest run: 1 for the one that holds, 0 for the others.",
        ((own | {"verdict": v}, float(v is record.verdict)) for v in Verdict),
    )
    found = Counter((check.outcome, check.severity) for check in record.checks)
    yield from _gauge(
        "readiness_checks",
        "Checks of the latest run, each on each subject.",
        (
            (own | {"outcome": o, "severity": s}, float(found[o, s]))
            for o in Outcome
            for s in Severity
        ),
    )
    ratio = covered.judged / covered.required if covered.required else 0.0
    for name, told, value in (
        ("readiness_coverage_ratio", "Share of the required checks that were judged.", ratio),
        ("readiness_required_checks", "Checks that the verdict requires.", covered.required),
        (
            "readiness_run_timestamp_seconds",
            "When the latest run ended.",
            figures.in_utc(run.finished).timestamp(),
        ),
        ("readiness_run_duration_seconds", "How long it took.", run.duration_s),
        ("readiness_run_report_only", "Whether it stopped no pipeline.", run.report_only),
    ):
        yield from _gauge(name, told, [(own, float(value))])
    yield "# EOF"


def _gauge(name: str, told: str, samples: _Samples) -> Iterator[str]:
    yield f"# HELP {name} {told}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"{name}{{{shown}}} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
