"""Compares times with those of earlier runs: the records of the last READY ones.

Each run leaves the medians of five rounds in its record, with the conditions under which they
were measured. Under other conditions nothing is compared.
"""

import hashlib
import math
import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Final

from readiness.areas.performance.config import (
    Baseline,
    Config,
    Endpoint,
    Ingest,
    Load,
    Query,
    WritePath,
)
from readiness.areas.performance.judging import Times
from readiness.lib.noise import Noise
from readiness.lib.postgres import connect, fetch
from readiness.lib.retry import indistinct
from readiness.lib.sampling import CONFIDENCE
from readiness.model.errors import RecordError
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement, at_least, at_most
from readiness.model.record import RunRecord, Verdict, load

ROUNDS: Final = 5
RUNS: Final = 5
# Records are large, and a hundred are kept.
_MOST_RECORDS: Final = 10
_NAME: Final = "median latency of each round"
WRITES: Final = "median latency of each round of writes"
"""The rounds of an ingest's write path, beside those of its COPYs."""
_KEY: Final = "regression"
_SEPARATOR: Final = "; "
# `RunRecord.to_json` writes the verdict second.
_BEGINNING: Final = 200
_READY: Final = '"verdict": "READY"'
_STATEMENT_S: Final = 15.0
# Beside 15 busy processes on two processors, 3 of 10 runs looked slower than the same one before.
_MOST_LOST: Final = 0.9
_CPUINFO: Final = Path("/proc/cpuinfo")
# What decides the speed of a query; names of files and addresses do not.
_SERVER: Final = """
    select current_setting('server_version'),
           left(md5(string_agg(name || '=' || setting, ',' order by name)), 8)
    from pg_settings
    where category ~ '^(Resource Usage|Query Tuning|Write-Ahead Log / |Autovacuum|Preset Options)'
"""
_NOT_MEASURED: Final = {
    *("name", "dsn", "samples", "budget_s", "duration_s", "write_path", "min_rows_per_s"),
    *("max_p95_ms", "max_p99_ms", "max_stall_ms", "max_error_ratio", "min_per_s", "max_late_ms"),
    *("spike", "capacity", "soak", "max_age_h"),
}
Subject = Query | Endpoint | Load | Ingest


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the times of one check on one subject are compared with.

    Attributes:
        settings: the limits, and the folder of the records.
        conditions: those of this run, separated by semicolons.
        earlier: the medians of the rounds of earlier runs; empty if there is none.
        runs: how many runs they are of.
        newest: the release of the newest of them.
        others: the conditions of the newest run that cannot be compared; empty if there is none.
        name: how a record calls the rounds.
        oldest: the rounds of the oldest run of before those; empty if there is none.
        since: when that was, and of which release it is.
    """

    settings: Baseline
    conditions: str
    earlier: tuple[float, ...]
    runs: int
    newest: str
    others: str
    name: str = _NAME
    oldest: tuple[float, ...] = ()
    since: str = ""

    @property
    def most_ms(self) -> float:
        """The slowest median that is no regression."""
        return self._most_ms(self.earlier)

    def _most_ms(self, earlier: Sequence[float]) -> float:
        base = statistics.median(earlier)
        return max(base * self.settings.max_ratio, base + self.settings.min_ms)

    def keeps(self, times: Times, noise: Noise) -> bool | None:
        """Whether there is no regression; None if that cannot be told."""
        return self._keeps(self.earlier, times, noise)

    def _keeps(self, earlier: Sequence[float], times: Times, noise: Noise) -> bool | None:
        found = rounds(times.ms)
        if not earlier or statistics.median(found) <= self._most_ms(earlier):
            return True
        # The noise of now explains a part; that of then made the baseline slower, not faster.
        # If hardly a moment was undisturbed, not even the fastest time is the target's own.
        fastest = min(times.ms) / 1000 if noise.lost <= _MOST_LOST else 0.0
        own = [1000 * noise.own(ms / 1000, fastest) for ms in found]
        least = least_ratio(earlier, own)
        is_sure = (
            least is not None and least > 1 and statistics.median(own) > self._most_ms(earlier)
        )
        return False if is_sure else None

    def judge(self, evidence: Evidence, times: Times, noise: Noise, why: str = "") -> None:
        """Record the rounds for later runs, and compare them with earlier ones.

        Without any, this is a warning: nothing is claimed.

        Raises:
            CouldNotMeasure: slower than agreed, but not beyond noise and chance.
        """
        evidence.record(summary(times, self.conditions, self.name))
        if not self.earlier:
            return self._judge_first(evidence)
        found = rounds(times.ms)
        median = Measurement(
            "median latency", statistics.median(found), "ms", times.source, samples=len(times.ms)
        )
        base = statistics.median(self.earlier)
        seen = f"the median is {median.value:.4g} ms, in the baseline {base:.4g} ms"
        if self.keeps(times, noise) is None:
            evidence.record(median)
            raise indistinct(f"{seen}, and {self.most_ms:.4g} ms are the limit", noise)
        setting = self.settings.deciding("max_ratio")
        because = f"{seen} ({self.runs} READY runs, the newest of release {self.newest})"
        because += f"; {why}" if why else ""
        if evidence.judge(_KEY, median, at_most(self.most_ms, setting), because):
            self._warn_of_drift(evidence, median, times, noise)
        return None

    def _warn_of_drift(
        self, evidence: Evidence, median: Measurement, times: Times, noise: Noise
    ) -> None:
        """Small steps: none is a regression, since the baseline moves along with them."""
        if self._keeps(self.oldest, times, noise) is False:
            limit = at_most(self._most_ms(self.oldest), self.settings.deciding("max_ratio"))
            because = f"the median was {statistics.median(self.oldest):.4g} ms on {self.since}"
            says = f"It became slower in small steps, {median.value:.4g} ms now"
            evidence.judge(_KEY, median, limit, because, says=says, warn_only=True)

    def _judge_first(self, evidence: Evidence) -> None:
        because = "this run is the first of the baseline if it ends READY"
        if self.others:
            because = f"the last READY run had other conditions: {differences(self)}"
        none = Measurement("READY runs to compare with", 0, "count", self.settings.records)
        limit = at_least(1, self.settings.deciding("records"))
        says = "Not compared with a baseline"
        evidence.judge(_KEY, none, limit, because, says=says, warn_only=True)


def summary(times: Times, conditions: str, name: str = _NAME) -> Measurement:
    """What a run leaves for later ones: the medians of its rounds, as quantiles."""
    found = sorted(rounds(times.ms))
    points = tuple((number / len(found), ms) for number, ms in enumerate(found, 1))
    middle, size = statistics.median(found), len(times.ms)
    return Measurement(name, middle, "ms", conditions, samples=size, quantiles=points)


def comparison(
    config: Config, check: str, subject: Subject, path: WritePath | None = None
) -> Comparison | None:
    """The comparison of a check on a subject, or on its write path; None without a baseline."""
    settings = config.performance.baseline
    if settings is None:
        return None
    conditions = conditions_of(config, path or subject)
    name = WRITES if path else _NAME
    found: list[tuple[RunRecord, Measurement]] = []
    others = ""
    for record in _ready_runs(settings.records, config.target.name):
        for measurement in _summaries(record, check, subject.name, name):
            if measurement.source == conditions:
                found.append((record, measurement))
            else:
                others = others or measurement.source
    steps = found[RUNS:]
    found = found[:RUNS]
    return Comparison(
        settings,
        conditions,
        earlier=tuple(ms for _, measurement in found for _, ms in measurement.quantiles),
        runs=len(found),
        newest=found[0][0].target.release if found else "",
        others=others,
        name=name,
        oldest=tuple(ms for _, ms in steps[-1][1].quantiles) if steps else (),
        since=_named(steps[-1][0]) if steps else "",
    )


def _named(record: RunRecord) -> str:
    return f"{record.run.started:%Y-%m-%d} (release {record.target.release})"


def conditions_of(config: Config, subject: Subject | WritePath) -> str:
    """What must be the same for two runs to be compared; limits and sample sizes need not."""
    declared = subject.model_dump_json(exclude=_NOT_MEASURED)
    if isinstance(subject, Load) and subject.locustfile:
        with suppress(OSError):  # the check itself says what is wrong with it
            declared += Path(subject.locustfile).read_text(encoding="utf-8", errors="replace")
    if isinstance(subject, Query | Ingest):
        server = _server(subject)
    else:
        service = config.services[subject.service]
        server = f"service {service.url}"
    profile = config.gate.profile
    return _SEPARATOR.join(
        (
            f"machine {platform.machine()}, {os.cpu_count()} x {_processor()}",
            f"kernel {platform.release()}",
            server,
            f"environment {config.target.environment}",
            f"profile {profile if isinstance(profile, str) else ', '.join(profile)}",
            f"declared {hashlib.sha256(declared.encode()).hexdigest()[:8]}",
        )
    )


def differences(compared: Comparison) -> str:
    """Which conditions differ from those of the last run."""
    pairs = zip(
        compared.others.split(_SEPARATOR), compared.conditions.split(_SEPARATOR), strict=False
    )
    return ", ".join(f"{then}, now {now}" for then, now in pairs if then != now)


def rounds(ms: Sequence[float]) -> list[float]:
    """The medians of five parts of the times, in their order; fewer if there are fewer times."""
    number = min(ROUNDS, len(ms))
    ends = [len(ms) * part // number for part in range(number + 1)]
    return [statistics.median(ms[a:b]) for a, b in pairwise(ends)]


def least_ratio(earlier: Sequence[float], now: Sequence[float]) -> float | None:
    """The least ratio of the two that 95 % confidence leaves; None if there are too few rounds.

    It is the bound of Hodges and Lehmann: that of all pairwise ratios whose rank the permutation
    test of Mann and Whitney gives, exactly and for any distribution.
    """
    ratios = sorted(n / e for n in now for e in earlier)
    all_orders, below, rank = math.comb(len(now) + len(earlier), len(now)), 0, 0
    while rank < len(ratios):
        below += _orders(len(now), len(earlier), rank)
        if below > (1 - CONFIDENCE) * all_orders:
            break
        rank += 1
    return ratios[rank - 1] if rank else None


@cache
def _orders(m: int, n: int, u: int) -> int:
    """In how many orders of m and n values exactly u pairs stand the other way round."""
    if u < 0 or u > m * n:
        return 0
    if not m or not n:
        return 1
    return _orders(m - 1, n, u - n) + _orders(m, n - 1, u)


def _server(subject: Query | Ingest) -> str:
    with connect(subject.dsn, timeout_s=_STATEMENT_S) as connection:
        [(version, settings)] = fetch(connection, _SERVER)
    return f"PostgreSQL {version} at {subject.dsn.address}, settings {settings}"


@cache
def _processor() -> str:
    with suppress(OSError, StopIteration):
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
        return next(x.partition(":")[2].strip() for x in lines if x.startswith("model name"))
    return "unknown processor"


@lru_cache(maxsize=1)
def _ready_runs(folder: str, target: str) -> tuple[RunRecord, ...]:
    """The READY runs of a target, newest first.

    One that was partial or red is not READY; an altered file is none.
    """
    return tuple(islice(_records(Path(folder), target), _MOST_RECORDS))


def _records(folder: Path, target: str) -> Iterator[RunRecord]:
    for path in _newest_first(folder):
        with suppress(OSError, RecordError):
            with path.open(encoding="utf-8", errors="replace") as file:
                if _READY not in file.read(_BEGINNING):
                    continue
            record = load(path)
            if record.verdict is Verdict.READY and record.target.name == target:
                yield record


def _newest_first(folder: Path) -> list[Path]:
    """Names of records begin with the time of the run."""
    return sorted(folder.glob("*.json"), key=lambda path: path.name, reverse=True)


def _summaries(record: RunRecord, check: str, subject: str, name: str) -> Iterator[Measurement]:
    for result in record.checks:
        if (result.id, result.subject) == (check, subject):
            yield from (m for m in result.measurements if m.name == name)
