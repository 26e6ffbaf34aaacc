"""Regressions: how often one is found that is not there, and how often one that is.

PYTHONPATH=. python benchmarks/bench_regression.py [PAIRS]

The times are those of a real server: a query that aggregates rows, 40 executions a run, one run
after the other. The same release judged twice is two runs that follow each other. The slow-down is
simulated: it multiplies the measured times of the second run.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from readiness.areas.performance.baseline import Comparison, rounds
from readiness.areas.performance.config import Baseline, Query
from readiness.areas.performance.judging import Times
from readiness.areas.performance.queries import running
from readiness.lib.noise import Noise, watching
from readiness.lib.postgres import connect, fetch
from readiness.model.secrets import Dsn
from readiness.servers.postgres import PrivatePostgres

ROWS: Final = 300_000
TABLE: Final = "create table t as select n, md5(n::text) as m from generate_series(1, %s) n"
SAMPLES: Final = 40
MOST_FALSE: Final = 0.05
FEWEST_FOUND: Final = 0.95
Run = tuple[list[float], Noise]


def main(pairs: int = 50) -> int:
    """0 if both shares are as demanded."""
    return judge(measure(2 * pairs))


def judge(runs: Sequence[Run]) -> int:
    """Print the shares; 0 if both are as demanded."""
    medians = sorted(sorted(ms)[SAMPLES // 2] for ms, _ in runs)
    print(f"{len(runs)} runs, medians {medians[0]:.1f} to {medians[-1]:.1f} ms")
    usual = sorted(noise.usual_s * 1000 for _, noise in runs)[len(runs) // 2]
    print(f"noise: wake-ups {usual:.1f} ms late (p95, median of the runs)")
    sound = True
    for ratio in (1.2, 1.1):
        judged = [_judged(runs[n], runs[n + 1], ratio, 1.0) for n in range(0, len(runs), 2)]
        false = judged.count(False) / len(judged)
        sound &= false <= MOST_FALSE
        print(
            f"max_ratio {ratio}: the same release twice: {false:.0%} regressions (demanded: at most"
            f" {MOST_FALSE:.0%}), {judged.count(None)} of {len(judged)} cannot be told"
        )
        for slower in (1.2, 1.3, 1.5):
            found = [_judged(a, b, ratio, slower) for a, b in pairwise(runs)]
            share = found.count(False) / len(found)
            unclear = found.count(None) / len(found)
            print(
                f"max_ratio {ratio}: {slower - 1:.0%} slower: {share:.0%} found,"
                f" {unclear:.0%} cannot be told, {found.count(True) / len(found):.0%} pass"
            )
            if (ratio, slower) == (1.1, 1.2):
                sound &= share >= FEWEST_FOUND
    print(f"demanded: {FEWEST_FOUND:.0%} of a slow-down of 20 %, with max_ratio 1.1")
    return 0 if sound else 1


def _judged(before: Run, after: Run, max_ratio: float, slower: float) -> bool | None:
    settings = Baseline(records="history", max_ratio=max_ratio)
    found = Comparison(settings, "", tuple(rounds(before[0])), 1, "before", "")
    return found.keeps(Times([ms * slower for ms in after[0]], "bench"), after[1])


def measure(number: int) -> Sequence[Run]:
    with tempfile.TemporaryDirectory() as folder, PrivatePostgres.start(Path(folder)) as server:
        dsn = Dsn(server.dsn())
        with connect(dsn, timeout_s=120, total_s=1200) as connection:
            fetch(connection, TABLE, [ROWS])
            fetch(connection, "vacuum analyze t")
        query = Query(name="bench", dsn=dsn, sql="select count(*), max(m) from t where m like 'a%'")
        return [_run(query) for _ in range(number)]


def _run(query: Query) -> Run:
    """A connection of its own, warmed up, as the check does."""
    with watching() as watch, running(query) as execution:
        for _ in range(10):
            execution.execute()
        ms = []
        for _ in range(SAMPLES):
            started = time.perf_counter()
            execution.execute()
            ms.append((time.perf_counter() - started) * 1000)
    return ms, watch.seen()


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
