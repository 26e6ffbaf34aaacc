"""Whether memory or connections grow while a load goes on."""

from readiness import Evidence, Measurement, at_most, check
from readiness.areas.performance import objectives
from readiness.areas.performance.config import Load
from readiness.areas.performance.judging import Failures
from readiness.areas.performance.soak import Grown, soaked
from readiness.config.models import Config
from readiness.model.errors import CouldNotMeasure
from readiness.model.measurement import Limit


@check(
    "performance.soak",
    title="Memory and connections do not grow under a long load",
    failure_title="Memory or connections grow under a long load",
    each="load",
    needs="soak",
    severity="major",
    effect="load",
    why="""A leak takes days to show, and then ends every instance in the same hour: the kernel
    kills what has the most memory, and the database refuses what has no connection yet.""",
    fix="""Memory: compare two snapshots of the heap, taken some minutes apart under load
      Python: tracemalloc; Java: jcmd PID GC.class_histogram; Go: go tool pprof URL/debug/pprof/heap
    Look for caches without a limit, listeners that are never removed, queues without a consumer.
    Connections: see which are old and idle, and who opened them
      select pid, usename, application_name, state, backend_start from pg_stat_activity
      order by backend_start;
    Return each connection in `finally` (or a `with` block), and let the pool have a maximum.
    Grows only at first: raise `settle_s` of the soak.""",
    judgements=("memory", "connections"),
)
def test_soak(load: Load, target: Config, evidence: Evidence) -> None:
    """The bounds of the slope decide; a limit between them is an error."""
    soak = load.soak
    assert soak, "`needs` of the check"
    seen = soaked(load, soak, target)
    objectives.record(load, seen.loaded, evidence)
    seconds, source = soak.duration_s - soak.settle_s, seen.loaded.source
    evidence.record(Measurement("soak", seconds, "s", source, course=seen.course(soak)))
    loaded = seen.loaded
    failures = Failures(loaded.failed, loaded.failed, len(loaded.asked), source)
    if failures.keeps(load.max_error_ratio) is not True:
        raise CouldNotMeasure(
            f"{loaded.failed} of {len(loaded.asked)} requests failed ({loaded.problems}): what is"
            " not answered makes nothing grow",
            remedy="see `performance.load` first",
        )
    with evidence.attempt():
        limit = at_most(soak.max_memory_growth, soak.deciding("max_memory_growth"))
        _judge("memory", seen.memory, seen.memory.blocks[0], "ratio", limit, evidence)
    if seen.connections:
        with evidence.attempt():
            most = at_most(soak.max_connections_growth, soak.deciding("max_connections_growth"))
            _judge("connections", seen.connections, 1.0, "count", most, evidence)


def _judge(key: str, seen: Grown, of: float, unit: str, limit: Limit, evidence: Evidence) -> None:
    lower, value, upper = (
        (bound or 0.0) / of for bound in (seen.growth.lower, seen.growth.value, seen.growth.upper)
    )
    evidence.record(seen.figure("growth", value, unit))
    if upper <= float(limit.value):
        evidence.judge(key, seen.figure("growth, 95 % upper bound", upper, unit), limit)
    elif lower > float(limit.value):
        says = f"{key} grew by {value:.3g}, by at least {lower:.3g} (95 % confidence)"
        says = says.capitalize() + (" of itself" if unit == "ratio" else "")
        evidence.judge(key, seen.figure("growth, 95 % lower bound", lower, unit), limit, says=says)
    else:
        raise CouldNotMeasure(
            f"cannot be told apart: {seen.name} grew by {lower:.3g} to {upper:.3g}, limit"
            f" {limit.value:.3g}",
            where=seen.source,
            remedy="raise `duration_s` of the soak",
        )
