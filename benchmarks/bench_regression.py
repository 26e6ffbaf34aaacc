"""Regressions: how often one is found that is not there, and how often one that is.

PYTHONPATH=. python benchmarks/bench_regression.py [PAIRS]

The times are those of a real server: a query that aggregates rows, 20 executions a run, one run
after the other. The same release judged twice is two runs that follow each other. The slow-down is
simulated: it multiplies the measured times of the second run. Each execution is timed twice: by the
clock, beside the noise of this machine, and by the processor time of the server's process, which is
about what the clock shows on a quiet machine. As the check does, what cannot be told is measured
again, twice for twice as long: the runs that follow are those attempts.

Two releases that run beside each other are executed by turns, on a connection each; by the clock,
once on the machine as it is, and once beside three busy processes for each of its processors.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from readiness.areas.performance.baseline import Comparison, rounds
from readiness.areas.performance.config import Baseline, Before
from readiness.areas.performance.judging import Times
from readiness.areas.performance.turns import Turns, pair
from readiness.lib.noise import SILENCE, Noise, watching
from readiness.lib.postgres import Connection, connect, fetch, fetch_value
from readiness.model.secrets import Dsn
from readiness.servers.postgres import PrivatePostgres

ROWS: Final = 1_000_000
TABLE: Final = "create table t as select n, md5(n::text) as m from generate_series(1, %s) n"
QUERY: Final = "select count(*), max(m) from t where m like 'a%'"
SAMPLES: Final = 20
WARM_UP: Final = 3
# The runs, counted from the first of a pair, that are an attempt: the next, then twice two.
ATTEMPTS: Final = ((1, 2), (2, 4), (4, 6))
LONGEST: Final = 5
TURNS: Final = 60
BUSY: Final = 3
MOST_FALSE: Final = 0.05
FEWEST_FOUND: Final = 0.95


class Run(NamedTuple):
    """The times of one run, in ms, and the noise beside it."""

    ms: list[float]
    noise: Noise


def main(pairs: int = 50) -> int:
    """0 if both shares are as demanded, by processor time, and by turns."""
    clock, processor = measure(2 * pairs + LONGEST)
    print("by the clock:")
    judge(clock)
    print("by processor time:")
    sound = judge(processor)
    quiet = by_turns(pairs)
    with busy():
        noisy = by_turns(pairs)
    print("by turns:")
    sound &= judge_turns(quiet)
    print(f"by turns, beside {BUSY} busy processes for each processor:")
    return 0 if judge_turns(noisy) and sound else 1


def judge(runs: Sequence[Run]) -> bool:
    """Print the shares; whether both are as demanded."""
    medians = sorted(sorted(run.ms)[SAMPLES // 2] for run in runs)
    usual = sorted(run.noise.usual_s * 1000 for run in runs)[len(runs) // 2]
    lost = sorted(run.noise.lost for run in runs)[len(runs) // 2]
    print(f"  {len(runs)} runs, medians {medians[0]:.1f} to {medians[-1]:.1f} ms")
    print(f"  noise: {lost:.0%} of the time lost, wake-ups {usual:.1f} ms late (p95)")
    sound = True
    for ratio in (1.2, 1.1):
        same = [judged(runs, first, ratio, 1.0) for first in range(0, len(runs) - LONGEST, 2)]
        sound &= same.count(False) <= MOST_FALSE * len(same)
        print(f"  max_ratio {ratio}, the same release: {_shares(same)}")
        for slower in (1.2, 1.3, 1.5):
            found = [judged(runs, first, ratio, slower) for first in range(len(runs) - LONGEST)]
            print(f"  max_ratio {ratio}, {slower - 1:.0%} slower: {_shares(found)}")
            if (ratio, slower) == (1.1, 1.2):
                sound &= found.count(False) >= FEWEST_FOUND * len(found)
    print(f"  demanded: at most {MOST_FALSE:.0%} of the same release;", end=" ")
    print(f"{FEWEST_FOUND:.0%} of what is 20 % slower, with max_ratio 1.1")
    return sound


def judge_turns(seen: Sequence[Turns]) -> bool:
    """Print the shares; whether both are as demanded."""
    same = [turns.keeps() for turns in seen]
    found = [_slower(turns, 1.2).keeps() for turns in seen]
    medians = sorted(turns.bounds.value for turns in seen)
    slowest = sorted(sorted(turns.now)[TURNS // 2] for turns in seen)
    print(f"  {len(seen)} runs, medians {slowest[0]:.1f} to {slowest[-1]:.1f} ms", end=", ")
    print(f"ratios {medians[0]:.3f} to {medians[-1]:.3f}")
    print(f"  max_ratio 1.1, the same release: {_shares(same)}")
    print(f"  max_ratio 1.1, 20% slower: {_shares(found)}")
    falsely = same.count(False) <= MOST_FALSE * len(same)
    return falsely and found.count(False) >= FEWEST_FOUND * len(found)


def _slower(turns: Turns, ratio: float) -> Turns:
    return Turns(turns.settings, [ratio * ms for ms in turns.now], turns.before, turns.source)


def _shares(states: Sequence[bool | None]) -> str:
    words = {"a regression": False, "cannot be told": None, "none": True}
    return ", ".join(f"{states.count(s) / len(states):.0%} {word}" for word, s in words.items())


def judged(runs: Sequence[Run], first: int, max_ratio: float, slower: float) -> bool | None:
    """Whether the run after the first keeps its speed; or those after it, if that is not clear."""
    settings = Baseline(records="history", max_ratio=max_ratio)
    found = Comparison(settings, "", tuple(rounds(runs[first].ms)), 1, "before", "")
    state = None
    for begin, end in ATTEMPTS:
        part = runs[first + begin : first + end]
        ms = [ms * slower for run in part for ms in run.ms]
        state = found.keeps(Times(ms, "bench"), _joined([run.noise for run in part]))
        if state is not None:
            break
    return state


def _joined(noises: Sequence[Noise]) -> Noise:
    return Noise(
        usual_s=max(noise.usual_s for noise in noises),
        worst_s=max(noise.worst_s for noise in noises),
        lost=sum(noise.lost for noise in noises) / len(noises),
    )


@contextmanager
def serving() -> Iterator[Dsn]:
    """A server with the rows."""
    with tempfile.TemporaryDirectory() as folder, PrivatePostgres.start(Path(folder)) as server:
        dsn = Dsn(server.dsn())
        with connect(dsn, timeout_s=120, total_s=1200) as connection:
            fetch(connection, TABLE, [ROWS])
            fetch(connection, "vacuum analyze t")
            fetch(connection, "alter system set max_parallel_workers_per_gather = 0")
            fetch(connection, "select pg_reload_conf()")
        yield dsn


@contextmanager
def busy() -> Iterator[None]:
    """Processes that work all the time."""
    works = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(works) for _ in range(BUSY * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def by_turns(number: int) -> list[Turns]:
    """So many comparisons of the same release, with as many pairs as the check has at least."""
    settings = Before(url="http://beside", max_ratio=1.1)
    found = []
    with serving() as dsn:
        for _ in range(number):
            with _connected(dsn) as now, _connected(dsn) as before:
                both = partial(_executed, now), partial(_executed, before)
                pairs = [pair(*both, turn) for turn in range(WARM_UP + TURNS)][WARM_UP:]
            ours, theirs = [ms for ms, _ in pairs], [ms for _, ms in pairs]
            found.append(Turns(settings, ours, theirs, QUERY))
    return found


def _connected(dsn: Dsn) -> AbstractContextManager[Connection]:
    return connect(dsn, timeout_s=60, total_s=600)


def _executed(connection: Connection) -> float:
    started = time.perf_counter()
    fetch(connection, QUERY)
    return (time.perf_counter() - started) * 1000


def measure(number: int) -> tuple[list[Run], list[Run]]:
    """So many runs by the clock, and the same by processor time."""
    with serving() as dsn:
        runs = [_run(dsn) for _ in range(number)]
    return [clock for clock, _ in runs], [processor for _, processor in runs]


def _run(dsn: Dsn) -> tuple[Run, Run]:
    """A connection of its own, warmed up, as the check does."""
    clock, processor = [], []
    with watching() as watch, connect(dsn, timeout_s=60, total_s=600) as connection:
        ran = _processor_time(connection)
        for _ in range(WARM_UP):
            fetch(connection, QUERY)
        for _ in range(SAMPLES):
            before, started = _ms(ran), time.perf_counter()
            fetch(connection, QUERY)
            clock.append((time.perf_counter() - started) * 1000)
            processor.append(_ms(ran) - before)
    return Run(clock, watch.seen()), Run(processor, SILENCE)


def _processor_time(connection: Connection) -> Path:
    pid = fetch_value(connection, "select pg_backend_pid()")
    return Path(f"/proc/{pid}/schedstat")


def _ms(ran: Path) -> float:
    """The first figure is the time on a processor, in nanoseconds: sched-stats of the kernel."""
    return int(ran.read_text(encoding="ascii").split()[0]) / 1_000_000


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
